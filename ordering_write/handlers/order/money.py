"""Handlers of the commands about payments and refunds."""

from decimal import Decimal
from uuid import UUID, uuid5

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain.commands import Power, RecordPayment, RecordRefund, RequestRefund
from ordering_write.domain.errors import RefundLimitError, RefundNotFoundError
from ordering_write.handlers.order.base import OrderHandler, happened_at
from ordering_write.models import Order


class RecordPaymentHandler(OrderHandler[RecordPayment]):
    """Record what has happened to a payment."""

    def act(self, order: Order, command: RecordPayment) -> None:
        order.record_payment(
            command.payment_id,
            command.kind,
            command.amount,
            currency=command.currency,
            method=command.method,
            reference=command.reference,
            at=happened_at(command.happened_at, now=command.timestamp, pointer="#/happened_at"),
        )


class RequestRefundHandler(OrderHandler[RequestRefund]):
    """Ask to give money back."""

    def act(self, order: Order, command: RequestRefund) -> None:
        if not command.may(Power.ANY_REFUND):
            _refuse_above_limit(order, command.amount)
        order.request_refund(
            command.amount,
            command.reason,
            refund_id=uuid7(),
            lines=command.lines,
            return_id=command.return_id,
            now=command.timestamp,
        )


def _refuse_above_limit(order: Order, amount: Decimal) -> None:
    """Refuse what is more than one may refund of one order in all, in however many steps."""
    limit = settings.REFUND_LIMITS.get(order.currency, Decimal(0))
    if order.captured - order.refundable + amount > limit:
        raise RefundLimitError(
            f"You may refund {limit} {order.currency} of an order in all; ask an administrator."
        )


class RecordRefundHandler(OrderHandler[RecordRefund]):
    """Record that a refund has reached the customer, or failed."""

    def act(self, order: Order, command: RecordRefund) -> None:
        at = happened_at(command.happened_at, now=command.timestamp, pointer="#/happened_at")
        if command.refund_id and str(command.refund_id) not in order.refunds:
            raise RefundNotFoundError
        refund_id = command.refund_id or _refund_made_elsewhere(order, command)
        if command.outcome == "settled":
            order.settle_refund(
                refund_id,
                amount=command.amount,
                currency=command.currency,
                reference=command.reference,
                at=at,
            )
        else:
            order.fail_refund(refund_id, reason=command.reason, reference=command.reference, at=at)


def _refund_made_elsewhere(order: Order, command: RecordRefund) -> UUID:
    # The same one, if it is told twice under the same reference.
    return uuid5(order.id, command.reference) if command.reference else uuid7()
