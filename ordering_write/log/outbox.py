"""The outbox: appends the events that aggregates emit to the log, and announces the commit.

A receiver of ``domain_events`` appends the events inside the transaction of the command;
``events_committed`` is sent after it. A commit with events also inserts one row for the sequencer,
after its last event.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from config import telemetry
from config.databases import prepared
from ordering_write.domain.events import DomainEvent
from ordering_write.log import sequencer
from ordering_write.models import EventPending, OutboxEvent, PersonalData
from ordering_write.models.unit_of_work import OutsideCommitError, UnitOfWork
from ordering_write.models.unit_of_work import begin as begin_unit_of_work
from ordering_write.models.unit_of_work import current as current_unit_of_work
from ordering_write.models.unit_of_work import required as required_unit_of_work
from ordering_write.signals import events_committed

logger = logging.getLogger(__name__)

# The form in which contents are hashed.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

# The channel of notifications that the log has grown.
CHANNEL = "ordering_events"
# Looks each stream up in the index: a join planned while the log was short would read all of it.
_HASHES = """
SELECT last.stream, previous.hash FROM unnest(%s::text[], %s::int[]) AS last (stream, version),
LATERAL (
    SELECT hash FROM event WHERE stream = last.stream AND version = last.version LIMIT 1
) previous
"""


# Commits from one call of the sequencer's ``relieve`` to the next, on average.
_COMMITS_BETWEEN_RELIEFS = 100


class NestedCommitError(Exception):
    """A command is dispatched while another one is handled; one command is one transaction."""


@dataclass
class _Commit:
    keep: bool
    id: UUID = field(default_factory=uuid7)
    event_count: int = 0


_current: ContextVar[_Commit | None] = ContextVar("commit", default=None)


@contextmanager
def commit(*, keep: bool = True) -> Iterator[UnitOfWork]:
    """Open a transaction of the write database, whose events are one commit of the log.

    Without ``keep`` it is a dry run, which is rolled back. In a shared unit of work, the
    transaction is that of the unit. Raises NestedCommitError, also for a dry run in a shared unit.
    """
    shared_unit = current_unit_of_work()
    if _current.get() is not None or (shared_unit and not keep):
        raise NestedCommitError(NestedCommitError.__doc__)
    current = _Commit(keep=keep)
    token = _current.set(current)
    try:
        with _part_of(shared_unit) if shared_unit else _transaction(current) as unit:
            yield unit
            if current.event_count:
                # Its id is higher than that of any earlier commit to one of these streams: those
                # commits have been visible since the streams were locked.
                unit.insert([EventPending(commit_id=current.id, events=current.event_count)])
    finally:
        _current.reset(token)


@contextmanager
def unit_of_work() -> Iterator[None]:
    """Open a transaction of the write database in which commands share one unit of work.

    Each command is a commit of the log, and all of them take effect, or none. The ids of the
    commands must be new, and a command that fails undoes the unit, also if its error is caught.
    """
    with begin_unit_of_work(is_shared=True):
        yield
        _announce_commit()


@contextmanager
def _transaction(current: _Commit) -> Iterator[UnitOfWork]:
    with begin_unit_of_work(is_shared=False, is_dry_run=not current.keep) as unit:
        yield unit
        if current.event_count:
            _announce_commit()
            if current.id.int % _COMMITS_BETWEEN_RELIEFS == 0:
                transaction.on_commit(sequencer.relieve, robust=True)


@contextmanager
def _part_of(unit: UnitOfWork) -> Iterator[UnitOfWork]:
    try:
        yield unit
    except BaseException:
        unit.undo()
        raise


def is_dry_run() -> bool:
    """Return True inside a dry run. Don't draw from a sequence then: it isn't rolled back."""
    current = _current.get()
    return current is not None and not current.keep


def _announce_commit() -> None:
    """Let a NOTIFY and ``events_committed`` follow the COMMIT of this transaction."""
    notify()
    if events_committed.has_listeners():
        transaction.on_commit(_send_events_committed, robust=True)


def _send_events_committed() -> None:
    events_committed.send(sender=None)


def notify() -> None:
    """Notify the listeners of CHANNEL after the COMMIT of this transaction.

    A NOTIFY inside the transaction would take a lock on which all commits of the database queue up.
    """
    prepared.run_after_commit(connection.alias, "SELECT pg_notify(%s, '')", [CHANNEL])


def append(*, events: Sequence[DomainEvent], customer_id: UUID | None, **_kwargs: object) -> None:
    """Append the ``events`` of a command to the log (the receiver of ``domain_events``).

    Personal fields go to PersonalData, under ``customer_id``, so that they can be erased. Raises
    OutsideCommitError.
    """
    current = _current.get()
    if current is None:
        raise OutsideCommitError(OutsideCommitError.__doc__)
    if not events or not current.keep:
        return
    with telemetry.span("append", events=[event.type for event in events]):
        _append(events, customer_id, current)


def _append(events: Sequence[DomainEvent], customer_id: UUID | None, current: _Commit) -> None:
    current.event_count += len(events)
    unit = required_unit_of_work()
    _read_hashes(events, unit.hashes)
    actor = events[0].recorded.actor.model_dump(exclude_none=True)
    traceparent = telemetry.traceparent()
    rows: list[OutboxEvent] = []
    personal_rows: list[PersonalData] = []
    for event in events:
        row, personal_data = _rows(event, actor, current.id, customer_id)
        previous = unit.hashes.get(row.stream, "")
        unit.hashes[row.stream] = row.hash = content_hash(vars(row), previous)
        row.traceparent = traceparent
        rows.append(row)
        personal_rows += personal_data
    unit.insert([*personal_rows, *rows])


def _rows(
    event: DomainEvent, actor: Mapping[str, Any], commit_id: UUID, customer_id: UUID | None
) -> tuple[OutboxEvent, list[PersonalData]]:
    envelope = event.recorded
    fields, personal = event.encode()
    row = OutboxEvent(
        event_id=envelope.event_id,
        stream=envelope.stream,
        version=envelope.version,
        type=event.type,
        schema_version=event.schema_version,
        timestamp=event.timestamp,
        recorded_at=envelope.recorded_at,
        actor=actor,
        channel=envelope.channel,
        command_id=envelope.command_id,
        correlation_id=envelope.correlation_id,
        causation_id=envelope.causation_id,
        commit_id=commit_id,
        data=fields,
    )
    if not personal:
        return row, []
    if customer_id is None:
        raise ValueError(f"{event.type} has personal fields but no customer.")
    salt = secrets.token_hex(16)
    row.personal_id = uuid7()
    row.personal_digest = digest(personal, salt)
    return row, [
        PersonalData(id=row.personal_id, customer_id=customer_id, fields=personal, salt=salt)
    ]


def _read_hashes(events: Sequence[DomainEvent], hashes: dict[str, str]) -> None:
    """Add to ``hashes`` those of the last stored events of streams that ``events`` continue."""
    first_versions: dict[str, int] = {}
    for event in events:
        first_versions.setdefault(event.recorded.stream, event.recorded.version)
    last_versions = {
        stream: version - 1
        for stream, version in first_versions.items()
        if version > 1 and stream not in hashes
    }
    if last_versions:
        parameters = [list(last_versions), list(last_versions.values())]
        hashes.update(prepared.fetch(connection.alias, _HASHES, parameters))


def content_hash(row: Mapping[str, Any], previous: str) -> str:
    """Return the hash of an event whose predecessor in the stream has the hash ``previous``.

    ``row`` holds the event's columns by name.
    """
    content = [
        previous,
        str(row["event_id"]),
        row["stream"],
        row["version"],
        row["type"],
        row["schema_version"],
        _instant(row["timestamp"]),
        _instant(row["recorded_at"]),
        row["actor"],
        row["channel"],
        str(row["command_id"]),
        str(row["correlation_id"]),
        str(row["causation_id"]),
        row["data"],
        str(row["personal_id"] or ""),
        row["personal_digest"],
    ]
    return hashlib.sha256(_canonical(content)).hexdigest()


def digest(personal: Mapping[str, Any], salt: str) -> str:
    """Return the digest of personal fields, by which the log proves that they are unchanged."""
    return hashlib.sha256(salt.encode() + _canonical(personal)).hexdigest()


def _canonical(content: object) -> bytes:
    return _ENCODER.encode(content).encode()


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")
