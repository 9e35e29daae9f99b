"""Policies that move orders: unpaid ones expire, paid ones are confirmed, arrived ones closed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.events import OrderStatus, PaymentKind
from ordering_write.policies.base import Occasion, Policy, became
from ordering_write.ports import risk_port


class ExpireUnpaid(Policy):
    """A pending order expires that isn't paid in time."""

    name = "expire_unpaid"
    events = (e.OrderCreated, e.PaymentRecorded)

    def when(self, event: e.OrderCreated | e.PaymentRecorded) -> datetime | None:
        if isinstance(event, e.OrderCreated):
            return event.expires_at
        # What was set aside kept it from expiring, until it was let go.
        is_unpaid_again = event.kind == PaymentKind.VOIDED and event.status == OrderStatus.PENDING
        return event.timestamp if is_unpaid_again else None

    def act(self, occasion: Occasion) -> Sequence[c.Command] | timedelta:
        expires_at = occasion.order().expires_at
        if expires_at is None:
            return []
        if expires_at > occasion.now:
            return expires_at - occasion.now
        return [occasion.command(c.ExpireOrder)]


class ConfirmPaid(Policy):
    """A pending order is confirmed once it is paid, where CONFIRM_WHEN_PAID says so."""

    name = "confirm_paid"
    events = (e.PaymentRecorded, e.OrderHoldReleased)

    def when(self, event: e.PaymentRecorded | e.OrderHoldReleased) -> datetime | None:
        if not settings.CONFIRM_WHEN_PAID or event.status != OrderStatus.PENDING:
            return None
        if isinstance(event, e.PaymentRecorded) and event.kind != PaymentKind.CAPTURED:
            return None
        return event.timestamp

    def act(self, occasion: Occasion) -> Sequence[c.Command]:
        order = occasion.order()
        is_paid = order.captured > 0 and order.balance <= 0
        return [occasion.command(c.ConfirmOrder)] if is_paid else []


class CompleteDelivered(Policy):
    """An order is closed COMPLETE_AFTER_DAYS after it was delivered, or its last return settled."""

    name = "complete_delivered"
    events = (e.OrderEvent,)

    def when(self, event: e.OrderEvent) -> datetime | None:
        if not settings.COMPLETE_AFTER_DAYS or event.status != OrderStatus.DELIVERED:
            return None
        # A return that is still expected keeps it from being closed.
        is_settled = isinstance(event, (e.ReturnReceived, e.ReturnRejected))
        if not is_settled and not became(event, OrderStatus.DELIVERED):
            return None
        return event.timestamp + timedelta(days=settings.COMPLETE_AFTER_DAYS)

    def act(self, occasion: Occasion) -> Sequence[c.Command]:
        return [occasion.command(c.CompleteOrder)]


class ReviewRisk(Policy):
    """An order that the RiskPort finds doubtful is held until somebody has looked at it."""

    name = "review_risk"
    events = (e.OrderCreated,)

    def when(self, event: e.OrderCreated) -> datetime:
        return event.timestamp

    def act(self, occasion: Occasion) -> Sequence[c.Command]:
        placing = occasion.event.recorded.command_id
        placed = [one for one in occasion.history() if one.recorded.command_id == placing]
        assessment = risk_port().assess(placed, key=occasion.key)
        if not assessment.needs_review:
            return []
        return [
            occasion.command(
                c.PlaceHold, reason=e.HoldReason.FRAUD_REVIEW, note=assessment.note[:500]
            )
        ]
