"""The projection of the fulfilment queue: the units that are yet to be packed or dispatched."""

from collections.abc import Sequence
from typing import Any

from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.projections.stream_rows import fold
from ordering_read.projector import Projector
from ordering_write.published import DomainEvent
from ordering_write.published import events as e

# The change of the units of a line for each unit of the event.
_COUNTS: dict[type[e.OrderEvent], dict[str, int]] = {
    e.OrderItemsCancelled: {"open": -1},
    e.ItemsHandedOver: {"open": -1},
    e.ShipmentCreated: {"open": -1, "packed": 1},
    e.ShipmentVoided: {"open": 1, "packed": -1},
    e.ShipmentDispatched: {"packed": -1},
}


class FulfilmentQueueProjection(Projector):
    """Fills ``fulfilment_queue`` from the events of orders.

    The rows don't say which units of an order are backordered: the events of stock do, and queries
    look these units up in ``stock_reservation``. So each row belongs to one stream, and is rebuilt,
    verified and repaired like all others.
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
            _set_address(row, event.shipping_address)
        case e.ShippingAddressChanged():
            _set_address(row, event.to_address)
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


def _set_address(row: QueuedOrder, address: e.PostalAddress | None) -> None:
    if address is None:
        row.city = row.postal_code = row.country = ""
        return
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
                "requires_shipping": event.requires_shipping is not False,
            }
        case e.OrderItemQuantityChanged():
            row.lines[str(event.line_id)]["open"] += event.to_quantity - event.from_quantity
        case e.OrderCancelled():
            row.lines = {}
        case e.ShipmentFailed(resend=True):
            for item in event.items:
                row.lines[str(item.line_id)]["open"] += item.quantity
        case _ if type(event) in _COUNTS:
            for item in event.items:
                line = row.lines[str(item.line_id)]
                for column, count in _COUNTS[type(event)].items():
                    line[column] += count * item.quantity
        case _:
            return
    row.count_units()
