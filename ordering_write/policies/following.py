"""Following the log for the policies: what has happened becomes timers, what is due is done."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from django.apps.registry import Apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import QuerySet

from ordering_write import log, subscriptions
from ordering_write.domain.errors import NotFoundError
from ordering_write.domain.events import DomainEvent, UndecodableEvent
from ordering_write.log import outbox
from ordering_write.models import Timer
from ordering_write.policies import timers
from ordering_write.policies.models import PolicyCheckpoint, PolicyParkedEvent
from ordering_write.policies.registry import POLICIES
from ordering_write.subscriptions import parking
from ordering_write.subscriptions.parking import Subscriber

_NAME = "policies"


class NotParkedError(NotFoundError):
    """Neither an event nor a timer that the policies have parked has this id."""


# A lease that is over was never given back: see ``Start`` in checkpoints.py.
_LEASE = """
UPDATE policy_checkpoint SET
    leased_until = statement_timestamp() + make_interval(secs => %(lease)s),
    start = CASE WHEN leased_until IS NULL THEN start WHEN start < 2 THEN 1 ELSE 3 END
WHERE id IN (
    SELECT id FROM policy_checkpoint
    WHERE name = %(name)s AND (leased_until IS NULL OR leased_until < statement_timestamp())
      AND (position <> (SELECT coalesce(max(position), 0) FROM event_position)
      OR EXISTS (SELECT FROM event_pending)
      OR EXISTS (
        SELECT FROM policy_timer
        WHERE parked_at IS NULL AND due_at <= %(now)s AND policy = ANY(%(policies)s)
          AND (leased_until IS NULL OR leased_until <= %(now)s)
      ))
    FOR UPDATE SKIP LOCKED
)
"""


def due() -> bool:
    """Whether there is something to do for the policies and nobody is at it; whoever hears so has
    ``subscriptions.LEASE`` to begin with ``run``."""
    with connection.cursor() as cursor:
        cursor.execute(
            _LEASE,
            {
                "lease": subscriptions.LEASE.total_seconds(),
                "name": _NAME,
                "now": datetime.now(UTC),
                "policies": list(POLICIES),
            },
        )
        return bool(cursor.rowcount)


def run(*, seconds: float = math.inf) -> None:
    """Set the timers for what the log has after the checkpoint, and do what is due, until there
    is nothing more; after about ``seconds`` the rest is left to the next run.

    What fails is kept, on the checkpoint or on the timer.
    """
    set_timers(seconds=seconds)
    ends_at = time.monotonic() + seconds
    # What one policy has done may be something for another.
    while timers.run_due(seconds=ends_at - time.monotonic()):
        set_timers(seconds=max(0.0, ends_at - time.monotonic()))
    if time.monotonic() > ends_at:
        # Others had to wait: let them have their turn, and then us.
        outbox.notify()


def set_timers(*, seconds: float = math.inf) -> None:
    """Let the policies look at what the log has after the checkpoint; nothing is done yet."""
    subscriptions.catch_up(
        checkpoints(),
        lambda _checkpoint: subscriber(),
        batch=settings.PROJECTION_BATCH,
        seconds=seconds,
    )


def retry() -> int:
    """Try what was parked again: events at once, timers in the next run; returns how many events
    and timers those are."""
    applied = sum(parking.retry(checkpoints(), one.stream, subscriber()) for one in parked())
    return applied + timers.retry_parked()


def skip(parked_id: UUID, *, reason: str, by: str) -> None:
    """Do nothing about what is parked: a timer, by its id, or the event that holds up its stream,
    by that of the event; what waits behind that one is then looked at.

    The row stays, with the ``reason`` and ``by`` whom. Raises NotParkedError, and EventWaitsError
    and EventSkippedError for events.
    """
    event = PolicyParkedEvent.objects.filter(checkpoint__name=_NAME, event_id=parked_id).first()
    if event is None:
        if not timers.skip_parked(parked_id, reason=reason, by=by):
            raise NotParkedError
        return
    try:
        parking.skip(checkpoints(), event, subscriber(), reason=reason, by=by)
    except PolicyParkedEvent.DoesNotExist:
        raise NotParkedError from None


def skipped() -> list[PolicyParkedEvent | Timer]:
    """The events and timers that were skipped, with by whom and why."""
    events = PolicyParkedEvent.objects.exclude(skipped_at=None)
    return [*events, *Timer.objects.exclude(skipped_at=None)]


def parked() -> list[PolicyParkedEvent]:
    """The events that hold up their streams."""
    rows = PolicyParkedEvent.objects.filter(checkpoint__name=_NAME, skipped_at=None)
    return list(rows.exclude(category=PolicyParkedEvent.Category.WAITING))


def keep_checkpoint() -> None:
    """Make sure that there is a checkpoint. A new one stands at the head of the log, so that no
    policy acts on what has happened before."""
    if checkpoints().exists():
        return
    log.sequence()
    position = log.last_position()
    log_id, event_id = log.mark(position)
    new = PolicyCheckpoint(name=_NAME, position=position, event_id=event_id, log_id=log_id)
    PolicyCheckpoint.objects.bulk_create([new], ignore_conflicts=True)


def keep_checkpoint_after_migrate(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Make sure of it when the table was migrated (a receiver of ``post_migrate``)."""
    if using == DEFAULT_DB_ALIAS and "policycheckpoint" in apps.all_models["ordering_write"]:
        keep_checkpoint()


def checkpoints() -> QuerySet[PolicyCheckpoint]:
    """The one checkpoint."""
    return PolicyCheckpoint.objects.filter(name=_NAME)


def subscriber() -> Subscriber:
    """What follows the log for all policies."""
    return Subscriber(
        wants=_wants,
        apply=_set_timers,
        max_parked=settings.PROJECTION_MAX_PARKED_STREAMS,
        skip_of=lambda _event: None,
    )


def _wants(event: DomainEvent) -> bool:
    kind: type[DomainEvent] | None = type(event)
    if isinstance(event, UndecodableEvent):
        kind = DomainEvent.types.get(event.type)
    # No policy knows anything of a type that is unknown.
    return kind is not None and any(issubclass(kind, one.events) for one in POLICIES.values())


def _set_timers(_checkpoint: PolicyCheckpoint, events: Sequence[DomainEvent]) -> None:
    Timer.objects.bulk_create(
        Timer(
            id=policy.key(event),
            policy=policy.name,
            stream=event.recorded.stream,
            event_id=event.recorded.event_id,
            # Whatever is read from the log has one.
            position=cast(int, event.recorded.position),
            due_at=due_at,
        )
        for event in events
        for policy in POLICIES.values()
        if isinstance(event, policy.events) and (due_at := policy.when(event)) is not None
    )
