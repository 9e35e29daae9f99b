"""Turns rows of the log into events."""

import functools
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

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


class UndecodableEventMember(TypedDict):
    """Names an event for a client; only the log and the command line show the reason."""

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
        envelope = event.recorded
        super().__init__(
            f"{event.type} {envelope.event_id} ({envelope.stream}, version {envelope.version}) "
            f"can't be read: {event.reason}."
        )
        self.event = event

    def members(self) -> Members:
        envelope = self.event.recorded
        return {
            "event": {
                "event_id": envelope.event_id,
                "type": self.event.type,
                "stream": envelope.stream,
                "version": envelope.version,
            }
        }


class Row(NamedTuple):
    """``reading.COLUMNS``, as the database returns them: ids, times and JSON as text."""

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
    """The envelope in a row, whose fields are parsed when they are read."""

    __slots__ = ("_row",)
    _row: Row

    def __init__(self, row: Row) -> None:
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


def event_of(row: Row) -> DomainEvent:
    """Return the event in a row; an UndecodableEvent if this code can't read it.

    Parses an event of the current schema version faster than ``decode``, unless it was erased.
    """
    event_type = DomainEvent.types.get(row.type)
    is_erased = row.personal_id is not None and row.personal is None
    if event_type is None or row.schema_version != event_type.schema_version or is_erased:
        return decode(parse(row._asdict()))
    members = [part for part in (row.data[1:-1], (row.personal or "")[1:-1]) if part]
    # The session's time zone is UTC; PostgreSQL writes its offset without minutes.
    members.append(f'"timestamp":"{row.timestamp}:00"')
    try:
        event = event_type.model_validate_json(f"{{{','.join(members)}}}")
    except ValidationError:
        return decode(parse(row._asdict()))
    event.__dict__["envelope"] = _StoredEnvelope(row)
    return event


def parse(row: dict[str, Any]) -> dict[str, Any]:
    """Parse the ids, times and JSON of ``row``, by column, in place; return the row."""
    for name in ("event_id", "command_id", "correlation_id", "causation_id", "commit_id"):
        row[name] = UUID(row[name])
    parse_content(row)
    row["personal"] = row["personal"] and from_json(row["personal"])
    return row


def parse_content(row: dict[str, Any]) -> None:
    """Parse the times and JSON of ``row``, by column, in place, but no ids and personal fields."""
    for name in ("timestamp", "recorded_at"):
        row[name] = datetime.fromisoformat(row[name])
    for name in ("actor", "data"):
        row[name] = from_json(row[name])


def decode(row: Mapping[str, Any]) -> DomainEvent:
    """Return the event in a parsed row; an UndecodableEvent if this code can't read it."""
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
            # Personal fields that are gone read as erased.
            personal={} if row["personal_id"] is None else row["personal"],
            envelope=envelope,
        )
    except Exception as error:
        # Payloads of other releases can make an upcaster or pydantic raise anything.
        return _undecodable(row, envelope, _reason(error))


def readable(event: DomainEvent) -> DomainEvent:
    """Return ``event``. Raises UndecodableEventError if it couldn't be read."""
    if isinstance(event, UndecodableEvent):
        raise UndecodableEventError(event)
    return event


# Cached, since few actors cause most events.
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
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors(include_input=False, include_url=False)
            )
        case UnknownSchemaVersionError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}"
