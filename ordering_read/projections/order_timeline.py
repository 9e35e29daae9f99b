"""The projection of the order history: one sentence per event."""

from collections.abc import Mapping, Sequence
from typing import cast
from uuid import UUID

from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actor_names import actor_name
from ordering_read.projections.stream_rows import stored, upsert
from ordering_read.projections.timeline_sentences import (
    ERASED,
    note_sentence,
    placed_sentence,
    sentence_of,
)
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

_Erasure = e.NoteRedacted | e.OrderAnonymized


class OrderTimelineProjection(Projector):
    """Fills ``order_timeline`` with a row for each event.

    Events that erase personal texts change earlier rows.
    """

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
            rows = _erase_texts(rows, erasures, projection_id)
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
    return isinstance(event, e.OrderItemQuantityChanged) or hasattr(event, "items")


# --- Erasure -----------------------------------------------------------------------------------
def _erase_texts(
    rows: Sequence[TimelineEntry], erasures: Sequence[_Erasure], projection_id: int
) -> list[TimelineEntry]:
    """Return ``rows`` and earlier rows of the orders, without the personal texts that ``erasures``
    erase."""
    stored_rows = stored(
        TimelineEntry,
        projection_id,
        order_id={event.order_id for event in erasures},
        type=(e.OrderCreated.__name__, e.NoteAdded.__name__),
    )
    entries = {(row.order_id, row.version): row for row in (*stored_rows, *rows)}
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
        row.sentence = placed_sentence(ERASED, row.actor).text
