"""The timers: what is due is done, by any number of workers at once."""

import logging
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from uuid import UUID

from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from config import logs
from config.databases import retry, tables
from ordering_write import log
from ordering_write.bus import get_command_bus
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import (
    IdempotencyKeyExpiredError,
    IdempotencyKeyReusedError,
    InvalidOperationError,
)
from ordering_write.domain.events import UndecodableEvent
from ordering_write.models import Timer
from ordering_write.policies.base import Occasion
from ordering_write.policies.registry import POLICIES

logger = logging.getLogger(__name__)

# How long a timer belongs to the worker that took it: what it costs when that one is killed. The
# ports answer within ten seconds.
LEASE = timedelta(seconds=30)
# Taken at once, for so many seconds; those that a worker doesn't get to by then are given back.
_AT_ONCE, _SECONDS_AT_MOST = 20, 10.0
# The pauses between the tries double from a second to an hour; after some two hours it is parked.
TRIES = 14
_LONGEST_PAUSE = timedelta(hours=1)

# A try is counted before it begins: one that kills the worker can't be counted afterwards.
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
# Nobody waits for the disk: if a crash of the database brings the timer back, it fires again, like
# that of a worker that was killed.
_FORGET = """
DELETE FROM policy_timer USING set_config('synchronous_commit', 'off', true) WHERE id = %s
"""


class WorkerKilledError(Exception):
    """Each worker that tried it was killed, or did not come back in time."""


def run_due(*, now: datetime | None = None, seconds: float = math.inf) -> int:
    """Do what is due, or what of it about ``seconds`` suffice for; returns how many timers fired.

    ``now`` (UTC) is what time it is taken to be: the clock's, unless it is given. Any number of
    workers may be at it at once.
    """
    ends_at = time.monotonic() + seconds
    fired = 0
    while time.monotonic() < ends_at and (taken := _take(now or _clock())):
        fired += _fire(taken, now=now, until=min(ends_at, time.monotonic() + _SECONDS_AT_MOST))
    return fired


def parked() -> QuerySet[Timer]:
    """The timers that were given up, but for those that were skipped."""
    return Timer.objects.filter(skipped_at=None).exclude(parked_at=None)


def retry_parked() -> int:
    """Let the timers that were given up be tried again, at once; returns how many those are."""
    return parked().update(parked_at=None, tries=0, leased_until=None)


def skip_parked(timer_id: UUID, *, reason: str, by: str) -> bool:
    """Never do what a timer that was given up is for; False when there is none with this id.

    Its row stays, with the ``reason`` and ``by`` whom.
    """
    rows = parked().filter(pk=timer_id)
    is_skipped = bool(rows.update(skipped_at=Now(), skipped_by=by, skip_reason=reason))
    if is_skipped:
        logger.warning("The timer %s is skipped, as %s wants: %s", timer_id, by, reason)
    return is_skipped


def _clock() -> datetime:
    return datetime.now(UTC)


def _take(now: datetime) -> list[Timer]:
    asked = {"now": now, "until": now + LEASE, "policies": list(POLICIES), "limit": _AT_ONCE}
    take = _TAKE.format(columns=", ".join(tables.columns(Timer)))
    return sorted(tables.load(Timer, take, asked), key=attrgetter("due_at", "position"))


def _fire(timers: Sequence[Timer], *, now: datetime | None, until: float) -> int:
    """Let timers that were taken fire, one by one, until that time is over; returns how many."""
    for number, timer in enumerate(timers):
        if time.monotonic() > until:
            left = Timer.objects.filter(pk__in=[one.pk for one in timers[number:]])
            left.update(leased_until=None, tries=F("tries") - 1)
            return number
        with logs.belonging_to(policy=timer.policy, cause=timer.event_id):
            _try(timer, now or _clock())
    return len(timers)


def _try(timer: Timer, now: datetime) -> None:
    """Let one timer fire; it is gone if that went well."""
    try:
        pause = _act(timer, now)
    except Exception as error:
        if retry.is_transient(error):
            # Nothing can be kept now; the lease brings it back.
            raise
        _keep(timer, error, now)
        return
    if pause is None:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [timer.pk])
    else:
        again = {"due_at": now + pause, "leased_until": None, "tries": 0, "error": ""}
        Timer.objects.filter(pk=timer.pk).update(**again)


def _act(timer: Timer, now: datetime) -> timedelta | None:
    """Do what the timer is for; how long to wait before it fires again, None when it is done."""
    if timer.tries > TRIES:
        raise WorkerKilledError(WorkerKilledError.__doc__)
    [event] = log.read_at([timer.position])
    if isinstance(event, UndecodableEvent):
        raise log.UndecodableEventError(event)
    policy = POLICIES[timer.policy]
    result = policy.act(Occasion(policy=policy, event=event, now=now))
    if isinstance(result, timedelta):
        return result
    for command in result:
        _give(command)
    return None


def _give(command: Command) -> None:
    try:
        get_command_bus().dispatch(command)
    except (InvalidOperationError, IdempotencyKeyReusedError, IdempotencyKeyExpiredError) as no:
        # It is so already, or not possible any more, or this policy has done it before.
        logger.info("%s has nothing to do: %s", type(command).__name__, no)


def _keep(timer: Timer, error: Exception, now: datetime) -> None:
    """Keep why a timer couldn't fire, and until when it waits."""
    is_parked = timer.tries >= TRIES
    pause = min(timedelta(seconds=2 ** (timer.tries - 1)), _LONGEST_PAUSE)
    Timer.objects.filter(pk=timer.pk).update(
        # What a database adds to its first line may be personal.
        error=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
        leased_until=now + pause,
        parked_at=now if is_parked else None,
    )
    if is_parked:
        logger.error("%s is given up after %d tries.", timer, timer.tries, exc_info=error)
    elif timer.tries == 1:
        logger.warning("%s failed and will be tried again.", timer, exc_info=error)
