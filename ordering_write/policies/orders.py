"""Policies that move orders: expire unpaid, confirm paid and complete delivered orders."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.events import OrderStatus, PaymentKind
from ordering_write.policies.base import Policy, Trigger, became
from ordering_write.ports import risk_port
from ordering_write.ports.risk import AllowAll


class ExpireUnpaid(Policy):
    """Expires a pending order that isn't paid in time."""

    name = "expire_unpaid"
    label = "expiry of unpaid orders"
    events = (e.OrderCreated, e.PaymentRecorded)

    def when(self, event: e.OrderCreated | e.PaymentRecorded) -> datetime | None:
        if isinstance(event, e.OrderCreated):
            return event.expires_at
        # The payment kept the order from expiring until it was voided or charged back.
        is_ended = event.kind in (PaymentKind.VOIDED, PaymentKind.CHARGEBACK)
        return event.timestamp if is_ended and event.status == OrderStatus.PENDING else None

    def act(self, trigger: Trigger) -> Sequence[c.Command] | timedelta:
        order = trigger.order()
        expires_at = order.expires_at
        # Most orders are confirmed by then: a command would be refused.
        if expires_at is None or order.status != OrderStatus.PENDING:
            return []
        if expires_at > trigger.now:
            return expires_at - trigger.now
        return [trigger.command(c.ExpireOrder)]


class ConfirmPaid(Policy):
    """Confirms a pending order once it is paid, if CONFIRM_WHEN_PAID is on.

    An order is paid also when its price falls to the amount that was captured.
    """

    name = "confirm_paid"
    label = "confirmation of paid orders"
    events = (
        e.PaymentRecorded,
        e.CreditTransferred,
        e.OrderHoldReleased,
        e.PricedEvent,
        e.OrderItemsCancelled,
    )

    def when(self, event: e.OrderEvent) -> datetime | None:
        if not settings.CONFIRM_WHEN_PAID or event.status != OrderStatus.PENDING:
            return None
        if isinstance(event, e.PaymentRecorded) and event.kind != PaymentKind.CAPTURED:
            return None
        if isinstance(event, (e.PricedEvent, e.OrderItemsCancelled)):
            is_due = event.balance is None or event.balance.amount > 0
            return None if is_due else event.timestamp
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        order = trigger.order()
        is_paid = order.captured > 0 and order.balance <= 0
        return [trigger.command(c.ConfirmOrder)] if is_paid else []


class CompleteDelivered(Policy):
    """Completes an order COMPLETE_AFTER_DAYS after its delivery or last return."""

    name = "complete_delivered"
    label = "completion of delivered orders"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        if not settings.COMPLETE_AFTER_DAYS or event.status != OrderStatus.DELIVERED:
            return None
        # A return that is still expected keeps the order open.
        is_settled = isinstance(event, (e.ReturnReceived, e.ReturnRejected))
        if not is_settled and not became(event, OrderStatus.DELIVERED):
            return None
        return event.timestamp + timedelta(days=settings.COMPLETE_AFTER_DAYS)

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        return [trigger.command(c.CompleteOrder)]


class ReviewRisk(Policy):
    """Holds an order that the RiskPort finds doubtful, until a person has reviewed it."""

    name = "review_risk"
    label = "review of risks"
    events = (e.OrderCreated,)

    def when(self, event: e.OrderCreated) -> datetime | None:
        return None if isinstance(risk_port(), AllowAll) else event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        command_id = trigger.event.recorded.command_id
        placed = [event for event in trigger.history() if event.recorded.command_id == command_id]
        assessment = risk_port().assess(placed, key=trigger.key)
        if not assessment.needs_review:
            return []
        return [
            trigger.command(
                c.PlaceHold, reason=e.HoldReason.FRAUD_REVIEW, note=assessment.note[:500]
            )
        ]


class PlaceExchanges(Policy):
    """Places the order for the new lines of a return once all units are received or rejected."""

    name = "place_exchanges"
    label = "placing of exchanges"
    events = (e.ReturnReceived, e.ReturnRejected)

    def when(self, event: e.ReturnReceived | e.ReturnRejected) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        return_id = trigger.event.return_id
        if not trigger.order().is_exchange_due(return_id):
            return []
        return [trigger.command(c.PlaceExchange, return_id=return_id)]
