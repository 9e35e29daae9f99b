"""The command bus: the one way in which anything on the write side happens."""

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection
from django.utils.module_loading import import_string
from psycopg import errors as pg

from config import logs
from ordering_write import log
from ordering_write.bus import metrics
from ordering_write.bus.preview import Preview, preview_of, row_of
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import (
    ConcurrentUpdateError,
    DomainError,
    IdempotencyInFlightError,
    IdempotencyKeyExpiredError,
    IdempotencyKeyReusedError,
    NoHandlerFoundError,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers import CommandHandler, all_handlers
from ordering_write.log import outbox
from ordering_write.models import CommandRecord

logger = logging.getLogger(__name__)

_TRIES = 3

# A command whose record was pruned is known by its events for ever, so that it can't happen twice.
_RECORD = """
INSERT INTO command_record
    (command_id, type, fingerprint, user_id, actor, channel, answer, recorded_at)
SELECT %s, %s, %s, %s, %s, %s, '', now()
WHERE NOT EXISTS (SELECT FROM event WHERE event.command_id = %s)
ON CONFLICT DO NOTHING
"""
_KEEP_ANSWER = "UPDATE command_record SET answer = %s WHERE command_id = %s"


class NotYetVisibleError(Exception):
    """The command was accepted, but the read side doesn't show it yet."""

    def __init__(self, events: "Outcome") -> None:
        super().__init__(self.__doc__)
        self.events = events


class Outcome(list[DomainEvent]):
    """The events of a command; ``replayed`` when they are those of an earlier time.

    ``answer`` is what the caller was told then, empty when that wasn't kept.
    """

    replayed = False
    answer = ""


# What a caller is told about an outcome, as it is kept with the command.
Answering = Callable[[Outcome], str]
_Result = TypeVar("_Result")


class CommandBus:
    """Finds the handler of a command and runs it in one transaction, at most once."""

    def __init__(self) -> None:
        self._handlers: dict[type[Command], CommandHandler[Any]] = {}

    @property
    def commands(self) -> list[type[Command]]:
        """The kinds of command that it takes."""
        return list(self._handlers)

    def register(self, command_type: type[Command], handler: CommandHandler[Any]) -> None:
        """Let ``handler`` carry out commands of exactly this type."""
        self._handlers[command_type] = handler

    def dispatch(
        self,
        command: Command,
        *,
        answering: Answering | None = None,
        wait_for: Sequence[str] | None = None,
        timeout: float = 2.0,
    ) -> Outcome:
        """Carry out ``command`` and return its events, with their envelopes.

        A command whose id has taken effect before returns the events of that time. What
        ``answering`` makes of them is kept with the command, so that a repeat is told the same,
        whatever has happened since. With ``wait_for``, names of projections or none for all, it
        returns once they show it, and raises NotYetVisibleError after ``timeout`` seconds; the
        command stands all the same.

        Raises NoHandlerFoundError, IdempotencyKeyReusedError when the id belongs to another
        command, IdempotencyKeyExpiredError when it took effect too long ago to tell, and whatever
        DomainError the handler refuses with; a refusal leaves nothing.
        """
        handler = self._handler(command)
        with _logged(command):
            events = _observed(command, handler, answering)
            if wait_for is not None and events:
                wait = import_string(settings.READ_SIDE_WAIT)
                last = events[-1].recorded.event_id
                if not wait(event_id=last, projections=wait_for, timeout=timeout):
                    raise NotYetVisibleError(events)
        return events

    async def adispatch(
        self, command: Command, *, wait_for: Sequence[str] | None = None, timeout: float = 2.0
    ) -> Outcome:
        """``dispatch`` for async callers; the handler runs in the thread of synchronous code."""
        return await sync_to_async(self.dispatch)(command, wait_for=wait_for, timeout=timeout)

    def preview(self, command: Command) -> Preview:
        """What ``dispatch`` would do, of which nothing stays: no event, no record, no number.

        An id that has taken effect before is passed over. Raises NoHandlerFoundError and whatever
        DomainError the handler refuses with.
        """
        handler = self._handler(command)
        with _logged(command):
            known = row_of(command)
            events = _decided(lambda: _rehearsed(command, handler))
            return preview_of(command, events, known=known)

    def _handler(self, command: Command) -> CommandHandler[Any]:
        handler = self._handlers.get(type(command))
        if handler is None:
            raise NoHandlerFoundError(f"No handler is registered for {type(command).__name__}.")
        return handler


def _logged(command: Command) -> AbstractContextManager[None]:
    """What is logged meanwhile names the command and who gives it."""
    return logs.bound_ids(
        command_id=command.command_id,
        correlation_id=command.correlation_id or command.command_id,
        actor=f"{command.by.type}:{command.by.id}",
    )


def _rehearsed(command: Command, handler: CommandHandler[Any]) -> list[DomainEvent]:
    with outbox.commit(keep=False):
        return handler.handle(command)


def _observed(
    command: Command, handler: CommandHandler[Any], answering: Answering | None
) -> Outcome:
    """Carry out ``command``; how it ended is counted and logged."""
    began = time.perf_counter()
    ending, reason, last = metrics.Ending.FAILED, "", None
    try:
        events = _decided(lambda: _carry_out(command, handler, answering))
        ending = metrics.Ending.REPLAYED if events.replayed else metrics.Ending.ACCEPTED
        last = events[-1].recorded.event_id if events else None
        return events
    except Exception as error:
        reason = type(error).__name__
        if isinstance(error, DomainError):
            ending = metrics.Ending.REFUSED
        raise
    finally:
        kind, seconds = type(command).__name__, time.perf_counter() - began
        metrics.count(kind, ending, reason=reason, seconds=seconds)
        fields = {"type": kind, "outcome": ending, "reason": reason, "seconds": round(seconds, 6)}
        text = f"{kind} {ending} in {seconds:.3f} s{reason and f': {reason}'}"
        logger.info("%s", text, extra={"fields": {**fields, "event_id": last}})


def _carry_out(
    command: Command, handler: CommandHandler[Any], answering: Answering | None
) -> Outcome:
    with outbox.commit():
        known = _record(command)
        if known is None:
            outcome = Outcome(handler.handle(command))
            if answering:
                outcome.answer = answering(outcome)
                with connection.cursor() as cursor:
                    cursor.execute(_KEEP_ANSWER, [outcome.answer, command.command_id])
            return outcome
    outcome = Outcome(log.read_command(command.command_id))
    outcome.replayed = True
    outcome.answer = known.answer
    return outcome


def _record(command: Command) -> CommandRecord | None:
    """Record the command; when it has taken effect before, the record of that time.

    A parallel repeat waits here until the first one commits, or takes its place if it fails.
    """
    asked = fingerprint(command)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                _RECORD,
                [
                    command.command_id,
                    type(command).__name__,
                    asked,
                    command.user_id,
                    command.by.model_dump_json(exclude_none=True),
                    command.channel,
                    command.command_id,
                ],
            )
            if cursor.rowcount:
                return None
    except OperationalError as error:
        if isinstance(error.__cause__, pg.LockNotAvailable):
            raise IdempotencyInFlightError from error
        raise
    first = CommandRecord.objects.filter(pk=command.command_id).first()
    if first is None:
        raise IdempotencyKeyExpiredError
    # Another user's id is refused too: its answer is none of this user's business.
    if (first.fingerprint, first.user_id) != (asked, command.user_id):
        raise IdempotencyKeyReusedError
    return first


