"""The projection of all searches: the texts by which orders, customers and products are found."""

from collections.abc import Sequence
from typing import Any

from ordering_read.models.search import CustomerSearch, OrderSearch, ProductSearch, SearchRow
from ordering_read.projections.stream_rows import fold
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

# By base class of events: the model of the rows, their key, and the event that begins a row.
_ROWS: dict[type[DomainEvent], tuple[type[SearchRow], str, type[DomainEvent]]] = {
    e.OrderEvent: (OrderSearch, "order_id", e.OrderCreated),
    e.CustomerEvent: (CustomerSearch, "customer_id", e.CustomerRegistered),
    e.StockEvent: (ProductSearch, "product_id", e.StockItemRegistered),
}


class SearchProjection(Projector):
    """Fills ``order_search``, ``customer_search`` and ``product_search``.

    Each row is about one stream, so the row of an order has the customer's name at the time of the
    order. A search for the customer's present name finds the customer, and with the customer the
    orders.
    """

    name = "search"
    version = 2
    events = (
        e.OrderCreated,
        e.OrderItemAdded,
        e.ShipmentDispatched,
        e.TrackingUpdated,
        e.OrderTagged,
        e.OrderUntagged,
        e.OrderPoNumberChanged,
        e.NoteAdded,
        e.NoteRedacted,
        e.OrderAnonymized,
        e.CustomerRegistered,
        e.CustomerDetailsChanged,
        e.CustomerErased,
        e.StockItemRegistered,
        e.StockItemRenamed,
    )
    sliced_by = "stream"
    models = (OrderSearch, CustomerSearch, ProductSearch)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        for base, (model, key, begins) in _ROWS.items():
            if events := [event for event in batch if isinstance(event, base)]:
                fold(model, events, projection_id, key=key, begins=begins, change=_change)


def _change(row: Any, event: DomainEvent) -> None:
    match event:
        case e.OrderCreated():
            row.customer_id = event.customer_id
            row.set_text("number", event.order_number)
            row.set_text("reference", event.external_reference)
            row.set_text("po", event.po_number)
            row.set_text("customer", event.customer.name)
            row.set_text("email", event.customer.email)
        case e.OrderPoNumberChanged():
            row.set_text("po", event.po_number)
        case e.OrderItemAdded():
            row.set_text(f"line:{event.line_id}", f"{event.sku} {event.name}")
        case e.ShipmentDispatched() | e.TrackingUpdated() if event.tracking_number:
            row.set_text(f"tracking:{event.shipment_id}", event.tracking_number)
        case e.OrderTagged():
            row.set_text(f"tag:{event.tag}", event.tag)
        case e.OrderUntagged():
            row.set_text(f"tag:{event.tag}", None)
        case e.NoteAdded():
            name = "note" if event.visibility == "internal" else "public-note"
            row.set_text(f"{name}:{event.note_id}", event.text)
        case e.CustomerRegistered() | e.CustomerDetailsChanged():
            for name in ("name", "email", "phone"):
                if (text := getattr(event, name)) is not None:
                    row.set_text(name, text)
        case e.StockItemRegistered():
            row.set_text("sku", event.sku)
            row.set_text("name", event.name)
        case e.StockItemRenamed():
            row.set_text("name", event.name)
