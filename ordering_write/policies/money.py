"""Policies about money: refund what is owed, and void authorizations that aren't needed."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import uuid5

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.events import OrderStatus, PaymentKind
from ordering_write.policies.base import Policy, Trigger, became
from ordering_write.ports import payment_port


class RefundCancelled(Policy):
    """Requests a refund of payments captured before or after an order was cancelled."""

    name = "refund_cancelled"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        is_capture = isinstance(event, e.PaymentRecorded) and event.kind == PaymentKind.CAPTURED
        is_late = is_capture and event.status == OrderStatus.CANCELLED
        return event.timestamp if is_late or became(event, OrderStatus.CANCELLED) else None

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        amount = trigger.order().refundable
        if amount <= 0:
            return []
        return [trigger.command(c.RequestRefund, amount=amount, reason="the order is cancelled")]


class RefundReturned(Policy):
    """Requests a refund for units that came back."""

    name = "refund_returned"
    events = (e.ReturnReceived,)

    def when(self, event: e.ReturnReceived) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        event, order = trigger.event, trigger.order()
        returned_amount = sum(item.amount.amount for item in event.items)
        # At most the paid amount that isn't due for the rest of the order.
        amount = min(returned_amount, order.refundable - order.due)
        if amount <= 0:
            return []
        lines = [{"line_id": item.line_id, "quantity": item.quantity} for item in event.items]
        return [
            trigger.command(
                c.RequestRefund,
                amount=amount,
                lines=lines,
                return_id=event.return_id,
                reason="a return was received",
            )
        ]


class PayRefunds(Policy):
    """Hands each requested refund to the PaymentPort."""

    name = "pay_refunds"
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
            payment_ids=[key for key, kinds in order.payments.items() if "captured" in kinds],
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


class VoidAuthorizations(Policy):
    """Lets the PaymentPort void payments authorized before or after an order was cancelled."""

    name = "void_authorizations"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        is_payment = isinstance(event, e.PaymentRecorded) and event.kind == PaymentKind.AUTHORIZED
        is_late = is_payment and event.status == OrderStatus.CANCELLED
        return event.timestamp if is_late or became(event, OrderStatus.CANCELLED) else None

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        order = trigger.order()
        commands = []
        for payment_id, kinds in order.payments.items():
            if "authorized" not in kinds or {"captured", "voided"} & kinds.keys():
                continue
            amount = order.money(Decimal(kinds["authorized"]))
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
                    )
                )
        return commands
