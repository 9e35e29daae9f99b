"""Words for customers: the states of orders, units, parcels and returns."""

from collections.abc import Mapping
from uuid import UUID

from ordering_read.documents import ReturnedUnitsView, ReturnView, ShipmentView, UnitsView
from ordering_read.queries.order_lines import OrderLineView
from ordering_write.published import OrderStatus
from ordering_write.published import events as e

STATUSES: Mapping[OrderStatus, str] = {
    OrderStatus.PENDING: "Received",
    OrderStatus.CONFIRMED: "Confirmed",
    OrderStatus.PROCESSING: "Being packed",
    OrderStatus.PARTIALLY_SHIPPED: "Partly on its way",
    OrderStatus.SHIPPED: "On its way",
    OrderStatus.DELIVERED: "Delivered",
    OrderStatus.COMPLETED: "Completed",
    OrderStatus.CANCELLED: "Cancelled",
}
REASONS: Mapping[e.ReturnReason, str] = {
    e.ReturnReason.DAMAGED: "It is damaged",
    e.ReturnReason.WRONG_ITEM: "It is the wrong item",
    e.ReturnReason.NOT_AS_DESCRIBED: "It isn't as described",
    e.ReturnReason.UNWANTED: "I don't want it any more",
    e.ReturnReason.LATE: "It came too late",
    e.ReturnReason.OTHER: "Another reason",
}
_PARCELS = {"packed": "Packed", "dispatched": "On its way", "delivered": "Delivered"}
_FAILURES = {
    e.DeliveryFailure.LOST: "Lost on its way",
    e.DeliveryFailure.RETURNED_TO_SENDER: "Came back to us",
}
_RETURNS = {"requested": "Asked for", "received": "Received", "rejected": "Not accepted"}


def units_of(line: OrderLineView) -> str:
    """Return the units of a line by state, such as "2 delivered, 1 on the way"."""
    states = {
        "sent back": line.returned,
        "to be sent back": line.return_requested,
        "delivered": line.delivered - line.returned - line.return_requested,
        "not delivered": line.failed,
        "on the way": line.shipped - line.delivered - line.failed,
        "packed": line.packed,
        "not sent yet" if line.requires_shipping else "not handed over yet": line.open,
        "cancelled": line.cancelled,
    }
    return ", ".join(f"{units} {state}" for state, units in states.items() if units)


def parcel_state(shipment: ShipmentView) -> str:
    """Return the state of a parcel."""
    if shipment.failure:
        return _FAILURES[shipment.failure]
    return _PARCELS[shipment.status]


def return_state(order_return: ReturnView) -> str:
    """Return the state of a return."""
    return _RETURNS[order_return.status]


def contents(
    items: tuple[UnitsView, ...] | tuple[ReturnedUnitsView, ...], names: Mapping[UUID, str]
) -> list[tuple[int, str]]:
    """Return the number of units and the name of the product for each of ``items``."""
    return [(item.quantity, names[item.line_id]) for item in items]
