"""Fires the timers that are due; any number of workers may do so at once."""

import logging
import math
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from uuid import UUID

from django.db import connection
from django.db.models import Expression, F, Q, QuerySet
from django.db.models.functions import Now

from config import logs
from config.databases import prepared, retry, tables
from ordering_write import log
from ordering_write.bus import get_command_bus, has_taken_effect
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import (
    IdempotencyKeyExpiredError,
    IdempotencyKeyReusedError,
    InvalidOperationError,
)
from ordering_write.domain.events import DomainEvent, UndecodableEvent
from ordering_write.models import Timer
from ordering_write.policies.base import Trigger
from ordering_write.policies.registry import BY_NAME

logger = logging.getLogger(__name__)

# The time for which a timer belongs to the worker that took it: the delay if the worker is killed.
# Ports answer within ten seconds.
LEASE = timedelta(seconds=30)
# Timers taken in one go, and the seconds after which a worker gives back those it hasn't fired.
_BATCH, _BATCH_SECONDS = 20, 10.0
# The pauses between tries double from a second to an hour: after some two hours a timer is parked.
TRIES = 14
_LONGEST_PAUSE = timedelta(hours=1)

# A try is counted before it begins, since a try that kills the worker can't be counted afterwards.
_TAKE = """
UPDATE policy_timer SET leased_until = %(until)s, tries = tries + 1
WHERE id IN (
    SELECT id FROM policy_timer
    WHERE parked_at IS NULL AND due_at <= %(now)s AND policy = ANY(%(policies)s)
      AND (leased_until IS NULL OR leased_until <= %(now)s)
    ORDER BY due_at, position LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING {columns}
"""
# Without waiting for the disk: a timer that a crash of the database brings back fires again, like
# the timer of a worker that was killed.
_DELETE = """
DELETE FROM policy_timer USING set_config('synchronous_commit', 'off', true) WHERE id = %s
"""


class WorkerKilledError(Exception):
    """Each worker that fired this timer was killed, or took too long."""


class EventMissingError(Exception):
    """The event of a timer isn't in the log, which was replaced."""


class ForeignCommandError(Exception):
    """Somebody else gave another command with the id of this policy's command."""


def due_timers(now: datetime | Expression) -> "QuerySet[Timer]":
    """Return the timers that may be fired at ``now`` (UTC)."""
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return Timer.objects.filter(free, parked_at=None, due_at__lte=now, policy__in=list(BY_NAME))


def run_due(*, now: datetime | None = None, seconds: float = math.inf) -> int:
    """Fire due timers for about ``seconds``; returns how many were fired.

    ``now`` (UTC) is the time of the clock unless given. Any number of workers may do this at once.
    """
    ends_at = time.monotonic() + seconds
    fired = 0
    while time.monotonic() < ends_at and (taken := _take(now or _clock())):
        fired += _fire(taken, now=now, until=min(ends_at, time.monotonic() + _BATCH_SECONDS))
    return fired


def parked_timers() -> "QuerySet[Timer]":
    """Return the parked timers, without those that were skipped."""
    return Timer.objects.filter(skipped_at=None).exclude(parked_at=None)


def retry_parked(keys: Collection[UUID] | None = None) -> int:
    """Let parked timers fire again, at once; returns their number.

    ``keys`` restricts them to these ids.
    """
    rows = parked_timers() if keys is None else parked_timers().filter(pk__in=keys)
    return rows.update(parked_at=None, tries=0, leased_until=None)


def skip_parked(timer_id: UUID, *, reason: str, by: str) -> bool:
    """Never fire a parked timer; return False if no parked timer has this id.

    The row stays, with the ``reason`` and the name of the operator, ``by``.
    """
    rows = parked_timers().filter(pk=timer_id)
    is_skipped = bool(rows.update(skipped_at=Now(), skipped_by=by, skip_reason=reason))
    if is_skipped:
        logger.warning("The timer %s is skipped by %s: %s", timer_id, by, reason)
    return is_skipped


def _clock() -> datetime:
    return datetime.now(UTC)


def _take(now: datetime) -> list[Timer]:
    statement = _TAKE.format(columns=", ".join(tables.columns(Timer)))
    parameters = {
        "now": now,
        "until": now + LEASE,
        "policies": list(BY_NAME),
        "limit": _BATCH,
    }
    return sorted(tables.load(Timer, statement, parameters), key=attrgetter("due_at", "position"))


def _fire(timers: Sequence[Timer], *, now: datetime | None, until: float) -> int:
    """Fire taken timers one by one until the monotonic time ``until``; returns how many."""
    events = {
        event.recorded.position: event
        for event in log.read_at([timer.position for timer in timers])
    }
    for number, timer in enumerate(timers):
        if time.monotonic() > until:
            unfired = Timer.objects.filter(pk__in=[timer.pk for timer in timers[number:]])
            unfired.update(leased_until=None, tries=F("tries") - 1)
            return number
        with logs.bound_ids(policy=timer.policy, cause=timer.event_id):
            _try(timer, events.get(timer.position), now or _clock())
    return len(timers)


def _try(timer: Timer, event: DomainEvent | None, now: datetime) -> None:
    """Fire one timer about ``event``, and delete it if that succeeds."""
    try:
        pause = _act(timer, event, now)
    except Exception as error:
        if retry.is_transient(error):
            # The failure can't be recorded now; the timer fires again when its lease ends.
            raise
        _record_failure(timer, error, now)
        return
    if pause is None:
        prepared.fetch(connection.alias, _DELETE, [timer.pk])
    else:
        fields = {"due_at": now + pause, "leased_until": None, "tries": 0, "error": ""}
        Timer.objects.filter(pk=timer.pk).update(**fields)


def _act(timer: Timer, event: DomainEvent | None, now: datetime) -> timedelta | None:
    """Let the policy of a timer act; returns the pause before the next time, None if it is done."""
    if timer.tries > TRIES:
        raise WorkerKilledError(WorkerKilledError.__doc__)
    if event is None:
        raise EventMissingError(f"The log has no event at position {timer.position}.")
    if isinstance(event, UndecodableEvent):
        raise log.UndecodableEventError(event)
    policy = BY_NAME[timer.policy]
    result = policy.act(Trigger(policy=policy, event=event, now=now, key=timer.id))
    if isinstance(result, timedelta):
        return result
    for command in result:
        _dispatch(command)
    return None


def _dispatch(command: Command) -> None:
    try:
        get_command_bus().dispatch(command)
    except InvalidOperationError as error:
        # The order has that state already or can't reach it.
        logger.info("%s has nothing to do: %s", type(command).__name__, error)
    except (IdempotencyKeyReusedError, IdempotencyKeyExpiredError) as error:
        if not has_taken_effect(command):
            raise ForeignCommandError(ForeignCommandError.__doc__) from error
        logger.info("%s was given before: %s", type(command).__name__, error)


def _record_failure(timer: Timer, error: Exception, now: datetime) -> None:
    """Write to a timer why it failed and when to try again; park it after the last try."""
    is_parked = timer.tries >= TRIES
    pause = min(timedelta(seconds=2 ** (timer.tries - 1)), _LONGEST_PAUSE)
    Timer.objects.filter(pk=timer.pk).update(
        # PostgreSQL appends the row to its first line, which may be personal.
        error=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
        leased_until=now + pause,
        parked_at=now if is_parked else None,
    )
    if is_parked:
        logger.error("%s is given up after %d tries.", timer, timer.tries, exc_info=error)
    elif timer.tries == 1:
        logger.warning("%s failed and will be tried again.", timer, exc_info=error)
