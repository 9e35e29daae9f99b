"""The money of an order's page: rows of labels and amounts that add up on the screen."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid4

from config.accounts.models import User
from ordering_read.admin import kept_forms
from ordering_read.admin.commands import Button
from ordering_read.documents import TaxView
from ordering_read.models import OrderSummary
from ordering_read.queries.order_lines import OrderLineView
from ordering_read.queries.orders import OrderDetail
from ordering_write.published import OrderStatus, prices, quantize


class Refund(NamedTuple):
    """The form of a refund on the order's page; ``amount`` is what is owed now, or None."""

    url: str
    signature: str
    command_id: UUID
    amount: Decimal | None
    most: Decimal


class Sum(NamedTuple):
    """A row below the lines; subtracted amounts are negative."""

    label: str
    amount: Decimal


def sums_of(order: OrderDetail) -> Sequence[Sum]:
    """Return the rows between the lines and the total. The lines and the rows add up to it."""
    labels = {
        kind: [item.label for item in order.adjustments if item.kind == kind]
        for kind in ("discount", "tax", "goodwill")
    }
    sums = order.sums
    added_taxes = [([tax_text(tax)], tax.amount) for tax in order.taxes if not tax.included]
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
    return [Sum(", ".join(dict.fromkeys(names)), amount) for names, amount in rows if amount]


def included_taxes(order: OrderDetail) -> Sequence[Sum]:
    """Return the taxes that the total includes."""
    taxes = (tax for tax in order.taxes if tax.included and tax.amount)
    return [Sum(tax_text(tax), tax.amount) for tax in taxes]


def payment_sums(order: OrderDetail) -> Sequence[Sum]:
    """Return the rows between the total and the balance. The total and the rows add up to it."""
    is_cancelled = order.status == OrderStatus.CANCELLED
    rows = (
        ("Cancelled", -order.total_amount if is_cancelled else Decimal(0)),
        ("Paid", -order.captured),
        ("Given back", order.refunded),
    )
    return [Sum(label, amount) for label, amount in rows if amount]


def refundable(order: OrderSummary) -> tuple[Decimal, Decimal]:
    """Return the amount that is owed to the customer, and the most that can be refunded.

    What is requested as a refund already belongs to neither.
    """
    refunds = (refund for refund in order.refunds if refund["status"] == "requested")
    requested = sum((Decimal(refund["amount"]) for refund in refunds), Decimal(0))
    most = order.captured - order.refunded - requested
    owed = min(-order.balance - requested, most)
    return quantize(max(owed, Decimal(0)), order.currency), quantize(most, order.currency)


def refund_form(order: OrderSummary, button: Button | None, user: User) -> Refund | None:
    """Return the form of a refund; None if ``user`` can't request one now."""
    owed, most = refundable(order)
    if button is None or button.refusal or most <= 0:
        return None
    return Refund(button.url, kept_forms.signature(user), uuid4(), owed or None, most)


def balance_text(order: OrderDetail) -> str:
    """Return the balance in words: "39.80 EUR due"."""
    if not order.balance:
        return "nothing due"
    amount = f"{abs(order.balance):,} {order.currency}"
    return f"{amount} due" if order.balance > 0 else f"{amount} owed to the customer"


def owed_units(line: OrderLineView) -> int:
    """Return the units of a line that its list value is the price of."""
    if not line.unit_price:
        return line.quantity - line.cancelled - line.returned
    return int(line.list_value / line.unit_price)


def tax_text(tax: TaxView) -> str:
    """Return the words for a tax, such as "IVA 21 % included, on 82.64"."""
    return f"{tax.label}{' included' if tax.included else ''}, on {tax.base:,}"
