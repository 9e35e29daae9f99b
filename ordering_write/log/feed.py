"""Events as they are stored, for readers elsewhere: of a stream, or of the log from a place on."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from pydantic import BaseModel, ConfigDict

from ordering_write.domain.events import DomainEvent
from ordering_write.log import reading

# Where few of many events are asked for, so many are looked at in one go.
_LOOKED_AT = 10_000

_COLUMNS = f"""
SELECT event_position.position, {reading.EVENT_COLUMNS}, event.hash,
       personal_data.fields AS personal
"""
_OF_STREAM = f"""{_COLUMNS}
FROM event LEFT JOIN event_position ON event_position.event_id = event.id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE event.stream = %s AND event.version > %s ORDER BY event.version LIMIT %s
"""
_OF_LOG = f"""{_COLUMNS}
FROM event_position JOIN event ON event.id = event_position.event_id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE event_position.position > %s AND event_position.position <= %s
  AND (%s OR event.type = ANY(%s))
ORDER BY event_position.position LIMIT %s
"""


class StoredEvent(BaseModel):
    """An event as it was stored, which never changes; ``position`` is None until it has one.

    ``data`` are the fields in the log, and ``personal`` those beside it, of which "[erased]" is
    left once they were erased.
    """

    model_config = ConfigDict(frozen=True)

    position: int | None
    event_id: UUID
    stream: str
    version: int
    type: str
    schema_version: int
    timestamp: datetime
    recorded_at: datetime
    actor: dict[str, Any]
    channel: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    commit_id: UUID
    hash: str
    data: dict[str, Any]
    personal: dict[str, Any]


class Batch(NamedTuple):
    """Events in the order of the log; all up to ``position`` have been looked at."""

    events: list[StoredEvent]
    position: int


def of_stream(stream: str, *, after: int, limit: int) -> list[StoredEvent]:
    """The next ``limit`` events of a stream after a version; one statement."""
    return [_stored(row) for row in reading.fetch(_OF_STREAM, [stream, after, limit])]


def length(stream: str) -> int:
    """How many events a stream has."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(version), 0) FROM event WHERE stream = %s", [stream])
        return int(cursor.fetchone()[0])


def of_log(*, after: int, types: Collection[str], limit: int) -> Batch:
    """The next events after a position, at most ``limit``: those of ``types``, none for all.

    Where there are few of them, the batch may be empty before the log ends: go on after its
    ``position``. Events that have no position yet come later. Raises LogGapError.
    """
    # Asked first: whatever is positioned meanwhile is left to the next batch.
    end = min(reading.last_position(), after + (_LOOKED_AT if types else limit))
    rows = reading.fetch(_OF_LOG, [after, end, not types, list(types), limit])
    if not types and len(rows) != max(0, end - after):
        raise reading.LogGapError(f"A position of the log from {after + 1} to {end} is missing.")
    events = [_stored(row) for row in rows]
    is_full = len(rows) == limit
    return Batch(events, rows[-1]["position"] if is_full else max(after, end))


def _stored(row: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(**{**row, "personal": _personal(row)})


def _personal(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["personal_id"] is None:
        return {}
    kind = DomainEvent.types.get(row["type"])
    return row["personal"] or (kind.erased_fields() if kind else {})
