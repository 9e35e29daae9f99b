"""Handlers of the commands about payments and refunds."""

from decimal import Decimal
from typing import Any

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler, happened_at
from ordering_write.models import Order


@handles(c.RecordPayment)
class RecordPaymentHandler(OrderHandler[c.RecordPayment]):
    permission = Permission("record_payment", (Role.INTEGRATION,))
    events = (e.PaymentRecorded,)
    refusals = (
        errors.AmountTooLargeError,
        errors.CurrencyMismatchError,
        errors.InFutureError,
        errors.InvalidAmountError,
        errors.PaymentMismatchError,
        errors.ReferenceNeededError,
    )

    def act(self, order: Order, command: c.RecordPayment) -> None:
        order.record_payment(
            command.payment_id,
            command.kind,
            command.amount,
            currency=command.currency,
            method=command.method,
            reference=command.reference,
            reason=command.reason,
            happened_at=command.happened_at,
            at=happened_at(command.happened_at, now=command.timestamp, pointer="#/happened_at"),
        )


@handles(c.CapturePayment)
class CapturePaymentHandler(OrderHandler[c.CapturePayment]):
    permission = Permission("capture_payment", (Role.CLERK, Role.INTEGRATION))
    events = (e.CaptureRequested,)
    refusals = (
        errors.ExceedsAuthorizedError,
        errors.InvalidAmountError,
        errors.NothingToCaptureError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_capture()

    def act(self, order: Order, command: c.CapturePayment) -> None:
        order.request_capture(
            command.amount,
            payment_id=command.payment_id,
            capture_id=uuid7(),
            now=command.timestamp,
        )


@handles(c.ResolveAttention)
class ResolveAttentionHandler(OrderHandler[c.ResolveAttention]):
    permission = Permission("resolve_attention", (Role.CLERK,))
    events = (e.AttentionResolved,)
    refusals = (errors.NoAttentionNeededError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_resolve_attention()

    def act(self, order: Order, command: c.ResolveAttention) -> None:
        order.resolve_attention(command.note, now=command.timestamp)


@handles(c.RequestRefund)
class RequestRefundHandler(OrderHandler[c.RequestRefund]):
    permission = Permission("request_refund", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderAdjustmentAdded, e.RefundRequested)
    refusals = (
        errors.ExceedsCapturedError,
        errors.InvalidAmountError,
        errors.RefundLimitError,
        errors.UnknownLineError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_request_refund()

    def act(self, order: Order, command: c.RequestRefund) -> None:
        if not command.has_privilege(c.Privilege.ANY_REFUND):
            refuse_above_limit(order, command.amount)
        order.request_refund(
            command.amount,
            command.reason,
            refund_id=uuid7(),
            lines=command.lines,
            return_id=command.return_id,
            now=command.timestamp,
        )


@handles(c.GrantGoodwill)
class GrantGoodwillHandler(OrderHandler[c.GrantGoodwill]):
    permission = Permission("grant_goodwill", (Role.CLERK,))
    events = (e.OrderAdjustmentAdded, e.RefundRequested)
    refusals = (errors.ExceedsTotalError, errors.InvalidAmountError, errors.RefundLimitError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_grant_goodwill()

    def act(self, order: Order, command: c.GrantGoodwill) -> None:
        if not command.has_privilege(c.Privilege.ANY_REFUND):
            refuse_above_limit(order, command.amount)
        order.grant_goodwill(
            command.amount, command.reason, refund_id=uuid7(), now=command.timestamp
        )


def refuse_above_limit(order: Order, amount: Decimal) -> None:
    """Raise RefundLimitError when the refunds or goodwill of ``order`` would exceed the limit."""
    limit = settings.REFUND_LIMITS.get(order.currency, Decimal(0))
    if max(order.captured - order.refundable, order.goodwill) + amount > limit:
        raise errors.RefundLimitError(
            f"You may refund {limit} {order.currency} of an order in all; ask an administrator."
        )


@handles(c.RecordRefund)
class RecordRefundHandler(OrderHandler[c.RecordRefund]):
    permission = Permission("record_refund", (Role.INTEGRATION,))
    events = (e.RefundBounced, e.RefundFailed, e.RefundReferenced, e.RefundSettled)
    refusals = (
        errors.AmountMissingError,
        errors.AmountTooLargeError,
        errors.CurrencyMismatchError,
        errors.InFutureError,
        errors.InvalidAmountError,
        errors.PaymentMismatchError,
        errors.RefundNotFoundError,
        errors.TooEarlyError,
    )

    def act(self, order: Order, command: c.RecordRefund) -> None:
        at = happened_at(
            command.happened_at,
            now=command.timestamp,
            pointer="#/happened_at",
            not_before=order.placed_at,
        )
        refund_id = order.reported_refund_id(
            command.refund_id, reference=command.reference, amount=command.amount, new_id=uuid7()
        )
        report: dict[str, Any] = {
            "amount": command.amount,
            "currency": command.currency,
            "reference": command.reference,
            "at": at,
        }
        if command.outcome == "settled":
            order.settle_refund(refund_id, **report)
        else:
            order.fail_refund(refund_id, reason=command.reason, **report)
        if command.refund_id is not None:
            has_failed = command.outcome == "failed"
            order.close_request(command.refund_id, refund_id, has_failed=has_failed, at=at)
