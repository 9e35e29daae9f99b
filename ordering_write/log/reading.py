"""Reading the log: events by position, by stream and by command.

Positions have no hole (see ``sequencer``), so a reader proves that it skipped nothing.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from django.db import connection
from pydantic import Field, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from config.fields.members import DetailedError
from ordering_write.domain.events import (
    DomainEvent,
    Envelope,
    UndecodableEvent,
    UnknownSchemaVersionError,
)
from ordering_write.domain.values import Actor, Channel

# Times and ids as text: few of them are asked for, and to make objects of all takes longer than to
# decode what an event says.
EVENT_COLUMNS = """
       event.event_id::text, event.stream, event.version, event.type,
       event.schema_version, event.timestamp::text, event.recorded_at::text, event.actor,
       event.channel, event.command_id::text, event.correlation_id::text, event.causation_id::text,
       event.commit_id::text, event.data, event.personal_id::text"""
COLUMNS = f"""
SELECT event_position.position, {EVENT_COLUMNS}, personal_data.fields AS personal
"""
BY_POSITION = f"""{COLUMNS}
FROM event_position JOIN event ON event.id = event_position.event_id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
"""
_BY_EVENT = f"""{COLUMNS}
FROM event LEFT JOIN event_position ON event_position.event_id = event.id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
"""
# Commit by commit, by the index: how few are pending isn't known, and a join would read all events.
_HEAD = """
SELECT (SELECT coalesce(max(position), 0) FROM event_position) + (
    SELECT coalesce(sum((SELECT count(*) FROM event WHERE event.commit_id = pending.commit_id)), 0)
    FROM event_pending pending
)
"""


class LogGapError(Exception):
    """A position of the log is missing: an event was removed, or the log was restored."""


class UndecodableEventMember(TypedDict):
    """Names an event for a client; the reason is told to the log and the command line only."""

    event_id: UUID
    type: str
    stream: str
    version: Annotated[int, Field(ge=0)]


class UndecodableEventError(DetailedError):
    """An event of the log can't be read by this code."""

    class Members(TypedDict):
        event: Annotated[
            UndecodableEventMember, Field(description="Event of the log that can't be read.")
        ]

    def __init__(self, event: UndecodableEvent) -> None:
        known = event.recorded
        super().__init__(
            f"{event.type} {known.event_id} ({known.stream}, version {known.version}) can't be "
            f"read: {event.reason}."
        )
        self.event = event

    def members(self) -> Members:
        recorded = self.event.recorded
        return {
            "event": {
                "event_id": recorded.event_id,
                "type": self.event.type,
                "stream": recorded.stream,
                "version": recorded.version,
            }
        }


def head() -> int:
    """How many events the log has: the position that the newest committed event has or will have.

    Events that no sequencer has reached count too, so that nobody takes a log whose readers are
    all dead for one that they have caught up with.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HEAD)
        return int(cursor.fetchone()[0])


def last_position() -> int:
    """The position of the last event that has one, which is the end of a commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(position), 0) FROM event_position")
        return int(cursor.fetchone()[0])


def position_of(event_id: UUID) -> int | None:
    """The position of an event; None while it has none, or when there is no such event."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT position FROM event_position JOIN event ON event.id = event_position.event_id"
            " WHERE event.event_id = %s",
            [event_id],
        )
        row = cursor.fetchone()
        return None if row is None else int(row[0])


def recorded_at(position: int) -> datetime | None:
    """When the event at ``position`` was recorded (UTC); None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT recorded_at FROM event_position"
            " JOIN event ON event.id = event_position.event_id WHERE position = %s",
            [position],
        )
        row = cursor.fetchone()
        return None if row is None else row[0]


def identity() -> UUID:
    """The id that this log got when its table was made, and keeps in backups and copies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM log_identity")
        return cursor.fetchone()[0]


def fingerprint(position: int) -> tuple[UUID, UUID | None]:
    """Return the identity of the log and the id of the event at ``position``, None without one.

    The two tell this log from any other, and from one restored from an older backup."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, (SELECT event.event_id FROM event_position"
            " JOIN event ON event.id = event_position.event_id"
            " WHERE event_position.position = %s) FROM log_identity",
            [position],
        )
        return cursor.fetchone()


def read_log(after: int, limit: int) -> list[DomainEvent]:
    """The next ``limit`` events after position ``after``, in order, and the rest of their commit.

    A batch never ends inside a commit, so that nobody sees an order without its lines. An event
    that this code can't read comes as an UndecodableEvent, which says why: one bad event must not
    keep anybody from the others. Raises LogGapError when a position is missing.
    """
    rows = _rows(f"{BY_POSITION} WHERE position > %s ORDER BY position LIMIT %s", [after, limit])
    if len(rows) == limit:
        last = rows[-1]
        rows += _rows(
            f"{BY_POSITION} WHERE event.commit_id = %s AND position > %s ORDER BY position",
            [last.commit_id, last.position],
        )
    for expected, row in enumerate(rows, start=after + 1):
        if row.position != expected:
            raise LogGapError(f"Position {expected} of the log is missing.")
    return [_event(row) for row in rows]


def read_at(positions: Sequence[int]) -> list[DomainEvent]:
    """The events at these positions, in order; an UndecodableEvent for one that can't be read."""
    return read(f"{BY_POSITION} WHERE position = ANY(%s) ORDER BY position", [list(positions)])


