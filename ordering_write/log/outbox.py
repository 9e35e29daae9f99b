"""The outbox: appends the events that aggregates emit to the log, and announces the commit.

A receiver of ``domain_events`` appends the events inside the transaction of the command;
``events_committed`` is sent after it. A commit with events also inserts one row for the sequencer,
after its last event.
"""

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from config import telemetry
from config.databases import prepared
from ordering_write.domain.events import DomainEvent, Envelope
from ordering_write.log import content, sequencer
from ordering_write.models import EventPending, PersonalData
from ordering_write.models.unit_of_work import OutsideCommitError, UnitOfWork
from ordering_write.models.unit_of_work import begin as begin_unit_of_work
from ordering_write.models.unit_of_work import current as current_unit_of_work
from ordering_write.models.unit_of_work import required as required_unit_of_work
from ordering_write.signals import events_committed

logger = logging.getLogger(__name__)

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
    shared = _shared_columns(events[0].recorded)
    commit_id, traceparent = str(current.id), telemetry.traceparent()
    records: list[str] = []
    personal_rows: list[PersonalData] = []
    for event in events:
        envelope = event.recorded
        fields, personal = event.encode()
        row = {
            **shared,
            "event_id": envelope.event_id,
            "stream": envelope.stream,
            "version": envelope.version,
            "type": event.type,
            "schema_version": event.schema_version,
            "timestamp": event.timestamp,
            "data": fields,
            "personal_id": None,
            "personal_digest": "",
        }
        if personal:
            personal_row = _personal_data(event, personal, customer_id)
            personal_rows.append(personal_row)
            row["personal_id"] = personal_row.id
            row["personal_digest"] = content.digest(personal, personal_row.salt)
        text = content.content_of(row, unit.hashes.get(envelope.stream, ""))
        unit.hashes[envelope.stream] = content_hash = content.hash_of(text)
        records.append(
            content.record(
                text, content_hash=content_hash, commit_id=commit_id, traceparent=traceparent
            )
        )
    unit.insert(personal_rows)
    unit.insert_records(content.INSERT, records)


def _shared_columns(envelope: Envelope) -> dict[str, Any]:
    """Return the columns that all events of a command share."""
    return {
        "recorded_at": envelope.recorded_at,
        "actor": envelope.actor.model_dump(exclude_none=True),
        "channel": envelope.channel,
        "command_id": str(envelope.command_id),
        "correlation_id": str(envelope.correlation_id),
        "causation_id": str(envelope.causation_id),
    }


def _personal_data(
    event: DomainEvent, personal: Mapping[str, Any], customer_id: UUID | None
) -> PersonalData:
    if customer_id is None:
        raise ValueError(f"{event.type} has personal fields but no customer.")
    salt = secrets.token_hex(16)
    return PersonalData(id=uuid7(), customer_id=customer_id, fields=personal, salt=salt)


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
