"""The projection that tells an order's story: one sentence per event."""

from collections.abc import Mapping, Sequence
from typing import cast
from uuid import UUID

from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actors import actor_name
from ordering_read.projections.sentences import ERASED, note_sentence, placed, tell
from ordering_read.projections.stream_rows import stored, upsert
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

_Erasure = e.NoteRedacted | e.OrderAnonymized


class OrderTimelineProjection(Projector):
    """Fills ``order_timeline``: a row for each event, which later ones mend when what it tells of
    people is erased."""

    name = "order_timeline"
    version = 2
    events = (e.OrderEvent,)
    sliced_by = "stream"
    models = (TimelineEntry,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        events = cast(Sequence[e.OrderEvent], batch)
        products = _products(events, projection_id)
        rows = [_entry(event, products, projection_id) for event in events]
        if erasures := [event for event in events if isinstance(event, _Erasure)]:
            rows = _erased(rows, erasures, projection_id)
        upsert(TimelineEntry, rows, key=["order_id", "version"])


def _entry(event: e.OrderEvent, products: Mapping[UUID, str], projection_id: int) -> TimelineEntry:
    envelope = event.recorded
    actor = actor_name(envelope.actor)
    told = tell(event, actor, products)
    visibility = TimelineEntry.Visibility
    row = TimelineEntry(
        projection_id=projection_id,
        order_id=event.order_id,
        customer_id=cast(UUID, event.customer_id),
        version=envelope.version,
        at=event.timestamp,
        sentence=told.sentence,
        customer_sentence=told.to_customer or "",
        visibility=visibility.INTERNAL if told.to_customer is None else visibility.CUSTOMER,
        icon=told.icon,
        actor=actor,
        channel=envelope.channel,
        type=event.type,
        event_id=envelope.event_id,
        # Whatever is read from the log has one.
        position=cast(int, envelope.position),
    )
    match event:
        case e.OrderItemAdded():
            row.about_id, row.about_name = event.line_id, event.name
        case e.NoteAdded():
            row.about_id = event.note_id
    return row


# --- What the products of lines are called -----------------------------------------------------
def _products(events: Sequence[e.OrderEvent], projection_id: int) -> dict[UUID, str]:
    """The products of all lines that ``events`` are about; one statement if some were added by
    earlier events."""
    products = {
        event.line_id: event.name for event in events if isinstance(event, e.OrderItemAdded)
    }
    begun = {event.order_id for event in events if isinstance(event, e.OrderCreated)}
    earlier = {event.order_id for event in events if _tells_of_lines(event)} - begun
    if earlier:
        added = [e.OrderItemAdded.__name__]
        lines = stored(TimelineEntry, projection_id, order_id=earlier, type=added)
        products |= {cast(UUID, line.about_id): line.about_name for line in lines}
    return products


def _tells_of_lines(event: e.OrderEvent) -> bool:
    return isinstance(event, e.OrderItemQuantityChanged) or hasattr(event, "items")


# --- What was erased ---------------------------------------------------------------------------
def _erased(
    rows: Sequence[TimelineEntry], erasures: Sequence[_Erasure], projection_id: int
) -> list[TimelineEntry]:
    """``rows`` and those before them, without the personal texts that were erased since."""
    known = stored(
        TimelineEntry,
        projection_id,
        order_id={event.order_id for event in erasures},
        type=(e.OrderCreated.__name__, e.NoteAdded.__name__),
    )
    entries = {(row.order_id, row.version): row for row in (*known, *rows)}
    for event in erasures:
        for row in entries.values():
            if row.order_id == event.order_id and row.version < event.recorded.version:
                _erase(row, event)
    return list(entries.values())


def _erase(row: TimelineEntry, event: _Erasure) -> None:
    is_note = row.type == e.NoteAdded.__name__
    if is_note and (isinstance(event, e.OrderAnonymized) or row.about_id == event.note_id):
        row.sentence = note_sentence(ERASED, row.actor)
        if row.visibility == TimelineEntry.Visibility.CUSTOMER:
            row.customer_sentence = note_sentence(ERASED, None)
    elif row.type == e.OrderCreated.__name__ and isinstance(event, e.OrderAnonymized):
        row.sentence = placed(ERASED, row.actor).sentence