def read_stream(stream: str, *, after: int = 0) -> list[DomainEvent]:
    """The events of one stream after a version, by version, positioned or not.

    Raises UndecodableEventError when one of them can't be read.
    """
    events = read(
        f"{_BY_EVENT} WHERE event.stream = %s AND event.version > %s ORDER BY version",
        [stream, after],
    )
    return [_readable(event) for event in events]


def read_command(command_id: UUID) -> list[DomainEvent]:
    """The events that a command caused, in the order in which it caused them.

    Raises UndecodableEventError when one of them can't be read.
    """
    events = read(f"{_BY_EVENT} WHERE event.command_id = %s ORDER BY event.id", [command_id])
    return [_readable(event) for event in events]


class _Row(NamedTuple):
    """``COLUMNS``, as the database gives them."""

    position: int | None
    event_id: str
    stream: str
    version: int
    type: str
    schema_version: int
    timestamp: str
    recorded_at: str
    actor: str
    channel: Channel
    command_id: str
    correlation_id: str
    causation_id: str
    commit_id: str
    data: str
    personal_id: str | None
    personal: str | None


class _StoredEnvelope(Envelope):
    """The envelope in a row, read as far as it is asked for."""

    __slots__ = ("_row",)
    _row: _Row

    def __init__(self, row: _Row) -> None:
        object.__setattr__(self, "_row", row)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Envelope) and asdict(self) == asdict(other)

    def __hash__(self) -> int:
        return hash(self._row.event_id)

    @property
    def event_id(self) -> UUID:
        return UUID(self._row.event_id)

    @property
    def stream(self) -> str:
        return self._row.stream

    @property
    def version(self) -> int:
        return self._row.version

    @property
    def actor(self) -> Actor:
        return _actor(self._row.actor)

    @property
    def channel(self) -> Channel:
        return self._row.channel

    @property
    def command_id(self) -> UUID:
        return UUID(self._row.command_id)

    @property
    def correlation_id(self) -> UUID:
        return UUID(self._row.correlation_id)

    @property
    def causation_id(self) -> UUID:
        return UUID(self._row.causation_id)

    @property
    def recorded_at(self) -> datetime:
        return datetime.fromisoformat(self._row.recorded_at)

    @property
    def position(self) -> int | None:
        return self._row.position


def read(sql: str, parameters: Sequence[Any]) -> list[DomainEvent]:
    """The events of a statement that selects ``COLUMNS``; an UndecodableEvent for one that can't
    be read."""
    return [_event(row) for row in _rows(sql, parameters)]


def _rows(sql: str, parameters: Sequence[Any]) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(map(_Row._make, cursor.fetchall()))


def _event(row: _Row) -> DomainEvent:
    """The event in a row: at once where it is as this code writes it, or else as in ``decode``."""
    kind = DomainEvent.types.get(row.type)
    is_erased = row.personal_id is not None and row.personal is None
    if kind is None or row.schema_version != kind.schema_version or is_erased:
        return decode(_parsed(row._asdict()))
    parts = [part for part in (row.data[1:-1], (row.personal or "")[1:-1]) if part]
    # The hour of the time zone, which is that of the session, UTC, lacks its minutes.
    parts.append(f'"timestamp":"{row.timestamp}:00"')
    try:
        event = kind.model_validate_json(f"{{{','.join(parts)}}}")
    except ValidationError:
        return decode(_parsed(row._asdict()))
    event.__dict__["envelope"] = _StoredEnvelope(row)
    return event


def fetch(sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows of a statement that selects ``COLUMNS`` and others, by the names of the columns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        return [_parsed(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("event_id", "command_id", "correlation_id", "causation_id", "commit_id"):
        row[name] = UUID(row[name])
    for name in ("timestamp", "recorded_at"):
        row[name] = datetime.fromisoformat(row[name])
    for name in ("actor", "data", "personal"):
        row[name] = row[name] and from_json(row[name])
    return row


def decode(row: Mapping[str, Any]) -> DomainEvent:
    """The event in a row that ``fetch`` returned; an UndecodableEvent when it can't be read."""
    envelope = Envelope(
        event_id=row["event_id"],
        stream=row["stream"],
        version=row["version"],
        actor=Actor.model_construct(**row["actor"]),
        channel=row["channel"],
        command_id=row["command_id"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        recorded_at=row["recorded_at"],
        position=row["position"],
    )
    event_type = DomainEvent.types.get(row["type"])
    if event_type is None:
        return _undecodable(row, envelope, "this type is unknown")
    try:
        return event_type.decode(
            schema_version=row["schema_version"],
            timestamp=row["timestamp"],
            fields=row["data"],
            # An event that has personal fields reads as erased when they are gone.
            personal={} if row["personal_id"] is None else row["personal"],
            envelope=envelope,
        )
    except Exception as error:
        # Whatever a payload of the past or the future can bring an upcaster or pydantic to raise.
        return _undecodable(row, envelope, _reason(error))


# Few act, and often.
@functools.lru_cache(maxsize=1_000)
def _actor(stored: str) -> Actor:
    return Actor.model_construct(**from_json(stored))


def _undecodable(row: Mapping[str, Any], envelope: Envelope, reason: str) -> UndecodableEvent:
    event = UndecodableEvent(timestamp=row["timestamp"], stored_type=row["type"], reason=reason)
    return event.model_copy(update={"envelope": envelope})


def _reason(error: Exception) -> str:
    match error:
        case ValidationError():
            # Without the values, which may be personal.
            return "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
                for each in error.errors(include_input=False, include_url=False)
            )
        case UnknownSchemaVersionError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"


def _readable(event: DomainEvent) -> DomainEvent:
    if isinstance(event, UndecodableEvent):
        raise UndecodableEventError(event)
    return event
