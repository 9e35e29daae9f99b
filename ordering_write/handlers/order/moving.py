"""Handlers of the commands that move an order as a whole."""

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain.commands import (
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    ExpireOrder,
    PlaceHold,
    ReleaseHold,
    StartProcessing,
    UpdateOrderStatus,
)
from ordering_write.handlers.order.base import OrderHandler
from ordering_write.models import Order


class ConfirmOrderHandler(OrderHandler[ConfirmOrder]):
    """Accept an order."""

    def act(self, order: Order, command: ConfirmOrder) -> None:
        order.confirm(now=command.timestamp)


class StartProcessingHandler(OrderHandler[StartProcessing]):
    """Start picking an order."""

    def act(self, order: Order, command: StartProcessing) -> None:
        order.start_processing(now=command.timestamp)


class CompleteOrderHandler(OrderHandler[CompleteOrder]):
    """Close an order."""

    def act(self, order: Order, command: CompleteOrder) -> None:
        order.complete(now=command.timestamp)


class CancelOrderHandler(OrderHandler[CancelOrder]):
    """Cancel a whole order and give its stock back."""

    def act(self, order: Order, command: CancelOrder) -> None:
        order.cancel(
            command.reason,
            reason_code=command.reason_code,
            by_customer=command.customer_scope is not None,
            now=command.timestamp,
        )


class ExpireOrderHandler(OrderHandler[ExpireOrder]):
    """Cancel an order that wasn't paid in time, and give its stock back."""

    def act(self, order: Order, command: ExpireOrder) -> None:
        order.expire(now=command.timestamp)


class UpdateOrderStatusHandler(OrderHandler[UpdateOrderStatus]):
    """Move a whole order, by the facts that the status stands for."""

    def act(self, order: Order, command: UpdateOrderStatus) -> None:
        order.move_to(
            command.status,
            reason=command.reason or "",
            by_customer=command.customer_scope is not None,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            shipment_id=uuid7(),
            now=command.timestamp,
        )


class PlaceHoldHandler(OrderHandler[PlaceHold]):
    """Keep an order's goods from moving."""

    def act(self, order: Order, command: PlaceHold) -> None:
        order.hold(command.reason, note=command.note, now=command.timestamp)


class ReleaseHoldHandler(OrderHandler[ReleaseHold]):
    """Let an order go on."""

    def act(self, order: Order, command: ReleaseHold) -> None:
        order.release_hold(note=command.note, now=command.timestamp)
