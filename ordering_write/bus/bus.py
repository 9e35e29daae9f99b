"""The command bus: the only way to change anything on the write side."""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.utils.module_loading import import_string
from psycopg import errors as pg

from config import logs, telemetry
from config.databases import prepared
from config.databases.statements import is_stale
from ordering_write import log
from ordering_write.bus import metrics, refusals
from ordering_write.bus.metrics import CommandOutcome
from ordering_write.bus.preview import Preview, preview_of
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import (
    ConcurrentUpdateError,
    DomainError,
    IdempotencyInFlightError,
    IdempotencyKeyExpiredError,
    IdempotencyKeyReusedError,
    NoHandlerFoundError,
    ReservedCommandIdError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.service_ids import is_service_id
from ordering_write.handlers import CommandHandler, all_handlers
from ordering_write.log import detached, outbox
from ordering_write.models import Aggregate, CommandRecord, OutboxEvent, aggregate_types

logger = logging.getLogger(__name__)

_TRIES = 3
_LONGEST_PAUSE_SECONDS = 0.05

# A command whose record was pruned can't take effect again: its events carry its id, as do the
# spans of events that have left the database.
_INSERT_RECORD = """
INSERT INTO command_record
    (command_id, type, fingerprint, user_id, actor, channel, answer, recorded_at)
SELECT %s, %s, %s, %s, %s, %s, '', now()
WHERE NOT EXISTS (SELECT FROM event WHERE event.command_id = %s)
  AND NOT EXISTS (SELECT FROM detached_span WHERE id = %s AND is_command)
ON CONFLICT DO NOTHING RETURNING command_id
"""
# Unique constraints that two transactions can race to. The second may try again: it then follows on
# the events of the first, or draws another order number than the one that was imported.
_CONTESTED = ("event_stream_version_unique", "ordering_write_order_order_number_key")
_STORE_RESPONSE = """
UPDATE command_record SET answer = stored.answer
FROM json_populate_recordset(NULL::command_record, %s) AS stored
WHERE command_record.command_id = stored.command_id
"""


class NotYetVisibleError(Exception):
    """The command was accepted, but the read side doesn't show it yet.

    ``because`` is the reason, as it follows that word.
    """

    def __init__(self, result: "CommandResult", *, because: str) -> None:
        super().__init__(f"Accepted, not shown yet, because {because}.")
        self.result = result
        self.because = because


class CommandResult(list[DomainEvent]):
    """The events of a command.

    ``replayed`` is True if an earlier dispatch of the same command has caused them;
    ``stored_response`` is then the response to that dispatch, empty if none was stored.
    """

    replayed = False
    stored_response = ""


# Turns a result into the text that is stored with the command.
ResponseRecorder = Callable[[CommandResult], str]
_Result = TypeVar("_Result")


class CommandBus:
    """Finds the handler of a command and runs it in one transaction, at most once."""

    def __init__(self) -> None:
        self._handlers: dict[type[Command], CommandHandler[Any]] = {}

    @property
    def commands(self) -> list[type[Command]]:
        """The command types that have a handler."""
        return list(self._handlers)

    def register(self, command_type: type[Command], handler: CommandHandler[Any]) -> None:
        """Let ``handler`` handle commands of exactly this type."""
        self._handlers[command_type] = handler

    def dispatch(
        self,
        command: Command,
        *,
        record_response: ResponseRecorder | None = None,
        wait_for: Sequence[str] | None = None,
        timeout: float = 2.0,
    ) -> CommandResult:
        """Handle ``command`` and return its events, with their envelopes.

        A repeated command returns the events of its first dispatch. The text that
        ``record_response`` makes of the result is stored with the command, so that a repeat gets
        the same response, whatever has happened since. With ``wait_for`` (names of projections,
        empty for all) return once they show the events. Raise NotYetVisibleError after ``timeout``
        seconds, and at once if an event is parked or a projection has stopped, although the command
        has taken effect.

        Raises NoHandlerFoundError, ReservedCommandIdError when only policies use such an id,
        IdempotencyKeyReusedError when the id belongs to another command, IdempotencyKeyExpiredError
        when the command took effect and its record was pruned, and any DomainError by which the
        handler refuses; a refusal changes nothing, and is kept for auditors.
        """
        handler = self._handler(command)
        with _context(command):
            result = _measure(command, handler, record_response)
            if wait_for is not None and result:
                wait = import_string(settings.READ_SIDE_WAIT)
                last_event_id = result[-1].recorded.event_id
                shown = wait(event_id=last_event_id, projections=wait_for, timeout=timeout)
                if not shown:
                    raise NotYetVisibleError(result, because=shown.because)
        return result

    async def adispatch(
        self, command: Command, *, wait_for: Sequence[str] | None = None, timeout: float = 2.0
    ) -> CommandResult:
        """``dispatch`` for async callers; the handler runs in the thread of synchronous code."""
        return await sync_to_async(self.dispatch)(command, wait_for=wait_for, timeout=timeout)

    def preview(self, command: Command) -> Preview:
        """Return what ``dispatch`` would do, and undo it: no event, no record, no order number.

        Ignores whether the id has taken effect before. Raises NoHandlerFoundError and any
        DomainError by which the handler refuses.
        """
        handler = self._handler(command)
        with _context(command):
            events, originals = _retry_races(lambda: _dry_run(command, handler))
            return preview_of(command, events, originals)

    def _handler(self, command: Command) -> CommandHandler[Any]:
        handler = self._handlers.get(type(command))
        if handler is None:
            raise NoHandlerFoundError(f"No handler is registered for {type(command).__name__}.")
        return handler


@contextmanager
def _context(command: Command) -> Iterator[None]:
    """Trace the command, and add its ids and its actor to all log records inside."""
    actor, correlation_id = command.by, command.correlation_id or command.command_id
    with (
        logs.bound_ids(
            command_id=command.command_id,
            correlation_id=correlation_id,
            actor=f"{actor.type}:{actor.id}",
        ),
        telemetry.span(
            type(command).__name__,
            command_id=str(command.command_id),
            correlation_id=str(correlation_id),
        ),
    ):
        yield


def _dry_run(
    command: Command, handler: CommandHandler[Any]
) -> tuple[list[DomainEvent], Mapping[str, Aggregate]]:
    """Return the events of ``command``, and by stream the aggregates as they were before."""
    with outbox.commit(keep=False) as unit:
        return handler.handle(command), unit.originals


def _measure(
    command: Command, handler: CommandHandler[Any], record_response: ResponseRecorder | None
) -> CommandResult:
    """Execute ``command``, and count and log its outcome."""
    began = time.perf_counter()
    outcome, reason, last_event_id = CommandOutcome.FAILED, "", None
    try:
        result = _retry_races(lambda: _execute(command, handler, record_response))
        outcome = CommandOutcome.REPLAYED if result.replayed else CommandOutcome.ACCEPTED
        last_event_id = result[-1].recorded.event_id if result else None
        return result
    except DomainError as error:
        outcome, reason = CommandOutcome.REFUSED, type(error).__name__
        refusals.keep(refusals.Attempt.of(command), error)
        raise
    except Exception as error:
        reason = type(error).__name__
        raise
    finally:
        name, seconds = type(command).__name__, time.perf_counter() - began
        metrics.count(name, outcome, reason=reason, seconds=seconds)
        failed = outcome is CommandOutcome.FAILED
        telemetry.describe(outcome=outcome.value, reason=reason, failed=failed)
        fields = {"type": name, "outcome": outcome, "reason": reason, "seconds": round(seconds, 6)}
        text = f"{name} {outcome} in {seconds:.3f} s{reason and f': {reason}'}"
        logger.info("%s", text, extra={"fields": {**fields, "event_id": last_event_id}})


def _execute(
    command: Command, handler: CommandHandler[Any], record_response: ResponseRecorder | None
) -> CommandResult:
    if is_service_id(command.command_id) and command.by.type != "policy":
        raise ReservedCommandIdError
    digest = fingerprint(command)
    with outbox.commit() as unit:
        # The commands of a shared unit are new: they need no lock on their ids.
        first_record = None if unit.is_shared else _insert_record(command, digest)
        if first_record is None:
            result = CommandResult(handler.handle(command))
            result.stored_response = record_response(result) if record_response else ""
            if unit.is_shared:
                unit.insert([_record(command, digest, result.stored_response)])
            elif result.stored_response:
                record = CommandRecord(
                    command_id=command.command_id, stored_response=result.stored_response
                )
                unit.update(_STORE_RESPONSE, [record])
            return result
    result = CommandResult(log.read_command(command.command_id))
    result.replayed = True
    result.stored_response = first_record.stored_response
    return result


def _insert_record(command: Command, digest: str) -> CommandRecord | None:
    """Insert the record of a command; if it has taken effect before, return the first record.

    A parallel repeat waits here until the first dispatch commits or fails; if it fails, the repeat
    takes effect. Raises IdempotencyInFlightError, IdempotencyKeyExpiredError and
    IdempotencyKeyReusedError.
    """
    try:
        parameters = [
            command.command_id,
            type(command).__name__,
            digest,
            command.user_id,
            command.by.model_dump_json(exclude_none=True),
            command.channel,
            command.command_id,
            command.command_id,
        ]
        if prepared.fetch(connection.alias, _INSERT_RECORD, parameters):
            return None
    except OperationalError as error:
        if isinstance(error.__cause__, pg.LockNotAvailable):
            raise IdempotencyInFlightError from error
        raise
    first_record = CommandRecord.objects.filter(pk=command.command_id).first()
    if first_record is None:
        raise IdempotencyKeyExpiredError
    # Another user's command id is refused too: the stored response isn't for this user.
    if (first_record.fingerprint, first_record.user_id) != (digest, command.user_id):
        raise IdempotencyKeyReusedError
    return first_record


def _record(command: Command, digest: str, stored_response: str) -> CommandRecord:
    return CommandRecord(
        command_id=command.command_id,
        type=type(command).__name__,
        fingerprint=digest,
        user_id=command.user_id,
        actor=command.by.model_dump(mode="json", exclude_none=True),
        channel=command.channel,
        stored_response=stored_response,
        recorded_at=datetime.now(UTC),
    )


def has_taken_effect(command: Command) -> bool:
    """Return True if the actor of ``command`` gave a command of its type and id before.

    The payload may differ, since a policy looks at the order as it is. Without a record, which may
    be pruned, the events tell the actor.
    """
    record = CommandRecord.objects.filter(pk=command.command_id).first()
    if record is not None:
        return (record.type, record.user_id) == (type(command).__name__, command.user_id)
    events = OutboxEvent.objects.filter(command_id=command.command_id)
    own = events.filter(actor__type=command.by.type, actor__id=command.by.id)
    return own.exists() or any(
        (actor["type"], actor["id"]) == (command.by.type, command.by.id)
        for actor in (json.loads(row["actor"]) for row in detached.read_command(command.command_id))
    )


def fingerprint(command: Command) -> str:
    """Return a digest of the type and payload of ``command``; equal for a repeat."""
    content = json.dumps([type(command).__name__, command.payload()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _retry_races(act: Callable[[], _Result]) -> _Result:
    """Return the result of ``act``, which is retried when it loses a race to another transaction.

    Inside an outer transaction there is one try, since only its owner can begin it again. Raises
    ConcurrentUpdateError.
    """
    tries = 1 if connection.in_atomic_block else _TRIES
    for attempt in range(1, tries + 1):
        try:
            return act()
        except DatabaseError as error:
            if isinstance(error.__cause__, pg.LockNotAvailable):
                # The transaction has waited for lock_timeout; the caller may try again.
                raise ConcurrentUpdateError from error
            if not _is_race(error):
                raise
            if attempt == tries:
                raise ConcurrentUpdateError from error
            time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS) * attempt)
    raise AssertionError("unreachable")


def _is_race(error: Exception) -> bool:
    cause = error.__cause__
    if isinstance(cause, pg.UniqueViolation):
        return cause.diag.constraint_name in _contested()
    # A migration that changes the type of a column meanwhile is a race too.
    return isinstance(cause, pg.DeadlockDetected | pg.SerializationFailure) or is_stale(error)


@cache
def _contested() -> Collection[str]:
    """Return _CONTESTED and the primary keys of aggregates, whose ids a command can choose."""
    tables = (aggregate_type._meta.db_table for aggregate_type in aggregate_types().values())
    return {*_CONTESTED, *(f"{table}_pkey" for table in tables)}


@cache
def get_command_bus() -> CommandBus:
    """Return the bus of this process, with every handler registered."""
    bus = CommandBus()
    for command_type, handler in all_handlers().items():
        bus.register(command_type, handler)
    return bus
