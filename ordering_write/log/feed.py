"""Stored events for readers in other systems: of one stream, or of the log after a position."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from pydantic import BaseModel, ConfigDict

from ordering_write.domain.events import DomainEvent
from ordering_write.log import decoding, detached, reading

# Positions that one batch covers when only some types are wanted.
_POSITIONS_AT_ONCE = 10_000

_COLUMNS = f"""
SELECT event_position.position, {reading.EVENT_COLUMNS}, event.hash,
       personal_data.fields AS personal
"""
_STREAM = f"""{_COLUMNS}
FROM event LEFT JOIN event_position ON event_position.event_id = event.id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE event.stream = %s AND event.version > %s ORDER BY event.version LIMIT %s
"""
_POSITIONS = f"""{_COLUMNS}
FROM event_position JOIN event ON event.id = event_position.event_id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE event_position.position = ANY(%s) ORDER BY event_position.position
"""
_LOG = f"""{_COLUMNS}
FROM event_position JOIN event ON event.id = event_position.event_id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE event_position.position > %s AND event_position.position <= %s
  AND (%s OR event.type = ANY(%s))
ORDER BY event_position.position LIMIT %s
"""
# The fields of a message beside those of a published event: the identity of the log; the hash of
# the event before, "" for the first one, so that the hash can be checked; the id of the row of the
# personal fields, and their digest; a position in the write-ahead log of the database, behind the
# commit of the event; and the position of the last event of the commit.
RELAYED_FIELDS = (
    "log_id",
    "previous_hash",
    "personal_id",
    "personal_digest",
    "wal",
    "commit_end",
)
# The hash before is looked up by the index of streams.
_RELAYED = f"""
SELECT event_position.position, {reading.EVENT_COLUMNS}, event.hash, event.personal_digest,
       log_identity.id::text AS log_id, pg_current_wal_insert_lsn()::text AS wal,
       coalesce((SELECT previous.hash FROM event previous
         WHERE previous.stream = event.stream AND previous.version = event.version - 1
       ), '') AS previous_hash
FROM event_position JOIN event ON event.id = event_position.event_id CROSS JOIN log_identity
"""  # noqa: S608 - of constants
_RELAYED_RANGE = f"""{_RELAYED}
WHERE event_position.position > %s AND event_position.position <= %s
ORDER BY event_position.position
"""
_RELAYED_COMMIT = f"""{_RELAYED}
WHERE event.commit_id = %s AND event_position.position > %s ORDER BY event_position.position
"""


class PublishedEvent(BaseModel):
    """An event as it was stored, which never changes, without its personal fields.

    ``position`` is None until it is assigned; ``data`` holds the fields in the log.
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


class StoredEvent(PublishedEvent):
    """An event with its ``personal`` fields, those beside the log: "[erased]" after an erasure."""

    personal: dict[str, Any]


class Batch(NamedTuple):
    """The next wanted events in the order of the log, complete up to ``position``."""

    events: list[StoredEvent]
    position: int


def read_stream(stream: str, *, after: int, limit: int) -> list[StoredEvent]:
    """Return the next ``limit`` events of a stream after the version ``after``; one statement."""
    rows = reading.fetch(_STREAM, [stream, after, limit])
    if rows and rows[0]["version"] != after + 1:
        first_version = rows[0]["version"]
        stored = detached.read_streams([(stream, first_version)], after=after, until=after + limit)
        rows = [*map(decoding.parse, stored), *rows][:limit]
    return [_stored(row) for row in rows]


def read_at(positions: Sequence[int]) -> list[StoredEvent]:
    """Return the events at these positions, in order, without those that the log doesn't have."""
    rows = reading.fetch(_POSITIONS, [list(positions)])
    if missing := {*positions} - {row["position"] for row in rows}:
        rows += map(decoding.parse, detached.read_at(missing))
        rows.sort(key=itemgetter("position"))
    return [_stored(row) for row in rows]


def count_stream(stream: str) -> int:
    """Return the number of events of a stream."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(version), 0) FROM event WHERE stream = %s", [stream])
        return int(cursor.fetchone()[0])


def read_log(*, after: int, types: Collection[str], limit: int) -> Batch:
    """Return the next ``limit`` events of ``types`` after the position ``after``.

    Empty ``types`` stand for all types. Where wanted events are rare, a batch may be empty before
    the log ends: continue after its ``position``. Events without a position come in a later batch.
    Raises LogGapError.
    """
    # Read first: events that are positioned meanwhile are left to the next batch.
    end = min(reading.last_position(), after + (_POSITIONS_AT_ONCE if types else limit))
    rows = reading.fetch(_LOG, [after, end, not types, list(types), limit])
    # Read afterwards: events may leave meanwhile.
    if (types or len(rows) < end - after) and (detached_end := detached.until()) > after:
        end = min(end, detached_end)
        stored = detached.read_range(after, end)
        wanted = [row for row in stored if not types or row["type"] in types]
        rows = [*map(decoding.parse, wanted[:limit])]
    if not types and len(rows) != max(0, end - after):
        raise reading.LogGapError(f"A position of the log from {after + 1} to {end} is missing.")
    events = [_stored(row) for row in rows]
    is_full = len(rows) == limit
    return Batch(events, rows[-1]["position"] if is_full else max(after, end))


def read_commits(*, after: int, until: int) -> list[dict[str, Any]]:
    """Return the events after one position up to another, and the rest of the last one's commit.

    Each has the fields of PublishedEvent, with ids as text, and those of RELAYED_FIELDS. Raises
    LogGapError.
    """
    rows = reading.fetch_texts(_RELAYED_RANGE, [after, until])
    detached_end = 0 if len(rows) == until - after else detached.until()
    if detached_end >= until:
        rows = _relayed(detached.read_commits(after, until - after))
    else:
        if detached_end > after:
            newer = [row for row in rows if row["position"] > detached_end]
            rows = [*_relayed(detached.read_range(after, detached_end)), *newer]
        if len(rows) != until - after:
            raise reading.LogGapError(
                f"A position of the log from {after + 1} to {until} is missing."
            )
        rows += reading.fetch_texts(_RELAYED_COMMIT, [rows[-1]["commit_id"], until])
    # The events of a commit have positions side by side.
    commit_ends = {row["commit_id"]: row["position"] for row in rows}
    for row in rows:
        row["commit_end"] = commit_ends[row["commit_id"]]
    return rows


def _relayed(stored: Sequence[detached.Stored]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text, pg_current_wal_insert_lsn()::text FROM log_identity")
        log_id, wal = cursor.fetchone()
    # The columns of a message are those of a row of the log.
    names = {*PublishedEvent.model_fields, *RELAYED_FIELDS}
    rows = [{name: row[name] for name in names & row.keys()} for row in stored]
    for row in rows:
        row |= {"log_id": log_id, "wal": wal}
        decoding.parse_content(row)
    return rows


def _stored(row: Mapping[str, Any]) -> StoredEvent:
    return StoredEvent(**{**row, "personal": _personal(row)})


def _personal(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["personal_id"] is None:
        return {}
    event_type = DomainEvent.types.get(row["type"])
    return row["personal"] or (event_type.erased_fields() if event_type else {})
