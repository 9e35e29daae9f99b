"""Policies about money: refund what is owed, and void authorizations that aren't needed."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid5

from django.conf import settings

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.events import OrderStatus, PaymentKind
from ordering_write.policies.base import Policy, Trigger, became
from ordering_write.ports import payment_port

# Until one of these events, the credit for a return waits for the exchange.
_ENDS_OF_EXCHANGES = (e.CreditTransferred, e.ExchangeFailed, e.OrderReplaced)


class RefundCredit(Policy):
    """Requests a refund of exactly the credit owed, for the causes that REFUND_CREDIT names."""

    name = "refund_credit"
    label = "refund of credit"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        is_owed = event.balance is not None and event.balance.amount < 0
        is_owed = is_owed or isinstance(event, _ENDS_OF_EXCHANGES)
        # The command that grants goodwill requests its refund. A refund that failed or bounced
        # would fail again, also after another refund, so people must look at the order.
        is_goodwill = isinstance(event, e.OrderAdjustmentAdded) and event.kind == "goodwill"
        is_excluded = is_goodwill or isinstance(event, e.RefundBounced | e.RefundSettled)
        return event.timestamp if is_owed and not is_excluded and _is_refundable(event) else None

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        event, order = trigger.event, trigger.order()
        if order.unheld_credit <= 0:
            return []
        payload: dict[str, Any] = {"reason": _refund_reason(event)}
        if isinstance(event, e.CreditTransferred | e.ExchangeFailed):
            payload["return_id"] = event.return_id
        if isinstance(event, e.ReturnReceived):
            payload["return_id"] = event.return_id
            payload["lines"] = [
                {"line_id": item.line_id, "quantity": item.quantity} for item in event.items
            ]
        return [
            trigger.command(
                c.RequestRefund,
                amount=order.unheld_credit,
                # A command between the two would change the credit. The policy then acts again.
                expected_version=order.version,
                **payload,
            )
        ]


def _is_refundable(event: e.OrderEvent) -> bool:
    """Return True if REFUND_CREDIT lets the policy refund a credit that ``event`` has caused."""
    if settings.REFUND_CREDIT == "cancelled_and_returned":
        is_returned = isinstance(event, (e.ReturnReceived, *_ENDS_OF_EXCHANGES))
        return event.status == OrderStatus.CANCELLED or is_returned
    return bool(settings.REFUND_CREDIT == "always")


def _refund_reason(event: e.OrderEvent) -> str:
    if isinstance(event, e.ReturnReceived):
        return "a return was received"
    if isinstance(event, e.ExchangeFailed):
        return "the exchange failed"
    if isinstance(event, _ENDS_OF_EXCHANGES):
        return "the exchange costs less than was returned"
    if event.status == OrderStatus.CANCELLED:
        return "the order is cancelled"
    return "the order costs less than was paid"


class PayRefunds(Policy):
    """Hands each requested refund to the PaymentPort."""

    name = "pay_refunds"
    label = "payment of refunds"
    events = (e.RefundRequested,)

    def when(self, event: e.RefundRequested) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        event, order = trigger.event, trigger.order()
        if order.refunds[str(event.refund_id)]["status"] != "requested":
            return []
        answer = payment_port().refund(
            key=trigger.key,
            order_id=order.pk,
            payment_ids=order.payment_ids,
            amount=event.amount,
        )
        if answer is None:
            return []
        return [
            trigger.command(
                c.RecordRefund,
                refund_id=event.refund_id,
                outcome="settled" if answer.is_done else "failed",
                reference=answer.reference,
                reason=answer.reason,
            )
        ]


class RequestCaptures(Policy):
    """Requests captures when an order is confirmed or units are dispatched, as CAPTURE_ON says."""

    name = "request_captures"
    label = "request of captures"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        # A payment may be authorized after the confirmation or the dispatch. Until a payment is
        # authorized, the command is refused.
        is_authorized = (
            isinstance(event, e.PaymentRecorded) and event.kind == PaymentKind.AUTHORIZED
        )
        if settings.CAPTURE_ON == "confirm":
            is_confirmed = event.status not in (OrderStatus.PENDING, OrderStatus.CANCELLED)
            is_due = became(event, OrderStatus.CONFIRMED) or (is_authorized and is_confirmed)
        else:
            is_dispatched = isinstance(event, e.ShipmentDispatched | e.ItemsHandedOver)
            is_due = is_authorized or is_dispatched
        return event.timestamp if settings.CAPTURE_ON != "outside" and is_due else None

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        if settings.CAPTURE_ON == "dispatch":
            return [trigger.command(c.CapturePayment)]
        order = trigger.order()
        amount = min(order.uncaptured, sum(order.capturable_payments.values(), Decimal(0)))
        if not amount:
            return []
        # A command between the two would change the amount. The policy then acts again.
        return [trigger.command(c.CapturePayment, amount=amount, expected_version=order.version)]


class CapturePayments(Policy):
    """Hands each requested capture to the PaymentPort."""

    name = "capture_payments"
    label = "capture of payments"
    events = (e.CaptureRequested,)

    def when(self, event: e.CaptureRequested) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        event, order = trigger.event, trigger.order()
        capture = order.captures.get(str(event.capture_id))
        if capture is None or capture["status"] != "requested":
            return []
        answer = payment_port().capture(
            key=trigger.key, order_id=order.pk, payment_id=event.payment_id, amount=event.amount
        )
        if answer is None:
            return []
        return [
            trigger.command(
                c.RecordPayment,
                payment_id=event.payment_id,
                kind=PaymentKind.CAPTURED if answer.is_done else PaymentKind.FAILED,
                amount=event.amount.amount,
                reference=answer.reference,
                reason=answer.reason,
                happened_at=trigger.now,
            )
        ]


class VoidAuthorizations(Policy):
    """Lets the PaymentPort void payments authorized before or after an order was cancelled."""

    name = "void_authorizations"
    label = "voiding of authorizations"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        is_payment = isinstance(event, e.PaymentRecorded) and event.kind == PaymentKind.AUTHORIZED
        is_late = is_payment and event.status == OrderStatus.CANCELLED
        return event.timestamp if is_late or became(event, OrderStatus.CANCELLED) else None

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        order = trigger.order()
        commands = []
        for payment_id, authorized in order.authorized_payments.items():
            amount = order.money(authorized)
            answer = payment_port().void(
                key=uuid5(trigger.key, payment_id),
                order_id=order.pk,
                payment_id=payment_id,
                amount=amount,
            )
            if answer is not None and answer.is_done:
                commands.append(
                    trigger.command(
                        c.RecordPayment,
                        step=payment_id,
                        payment_id=payment_id,
                        kind=PaymentKind.VOIDED,
                        amount=amount.amount,
                        reference=answer.reference,
                        happened_at=trigger.now,
                    )
                )
        return commands
