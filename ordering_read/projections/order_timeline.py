"""The projection that tells an order's story: one sentence per event."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast
from uuid import UUID

from ordering_read.engine.base import Projector
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actors import actor_name
from ordering_read.projections.stream_rows import upsert
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class OrderTimelineProjection(Projector):
    """Fills ``order_timeline``."""

    name = "order_timeline"
    version = 1
    events = (e.OrderEvent,)
    sliced_by = "stream"
    models = (TimelineEntry,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        rows = [_entry(event, projection_id) for event in cast(Sequence[e.OrderEvent], batch)]
        upsert(TimelineEntry, rows, key=["order_id", "version"])


class _Told(NamedTuple):
    """A sentence for those who work here, and the customer's; None when that isn't for them."""

    sentence: str
    to_customer: str | None


def _entry(event: e.OrderEvent, projection_id: int) -> TimelineEntry:
    envelope = event.recorded
    sentence, to_customer = _tell(event)
    internal = to_customer is None
    visibility = TimelineEntry.Visibility
    return TimelineEntry(
        projection_id=projection_id,
        order_id=event.order_id,
        customer_id=cast(UUID, event.customer_id),
        version=envelope.version,
        at=event.timestamp,
        sentence=sentence,
        customer_sentence=to_customer or "",
        visibility=visibility.INTERNAL if internal else visibility.CUSTOMER,
        actor=actor_name(envelope.actor),
        channel=envelope.channel,
        type=event.type,
        event_id=envelope.event_id,
        # Whatever is read from the log has one.
        position=cast(int, envelope.position),
    )


def _tell(event: e.OrderEvent) -> _Told:
    match event:
        case e.OrderCreated():
            return _everybody(f"{event.customer.name} placed the order")
        case e.OrderItemAdded():
            price = f"{event.unit_price.amount} {event.unit_price.currency}"
            return _everybody(f"{event.quantity} × {event.name} added at {price}")
        case e.OrderAdjustmentAdded(amount=amount):
            sign = "-" if event.kind == "discount" else ""
            return _everybody(f"{event.label}: {sign}{amount.amount} {amount.currency}")
        case e.OrderTagged():
            return _staff(f"Tagged {event.tag}")
        case e.NoteAdded(visibility="customer"):
            return _everybody(f"Note: {event.text}")
        case e.NoteAdded():
            return _staff(f"Note: {event.text}")
        case e.OrderStatusChanged():
            return _with_reason(_STATUS_SENTENCES[event.to_status], event.reason)
        case e.OrderCancelled():
            return _with_reason("Cancelled", event.reason)
        case e.ShipmentCreated():
            return _everybody(f"Packed {_units(event.items)}")
        case e.ShipmentDispatched():
            return _everybody(f"Shipped {_units(event.items)}")
        case e.ShipmentDelivered():
            return _everybody(f"Delivered {_units(event.items)}")
        case _:
            return _staff(event.type)


# What OrderStatusChanged can say; other statuses follow from facts.
_STATUS_SENTENCES = {
    e.OrderStatus.CONFIRMED: "Confirmed",
    e.OrderStatus.PROCESSING: "Picking started",
    e.OrderStatus.COMPLETED: "Completed",
}


def _everybody(sentence: str) -> _Told:
    return _Told(sentence, sentence)


def _staff(sentence: str) -> _Told:
    return _Told(sentence, None)


def _with_reason(sentence: str, reason: str) -> _Told:
    # Why is told among those who work here: it may be a suspicion.
    return _Told(f"{sentence}: {reason}" if reason else sentence, sentence)


def _units(items: Iterable[e.Units]) -> str:
    count = sum(item.quantity for item in items)
    return "1 unit" if count == 1 else f"{count} units"
