"""The projection of the order history: one sentence per event."""

from collections.abc import Mapping, Sequence
from typing import cast
from uuid import UUID

from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actor_names import actor_name
from ordering_read.projections.stream_rows import stored, upsert
from ordering_read.projections.timeline_sentences import sentence_of
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e


class OrderTimelineProjection(Projector):
    """Fills ``order_timeline`` with a row for each event."""

    name = "order_timeline"
    version = 3
    events = (e.OrderEvent,)
    sliced_by = "stream"
    models = (TimelineEntry,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        events = cast(Sequence[e.OrderEvent], batch)
        products = _products(events, projection_id)
        rows = [_entry(event, products, projection_id) for event in events]
        upsert(TimelineEntry, rows, key=["order_id", "version"])


def _entry(event: e.OrderEvent, products: Mapping[UUID, str], projection_id: int) -> TimelineEntry:
    envelope = event.recorded
    actor = actor_name(envelope.actor)
    sentence = sentence_of(event, actor, products)
    is_internal = sentence.customer_text is None
    visibility = TimelineEntry.Visibility
    row = TimelineEntry(
        projection_id=projection_id,
        order_id=event.order_id,
        customer_id=cast(UUID, event.customer_id),
        version=envelope.version,
        at=event.timestamp,
        sentence=sentence.text,
        customer_sentence=sentence.customer_text or "",
        visibility=visibility.INTERNAL if is_internal else visibility.CUSTOMER,
        icon=sentence.icon,
        actor=actor,
        channel=envelope.channel,
        type=event.type,
        event_id=envelope.event_id,
        # Every event that is read from the log has a position.
        position=cast(int, envelope.position),
    )
    match event:
        case e.OrderItemAdded():
            row.about_id, row.about_name = event.line_id, event.name
        case e.NoteAdded():
            row.about_id = event.note_id
    return row


# --- Product names of lines --------------------------------------------------------------------
# Events about one line; those about several lines have items.
_LINE_EVENTS = (e.OrderItemQuantityChanged, e.OrderItemPriceChanged, e.OrderMetadataChanged)


def _products(events: Sequence[e.OrderEvent], projection_id: int) -> dict[UUID, str]:
    """Return the product names of all lines that ``events`` are about.

    Reads the lines that earlier events have added, by one statement.
    """
    products = {
        event.line_id: event.name for event in events if isinstance(event, e.OrderItemAdded)
    }
    new_order_ids = {event.order_id for event in events if isinstance(event, e.OrderCreated)}
    order_ids = {event.order_id for event in events if _is_about_lines(event)} - new_order_ids
    if order_ids:
        added = [e.OrderItemAdded.__name__]
        lines = stored(TimelineEntry, projection_id, order_id=order_ids, type=added)
        products |= {cast(UUID, line.about_id): line.about_name for line in lines}
    return products


def _is_about_lines(event: e.OrderEvent) -> bool:
    if isinstance(event, e.OrderAdjustmentAdded):
        return event.part_id is not None
    return isinstance(event, _LINE_EVENTS) or "items" in vars(event)
