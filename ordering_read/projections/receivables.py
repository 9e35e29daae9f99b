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


def goodwill(event: e.RefundSettled | e.RefundBounced) -> Decimal:
    """Return the part of a refund that isn't for cancelled or returned units.

    The total of the order still contains this part, so the balance shows it as owed again. The part
    of a refund that bounced is negative.
    """
    owed, amount = event.balance.amount if event.balance else Decimal(0), event.amount.amount
    if isinstance(event, e.RefundBounced):
        return -min(max(owed + amount, Decimal(0)), amount)
    return min(max(owed, Decimal(0)), amount)


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
