"""What the page of one order shows of it: its state, its lines with their units, and its parts."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from ordering_read.models import OrderLine, OrderSummary
from ordering_read.queries.order_parts import OrderLineView, ReturnedUnitsView, UnitsView
from ordering_read.queries.orders import OrderDetail, whole_order
from ordering_write.published import OrderStatus
from ordering_write.published import events as e

# How a badge looks: as something that is well, wants to be looked at, or is neither.
_GOOD = {
    OrderStatus.DELIVERED,
    OrderStatus.COMPLETED,
    e.PaymentStatus.PAID,
    e.FulfilmentStatus.FULFILLED,
    "delivered",
    "settled",
    "captured",
    "received",
}
_BAD = {
    OrderStatus.CANCELLED,
    e.PaymentStatus.UNPAID,
    e.PaymentStatus.CREDIT_OWED,
    e.FulfilmentStatus.ON_HOLD,
    e.ReturnStatus.REQUESTED,
    "failed",
    "requested",
}


class Badge(NamedTuple):
    """A state, as a word on a coloured ground."""

    label: str
    text: str
    tone: str


class Segment(NamedTuple):
    """So many units of a line that are at one place; ``start`` units come before them."""

    kind: str
    units: int
    start: int


def context_of(
    row: OrderSummary, lines: Iterable[OrderLine], *, with_personal: bool
) -> dict[str, Any]:
    """What the template is given; notes without what they say unless asked for."""
    order = whole_order(row, lines)
    products = {line.line_id: line.name for line in order.items}
    return {
        "order": order,
        "hold_reason": order.hold and _words(order.hold.reason),
        "owed": abs(order.balance),
        "badges": [*facets_of(order), badge("Returns", order.return_status)],
        "lines": [
            {
                "line": line,
                "segments": segments(line),
                "units": ", ".join(f"{s.units} {_words(s.kind)}" for s in segments(line)),
            }
            for line in order.items
        ],
        "sums": _sums(order),
        "shipments": [
            {
                "shipment": shipment,
                "badge": badge("Shipment", shipment.status),
                "units": _units(shipment.items, products),
                "failure": shipment.failure and _words(shipment.failure),
                "ended_at": shipment.delivered_at or shipment.failed_at or shipment.voided_at,
            }
            for shipment in order.shipments
        ],
        "payments": [(payment, badge("Payment", payment.kind)) for payment in order.payments],
        "refunds": [
            {
                "refund": refund,
                "badge": badge("Refund", refund.status),
                "units": _units(refund.lines, products),
                "ended_at": refund.settled_at or refund.failed_at,
            }
            for refund in order.refunds
        ],
        "returns": [
            {
                "return": one,
                "badge": badge("Return", one.status),
                "items": [_returned(item, products) for item in one.items],
            }
            for one in order.returns
        ],
        "notes": [(note, note.text if with_personal else "***") for note in order.notes],
    }


def facets_of(order: OrderSummary | OrderDetail) -> list[Badge]:
    """What is most to be known of an order at a glance."""
    return [
        badge("Status", order.status),
        badge("Payment", order.payment_status),
        badge("Fulfilment", order.fulfilment_status),
    ]


def badge(label: str, value: str) -> Badge:
    """How the page shows a state."""
    tone = "good" if value in _GOOD else "bad" if value in _BAD else "neutral"
    return Badge(label, _words(value), tone)


def segments(line: OrderLineView) -> list[Segment]:
    """Where the units of a line are, as far as there are any: the furthest first."""
    places = {
        "returned": line.returned,
        "to come back": line.return_requested,
        "delivered": line.delivered - line.returned - line.return_requested,
        "failed": line.failed,
        "on their way": line.shipped - line.delivered - line.failed,
        "packed": line.packed,
        "open": line.open,
        "cancelled": line.cancelled,
    }
    start, found = 0, []
    for kind, units in places.items():
        if units:
            found.append(Segment(kind, units, start))
            start += units
    return found


def _sums(order: OrderDetail) -> list[tuple[str, Decimal]]:
    """The amounts below the lines; a discount is less."""
    beside = [
        (one.label, -one.amount if one.kind == "discount" else one.amount)
        for one in order.adjustments
    ]
    return [*beside, ("Total", order.total_amount)]


def _units(items: Iterable[UnitsView], products: Mapping[UUID, str]) -> str:
    return ", ".join(f"{item.quantity} × {products[item.line_id]}" for item in items)


def _returned(item: ReturnedUnitsView, products: Mapping[UUID, str]) -> str:
    came = {"restocked": item.restocked, "damaged": item.damaged, "rejected": item.rejected}
    became = ", ".join(f"{units} {what}" for what, units in came.items() if units)
    told = f"{item.quantity} × {products[item.line_id]}, {_words(item.reason)}"
    return f"{told}: {became}" if became else told


def _words(value: str) -> str:
    return value.replace("_", " ")
