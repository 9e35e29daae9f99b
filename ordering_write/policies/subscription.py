"""The policies as a subscription: events become timers, and due timers are fired."""

import math
import time
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, Q

from config.databases import tables
from ordering_write.domain.errors import NotFoundError
from ordering_write.domain.events import DomainEvent, UndecodableEvent
from ordering_write.domain.values import IMPORT
from ordering_write.log import outbox
from ordering_write.models import Timer
from ordering_write.policies import timers
from ordering_write.policies.models import PolicyCheckpoint, PolicyParkedEvent
from ordering_write.policies.registry import POLICIES
from ordering_write.subscriptions import Subscriber, Subscription, parked
from ordering_write.subscriptions.lease import NOW


class NotParkedError(NotFoundError):
    """The policies have parked neither an event nor a timer with this id."""


class PolicySubscription(Subscription):
    """All policies together: one subscriber with one checkpoint.

    A new checkpoint stands at the head of the log, so that no policy acts on older events.
    """

    name = "policies"
    checkpoint_model = PolicyCheckpoint
    parked_event_model = PolicyParkedEvent
    metric_prefix = "orders_policies"
    metric_label = ""
    starts_at_head = True

    def names(self) -> Sequence[str]:
        return [self.name]

    def other_work(self) -> Q:
        return Q(Exists(timers.due_timers(NOW)))

    def run(
        self,
        *names: str,
        slices: Sequence[int] = (),
        seconds: float = math.inf,
        idle_wait: float = 0.0,
    ) -> int:
        """Set timers for new events and fire due timers, until there is neither.

        After about ``seconds`` the rest is left to the next run. A failure is recorded on the
        checkpoint or on its timer.
        """
        ends_at = time.monotonic() + seconds
        applied = self.set_timers(seconds=seconds)
        # A command of one policy may concern another policy.
        while timers.run_due(seconds=ends_at - time.monotonic()):
            applied += self.set_timers(seconds=max(0.0, ends_at - time.monotonic()))
        if time.monotonic() > ends_at:
            # Wake the broker: other subscribers get their turn, and then the policies.
            outbox.notify()
        return applied

    def set_timers(self, *, seconds: float = math.inf) -> int:
        """Set timers for new events without firing any; returns the number of events."""
        return super().run(self.name, seconds=seconds)

    def subscriber(self, checkpoint: Any) -> Subscriber:
        return Subscriber(
            wants=_wants,
            apply=_set_timers,
            max_parked=settings.PROJECTION_MAX_PARKED_STREAMS,
            find_skip=lambda _event: None,
        )


SUBSCRIPTION = PolicySubscription()


def retry() -> int:
    """Apply parked events at once, and let parked timers fire in the next run.

    Returns the number of these events and timers.
    """
    retried = parked.retry(SUBSCRIPTION, parked.blocking_events(SUBSCRIPTION))
    return sum(stream.applied for stream in retried) + timers.retry_parked()


def skip(parked_id: UUID, *, reason: str, by: str) -> None:
    """Skip a parked timer, by its id, or an event that blocks a stream, by its event id.

    Events that wait behind a skipped event are applied. The row stays, with the ``reason`` and the
    name of the operator, ``by``. Raises NotParkedError, and for events EventWaitsError and
    EventSkippedError.
    """
    event = parked.parked_events(SUBSCRIPTION).filter(event_id=parked_id).first()
    try:
        if event is not None:
            parked.skip(SUBSCRIPTION, event, reason=reason, by=by)
        elif not timers.skip_parked(parked_id, reason=reason, by=by):
            raise NotParkedError
    except parked.ParkedEventNotFoundError:
        raise NotParkedError from None


def parked_events() -> list[PolicyParkedEvent]:
    """Return the events that block their streams."""
    return list(parked.blocking_events(SUBSCRIPTION))


def skipped() -> list[PolicyParkedEvent | Timer]:
    """Return the skipped events and timers."""
    events = parked.parked_events(SUBSCRIPTION).exclude(skipped_at=None)
    return [*events, *Timer.objects.exclude(skipped_at=None)]


def _wants(event: DomainEvent) -> bool:
    if event.recorded.channel == IMPORT:
        # An imported event is older than this service, and another system has acted on the event.
        return False
    event_type: type[DomainEvent] | None = type(event)
    if isinstance(event, UndecodableEvent):
        event_type = DomainEvent.types.get(event.type)
    # No policy asks for an unknown type.
    return event_type is not None and any(
        issubclass(event_type, policy.events) for policy in POLICIES.values()
    )


def _set_timers(_checkpoint: PolicyCheckpoint, events: Sequence[DomainEvent]) -> None:
    timers_to_set = [
        Timer(
            id=policy.key(event),
            policy=policy.name,
            stream=event.recorded.stream,
            event_id=event.recorded.event_id,
            # Events that were read from the log have a position.
            position=cast(int, event.recorded.position),
            due_at=due_at,
        )
        for event in events
        for policy in POLICIES.values()
        if isinstance(event, policy.events) and (due_at := policy.when(event)) is not None
    ]
    tables.insert(timers_to_set)
