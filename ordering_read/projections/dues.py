"""What events change of the amounts that customers are to pay for their orders."""

from decimal import Decimal
from typing import NamedTuple

from ordering_write.published import OrderStatus
from ordering_write.published import events as e

# The events that change what an order costs.
PRICED = (
    e.OrderItemAdded,
    e.OrderAdjustmentAdded,
    e.OrderItemQuantityChanged,
    e.OrderItemsCancelled,
    e.OrderCancelled,
    e.ShipmentFailed,
    e.ReturnReceived,
)


class Due(NamedTuple):
    """A change of what is to be paid: negative when it is less."""

    change: Decimal
    currency: str


def due_change(event: e.OrderEvent) -> Due | None:
    """How ``event`` changes what is to be paid; None for one that isn't one of PRICED.

    A total below zero, where a discount is larger than what is left of the order, is nothing to be
    paid, and so is the total of a cancelled order.
    """
    change = _change_of_total(event)
    if change is None or event.total is None:
        # It tells the total when it has changed it.
        return change and Due(Decimal(0), change.currency)
    total = event.total.amount
    before = max(total - change.change, Decimal(0))
    after = Decimal(0) if event.status == OrderStatus.CANCELLED else max(total, Decimal(0))
    return Due(after - before, change.currency)


def given_away(event: e.RefundSettled) -> Decimal:
    """How much of a refund was for nothing that was cancelled or came back: by what the order
    costs, the customer owes it again."""
    owed = event.balance.amount if event.balance else Decimal(0)
    return min(max(owed, Decimal(0)), event.amount.amount)


def _change_of_total(event: e.OrderEvent) -> Due | None:
    match event:
        case e.OrderItemAdded(line_total=added):
            return Due(added.amount, added.currency)
        case e.OrderAdjustmentAdded(kind="discount", amount=off):
            return Due(-off.amount, off.currency)
        case e.OrderAdjustmentAdded(amount=added):
            return Due(added.amount, added.currency)
        case e.OrderItemQuantityChanged(line_total=now, from_line_total=before):
            return Due(now.amount - before.amount, now.currency)
        case e.OrderItemsCancelled() | e.ShipmentFailed() | e.ReturnReceived():
            credited = sum((item.amount.amount for item in event.items), Decimal(0))
            return Due(-credited, event.items[0].amount.currency)
        case e.OrderCancelled(total=e.Money(currency=currency)):
            return Due(Decimal(0), currency)
        case _:
            return None
