"""Changes in the receivables: the amounts due from customers for their orders."""

from decimal import Decimal
from typing import NamedTuple

from ordering_write.published import OrderStatus
from ordering_write.published import events as e

# The events that change the total of an order.
TOTAL_EVENTS = (
    e.OrderItemAdded,
    e.OrderAdjustmentAdded,
    e.OrderAdjustmentRemoved,
    e.OrderItemPriceChanged,
    e.OrderItemQuantityChanged,
    e.ShippingAddressChanged,
    e.OrderItemsCancelled,
    e.OrderCancelled,
    e.ShipmentFailed,
    e.ReturnReceived,
    e.LostUnitsMadeGood,
)

# The events of payments and refunds that move money.
PAYMENT_EVENTS = (e.PaymentRecorded, e.RefundSettled, e.RefundBounced)


class AmountChange(NamedTuple):
    """A change of an amount; negative for a decrease."""

    change: Decimal
    currency: str


def change_in_amount_due(event: e.OrderEvent) -> AmountChange | None:
    """Return the change of the amount due; None for an event that isn't one of TOTAL_EVENTS.

    The amount due is zero for a cancelled order, and for a negative total, when a discount exceeds
    the rest of the order.
    """
    change = _change_in_total(event)
    if change is None:
        return None
    if event.total is None:
        # An event that has changed the total carries the new total.
        return AmountChange(Decimal(0), change.currency)
    total = event.total.amount
    before = max(total - change.change, Decimal(0))
    after = Decimal(0) if event.status == OrderStatus.CANCELLED else max(total, Decimal(0))
    return AmountChange(after - before, change.currency)


def money_changes(event: e.OrderEvent) -> dict[str, Decimal]:
    """Return the changes of the columns of MoneySums by ``event``."""
    changes = {}
    if event.discount_change is not None:
        changes["discount"] = event.discount_change.amount
    if event.tax_changes:
        changes["tax"] = sum((tax.amount for tax in event.tax_changes), Decimal(0))
    match event:
        case e.OrderAdjustmentAdded(kind="goodwill") | e.OrderAdjustmentRemoved(kind="goodwill"):
            due = change_in_amount_due(event)
            changes["goodwill"] = -due.change if due else Decimal(0)
        case e.PaymentRecorded(kind=e.PaymentKind.CAPTURED, amount=amount):
            changes["captured"] = amount.amount
        case e.PaymentRecorded(kind=e.PaymentKind.CHARGEBACK, amount=amount):
            changes["charged_back"] = amount.amount
        case e.PaymentRecorded(kind=e.PaymentKind.CHARGEBACK_REVERSED, amount=amount):
            changes["charged_back"] = -amount.amount
        case e.RefundSettled(amount=amount):
            changes["paid_back"] = amount.amount
        case e.RefundBounced(amount=amount):
            changes["paid_back"] = -amount.amount
    return changes


def currency_of(event: e.OrderEvent) -> str:
    """Return the currency of an event that has changed an amount."""
    amounts = (event.discount_change, event.total, event.balance, getattr(event, "amount", None))
    return next(money.currency for money in amounts if money is not None)


def _change_in_total(event: e.OrderEvent) -> AmountChange | None:
    if event.total and event.total_before:
        return AmountChange(event.total.amount - event.total_before.amount, event.total.currency)
    # Earlier releases didn't store the former total, and allocated nothing to lines.
    match event:
        case e.OrderItemAdded(line_total=added):
            return AmountChange(added.amount, added.currency)
        case e.OrderAdjustmentAdded(kind="discount" | "goodwill", amount=discount):
            return AmountChange(-discount.amount, discount.currency)
        case e.OrderAdjustmentAdded(amount=added):
            return AmountChange(added.amount, added.currency)
        case e.OrderItemQuantityChanged(line_total=after, from_line_total=before):
            return AmountChange(after.amount - before.amount, after.currency)
        case e.OrderItemsCancelled() | e.ShipmentFailed() | e.ReturnReceived():
            credit = sum((item.amount.amount for item in event.items), Decimal(0))
            return AmountChange(-credit, event.items[0].amount.currency)
        case e.OrderCancelled(total=e.Money(currency=currency)):
            return AmountChange(Decimal(0), currency)
        case _:
            return None
