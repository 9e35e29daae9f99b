"""The reasons for which a person must look at the money of an order."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from ordering_write.domain.events import Attention, PaymentKind
from ordering_write.models.order.payments import excess, sum_of_all

if TYPE_CHECKING:
    # The state imports this module.
    from ordering_write.models.order.state import OrderState

ZERO = Decimal(0)


def concerns(order: "OrderState") -> Mapping[Attention, Decimal]:
    """Return an amount for each reason, 0 for a reason that doesn't hold.

    The amount grows with each new cause, so that a resolved reason holds again.
    """
    payments = order.payments.values()
    taken_back = sum_of_all(payments, PaymentKind.CHARGEBACK)
    reversed_sum = sum_of_all(payments, PaymentKind.CHARGEBACK_REVERSED)
    failed_captures = _sum(order.captures, "failed")
    failed_refunds = _sum(order.refunds, "failed", "bounced")
    return {
        Attention.OVER_CAPTURED: sum(map(excess, payments), ZERO),
        Attention.CHARGEBACK: max(taken_back, reversed_sum) if taken_back != reversed_sum else ZERO,
        Attention.OVER_REFUNDED: order.paid_out if order.refunded > 0 else ZERO,
        Attention.CAPTURE_FAILED: failed_captures if order.balance > 0 else ZERO,
        Attention.REFUND_FAILED: failed_refunds if order.credit > 0 else ZERO,
    }


def _sum(parts: Mapping[str, Mapping[str, str]], *statuses: str) -> Decimal:
    """Return the sum of the captures or refunds with one of ``statuses``."""
    amounts = (Decimal(part["amount"]) for part in parts.values() if part["status"] in statuses)
    return sum(amounts, ZERO)
