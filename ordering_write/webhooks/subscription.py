"""The webhook endpoints as a subscription: events become deliveries, and due ones are sent."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from django.conf import settings
from django.db.models import Exists, Min, OuterRef, Q

from config.databases import tables
from ordering_write.domain.events import DomainEvent, UndecodableEvent
from ordering_write.log import outbox
from ordering_write.subscriptions import Subscriber, Subscription
from ordering_write.subscriptions.lease import NOW
from ordering_write.webhooks import deliveries
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookParkedEvent


class WebhookSubscription(Subscription):
    """One subscriber for each enabled endpoint, which is its own checkpoint."""

    name = "webhooks"
    noun = "webhook endpoint"
    checkpoint_model = WebhookEndpoint
    parked_event_model = WebhookParkedEvent
    metric_prefix = "orders_webhook"
    metric_label = "endpoint"

    def names(self) -> Sequence[str]:
        return list(self.checkpoints().order_by("name").values_list("name", flat=True))

    def checkpoints(self) -> Any:
        return WebhookEndpoint.objects.filter(disabled_at=None)

    def passed(self) -> int | None:
        waiting = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING)
        first_waiting = waiting.aggregate(position=Min("position"))["position"]
        passed = super().passed()
        return passed if first_waiting is None or passed is None else min(passed, first_waiting - 1)

    def other_work(self) -> Q:
        due = deliveries.due_deliveries(NOW).filter(endpoint=OuterRef("pk"))
        return Q(Exists(due))

    def ensure_checkpoints(self) -> None:
        """Do nothing: an endpoint is made together with its checkpoint."""

    def run(
        self,
        *names: str,
        slices: Sequence[int] = (),
        seconds: float = math.inf,
        idle_wait: float = 0.0,
    ) -> int:
        """Make deliveries of new events, and send those that are due.

        After about ``seconds`` the rest is left to the next run.
        """
        ends_at = time.monotonic() + seconds
        # An endpoint may have been disabled or removed since it was leased.
        enabled = [name for name in self.names() if name in names]
        if not enabled:
            return 0
        applied = super().run(*enabled, seconds=seconds)
        deliveries.send_due(enabled, seconds=ends_at - time.monotonic())
        if time.monotonic() > ends_at:
            # Wake the broker: other subscribers get their turn, and then the endpoints.
            outbox.notify()
        return applied

    def subscriber(self, checkpoint: WebhookEndpoint) -> Subscriber:
        types = frozenset(checkpoint.event_types)
        return Subscriber(
            wants=lambda event: not types or _type_of(event) in types,
            apply=_make_deliveries,
            max_parked=settings.PROJECTION_MAX_PARKED_STREAMS,
            find_skip=lambda _event: None,
        )


SUBSCRIPTION = WebhookSubscription()


def _type_of(event: DomainEvent) -> str:
    return event.type if isinstance(event, UndecodableEvent) else type(event).__name__


def _make_deliveries(endpoint: WebhookEndpoint, events: Sequence[DomainEvent]) -> None:
    # Messages are made of the stored events: whether this code can decode one makes no difference.
    now = datetime.now(UTC)
    tables.insert(
        [
            WebhookDelivery(
                endpoint=endpoint,
                # Events that were read from the log have a position.
                position=cast(int, event.recorded.position),
                event_id=event.recorded.event_id,
                stream=event.recorded.stream,
                type=_type_of(event),
                due_at=now,
            )
            for event in events
        ]
    )
