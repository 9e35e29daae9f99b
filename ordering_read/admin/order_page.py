"""The template context of the page of one order: badges, lines, shipments, payments."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from config.http.admin import page_url
from ordering_read.documents import ExchangeView, ReturnedUnitsView, TaxView, UnitsView
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.permissions import MASK
from ordering_read.queries.order_lines import OrderLineView
from ordering_read.queries.orders import OrderDetail, order_detail
from ordering_write.published import OrderStatus, prices
from ordering_write.published import events as e

# States whose badge has the tone "good", or "bad" if they need attention; others are "neutral".
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
    "chargeback",
    "bounced",
}


class Badge(NamedTuple):
    """A state, shown as a word on a coloured background."""

    label: str
    text: str
    tone: str


class Segment(NamedTuple):
    """A part of a line's bar: units in the same state, after ``start`` units in other states."""

    state: str
    units: int
    start: int


def template_context(
    row: OrderSummary, lines: Iterable[OrderLine], *, with_personal: bool
) -> dict[str, Any]:
    """Return the context of the template.

    Without ``with_personal``, notes have no texts and lines no metadata.
    """
    order = order_detail(row, lines)
    products = {line.line_id: line.name for line in order.items}
    return {
        "order": order,
        "replacements": _replacements(order),
        "transfers": _transfers(order),
        "hold_reason": order.hold and _words(order.hold.reason),
        "owed": abs(order.balance),
        "badges": [*status_badges(order), badge("Returns", order.return_status)],
        "lines": [
            {
                "line": line,
                "taxes": [f"{_tax_text(tax)}: {tax.amount}" for tax in line.taxes],
                "metadata": line.metadata if with_personal else {},
                "segments": segments(line),
                "units": ", ".join(
                    f"{segment.units} {segment.state}" for segment in segments(line)
                ),
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
                "ended_at": refund.bounced_at or refund.settled_at or refund.failed_at,
            }
            for refund in order.refunds
        ],
        "returns": [
            {
                "return": order_return,
                "badge": badge("Return", order_return.status),
                "items": [_returned(item, products) for item in order_return.items],
                "exchange": order_return.exchange and _exchange(order_return.exchange),
            }
            for order_return in order.returns
        ],
        "notes": [(note, note.text if with_personal else MASK) for note in order.notes],
    }


def status_badges(order: OrderSummary | OrderDetail) -> list[Badge]:
    """Return the badges of an order that the list shows too."""
    return [
        *(Badge("Needs attention", _words(reason), "bad") for reason in order.attention),
        badge("Status", order.status),
        badge("Payment", order.payment_status),
        badge("Fulfilment", order.fulfilment_status),
    ]


def badge(label: str, value: str) -> Badge:
    """Return the badge of a state."""
    tone = "good" if value in _GOOD else "bad" if value in _BAD else "neutral"
    return Badge(label, _words(value), tone)


def segments(line: OrderLineView) -> list[Segment]:
    """Return the units of a line by state, the latest state first, without empty states."""
    states = {
        "returned": line.returned,
        "awaiting return": line.return_requested,
        "delivered": line.delivered - line.returned - line.return_requested,
        "failed": line.failed,
        "in transit": line.shipped - line.delivered - line.failed,
        "packed": line.packed,
        "open": line.open,
        "cancelled": line.cancelled,
    }
    start, result = 0, []
    for state, units in states.items():
        if units:
            result.append(Segment(state, units, start))
            start += units
    return result


def _sums(order: OrderDetail) -> list[tuple[str, Decimal]]:
    """Return the labels and amounts that stand below the lines. Subtracted ones are negative."""
    labels = {
        kind: [item.label for item in order.adjustments if item.kind == kind]
        for kind in ("discount", "tax", "goodwill")
    }
    sums = order.sums
    added_taxes = [([_tax_text(tax)], tax.amount) for tax in order.taxes if not tax.included]
    rows = [
        (labels["discount"], -sums.discount),
        *(
            ([item.label], item.amount)
            for item in order.adjustments
            if item.kind in prices.CHARGES and item.part_id is None
        ),
        (["Charges on lines"], sum(line.surcharge for line in order.items)),
        # An order whose adjustments have no shares has no tax lines.
        *(added_taxes or [(labels["tax"], sums.tax)]),
        (labels["goodwill"], -sums.goodwill),
    ]
    shown = [(", ".join(dict.fromkeys(names)), amount) for names, amount in rows if amount]
    included = [(_tax_text(tax), tax.amount) for tax in order.taxes if tax.included and tax.amount]
    return [*shown, ("Total", order.total_amount), *included]


def _tax_text(tax: TaxView) -> str:
    """Return the words for a tax, such as "IVA 21 % included, on 82.64"."""
    return f"{tax.label}{' included' if tax.included else ''}, on {tax.base}"


def _replacements(order: OrderDetail) -> list[dict[str, str]]:
    """Return the orders in place of which this order was placed, or that replace this order."""
    labels = [
        (
            "In place of this order" if replacement.return_id is None else "In exchange",
            replacement.order_id,
            replacement.order_number,
        )
        for replacement in order.replaced_by
    ]
    if order.replaces_order_id is not None:
        number = order.replaces_order_number or "another order"
        labels.insert(0, ("In place of", order.replaces_order_id, number))
    return [
        {"label": label, "url": page_url(OrderSummary, order_id), "number": number}
        for label, order_id, number in labels
    ]


def _transfers(order: OrderDetail) -> list[dict[str, Any]]:
    """Return the credit that was transferred to other orders or from them."""
    return [
        {
            "amount": transfer.amount,
            "label": "to order" if transfer.direction == "out" else "from order",
            "url": page_url(OrderSummary, transfer.other_order_id),
            "number": transfer.other_order_number,
            "at": transfer.at,
        }
        for transfer in order.transfers
    ]


def _exchange(exchange: ExchangeView) -> str:
    lines = ", ".join(f"{line.quantity} × {line.name}" for line in exchange.items)
    status = f"{exchange.status} {exchange.order_number or exchange.failure or ''}".strip()
    return f"In exchange for {lines}: {status}"


def _units(items: Iterable[UnitsView], products: Mapping[UUID, str]) -> str:
    return ", ".join(f"{item.quantity} × {products[item.line_id]}" for item in items)


def _returned(item: ReturnedUnitsView, products: Mapping[UUID, str]) -> str:
    counts = {"restocked": item.restocked, "damaged": item.damaged, "rejected": item.rejected}
    results = ", ".join(f"{units} {result}" for result, units in counts.items() if units)
    text = f"{item.quantity} × {products[item.line_id]}, {_words(item.reason)}"
    return f"{text}: {results}" if results else text


def _words(value: str) -> str:
    return value.replace("_", " ")
