"""The projection behind the warehouse's queue: what is left to be done with goods."""

from collections.abc import Sequence
from typing import Any

from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.projections.stream_rows import fold
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

# What each event does to the units of its lines.
_COUNTS: dict[type[e.OrderEvent], dict[str, int]] = {
    e.OrderItemsCancelled: {"open": -1},
    e.ShipmentCreated: {"open": -1, "packed": 1},
    e.ShipmentVoided: {"open": 1, "packed": -1},
    e.ShipmentDispatched: {"packed": -1},
}


class FulfilmentQueueProjection(Projector):
    """Fills ``fulfilment_queue`` from what has happened to orders.

    Whether the units of a line are there is no fact of its order: every unit of an order is
    reserved when the order is placed, but of a product that may be back-ordered more can be
    reserved than is on hand, and each delivery changes that for many orders. So the rows say which
    products an order waits for, and whoever reads them asks ``inventory_level`` whether these are
    there. A delivery then writes one row and not those of all who have waited for it, and each row
    belongs to one stream, so that it is rebuilt, verified and repaired like every other.
    """

    name = "fulfilment_queue"
    version = 1
    events = (e.OrderEvent,)
    sliced_by = "stream"
    models = (QueuedOrder,)

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        fold(
            QueuedOrder,
            batch,
            projection_id,
            key="order_id",
            begins=e.OrderCreated,
            change=_change,
        )


def _change(row: QueuedOrder, event: e.OrderEvent) -> None:
    match event:
        case e.OrderCreated():
            row.order_number = event.order_number
            row.placed_at = event.placed_at
            _send_to(row, event.shipping_address)
        case e.ShippingAddressChanged():
            _send_to(row, event.to_address)
        case e.OrderAnonymized():
            _send_to(row, e.PostalAddress(**e.ERASED_ADDRESS))
        case e.OrderHeld():
            row.hold_reason = event.reason
        case e.OrderAssigned():
            row.assigned_to = event.assignee or ""
        case _:
            _move_units(row, event)
    if event.status is not None:
        row.status = event.status
    if event.on_hold is False:
        row.hold_reason = ""
    if event.balance is not None:
        row.balance = event.balance.amount
    if event.authorized is not None:
        row.authorized = event.authorized.amount


def _send_to(row: QueuedOrder, address: e.PostalAddress) -> None:
    row.city, row.postal_code, row.country = address.city, address.postal_code, address.country


def _move_units(row: QueuedOrder, event: Any) -> None:
    match event:
        case e.OrderItemAdded():
            row.lines[str(event.line_id)] = {
                "product_id": str(event.product_id),
                "sku": event.sku,
                "name": event.name,
                "open": event.quantity,
                "packed": 0,
            }
        case e.OrderItemQuantityChanged():
            row.lines[str(event.line_id)]["open"] += event.to_quantity - event.from_quantity
        case e.OrderCancelled():
            row.lines = {}
        case _ if type(event) in _COUNTS:
            for item in event.items:
                line = row.lines[str(item.line_id)]
                for column, count in _COUNTS[type(event)].items():
                    line[column] += count * item.quantity
        case _:
            return
    row.count()