def fingerprint(command: Command) -> str:
    """What ``command`` asks for, as a digest: equal for a repeat, whoever sends it and when."""
    content = json.dumps([type(command).__name__, command.payload()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _decided(decide: Callable[[], _Result]) -> _Result:
    """The result of ``decide``, which is asked again when another transaction got in the way.

    Inside an outer transaction there is one try: only whoever opened it could start it again.
    """
    tries = 1 if connection.in_atomic_block else _TRIES
    for attempt in range(1, tries + 1):
        try:
            return decide()
        except (OperationalError, IntegrityError) as error:
            if isinstance(error.__cause__, pg.LockNotAvailable):
                # It has waited for lock_timeout already; the caller decides about more.
                raise ConcurrentUpdateError from error
            if not _is_race(error):
                raise
            if attempt == tries:
                raise ConcurrentUpdateError from error
            time.sleep(random.uniform(0, 0.05) * attempt)
    raise AssertionError("unreachable")


def _is_race(error: Exception) -> bool:
    cause = error.__cause__
    if isinstance(cause, pg.UniqueViolation):
        return cause.diag.constraint_name == "event_stream_version_unique"
    return isinstance(cause, pg.DeadlockDetected | pg.SerializationFailure)


@cache
def get_command_bus() -> CommandBus:
    """The bus of this process, with every handler registered."""
    bus = CommandBus()
    for command_type, handler in all_handlers().items():
        bus.register(command_type, handler)
    return bus
