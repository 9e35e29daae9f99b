"""Handlers of the commands that move an order as a whole."""

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import OrderStatus
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Order


@handles(c.ConfirmOrder)
class ConfirmOrderHandler(OrderHandler[c.ConfirmOrder]):
    permission = Permission("confirm_order", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderStatusChanged,)
    refusals = (errors.InvalidTransitionError, errors.OrderOnHoldError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_confirm()

    def act(self, order: Order, command: c.ConfirmOrder) -> None:
        order.confirm(now=command.timestamp)


@handles(c.StartProcessing)
class StartProcessingHandler(OrderHandler[c.StartProcessing]):
    permission = Permission("process_order", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.OrderStatusChanged,)
    refusals = (errors.InvalidTransitionError, errors.OrderOnHoldError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_start_processing()

    def act(self, order: Order, command: c.StartProcessing) -> None:
        order.start_processing(now=command.timestamp)


@handles(c.CompleteOrder)
class CompleteOrderHandler(OrderHandler[c.CompleteOrder]):
    permission = Permission("complete_order", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderStatusChanged,)
    refusals = (errors.InvalidTransitionError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_complete()

    def act(self, order: Order, command: c.CompleteOrder) -> None:
        order.complete(now=command.timestamp)


@handles(c.CancelOrder)
class CancelOrderHandler(OrderHandler[c.CancelOrder]):
    permission = Permission("cancel_order", (Role.CUSTOMER, Role.CLERK, Role.INTEGRATION))
    events = (e.OrderCancelled, e.ShipmentVoided, e.StockReleased)
    refusals = (errors.InvalidTransitionError, errors.OrderAlreadyShippedError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_cancel(by_customer=caller.by_customer)

    def act(self, order: Order, command: c.CancelOrder) -> None:
        order.cancel(
            command.reason,
            reason_code=command.reason_code,
            by_customer=command.customer_scope is not None,
            now=command.timestamp,
        )


@handles(c.UpdateOrderStatus)
class UpdateOrderStatusHandler(OrderHandler[c.UpdateOrderStatus]):
    """Each settable status needs the permission of the move that it stands for."""

    permission = Permission("update_order_status", (Role.CLERK, Role.WAREHOUSE, Role.INTEGRATION))
    events = (
        e.ItemsHandedOver,
        e.OrderCancelled,
        e.OrderStatusChanged,
        e.ShipmentCreated,
        e.ShipmentDelivered,
        e.ShipmentDispatched,
        e.ShipmentVoided,
        e.StockDispatched,
        e.StockReleased,
    )
    refusals = (
        errors.ExceedsStockError,
        errors.InvalidTransitionError,
        errors.OrderAlreadyShippedError,
        errors.OrderOnHoldError,
        errors.PaymentRequiredError,
        errors.QuantityExceedsOpenError,
        errors.ShipmentStateError,
        errors.StatusNotSettableError,
    )
    is_shortcut = True
    moves = {
        OrderStatus.CONFIRMED: ConfirmOrderHandler.permission,
        OrderStatus.PROCESSING: StartProcessingHandler.permission,
        OrderStatus.SHIPPED: Permission("ship_order", (Role.WAREHOUSE, Role.INTEGRATION)),
        OrderStatus.DELIVERED: Permission("deliver_order", (Role.WAREHOUSE, Role.INTEGRATION)),
        OrderStatus.COMPLETED: CompleteOrderHandler.permission,
        OrderStatus.CANCELLED: CancelOrderHandler.permission,
    }

    @property
    def permissions(self) -> tuple[Permission, ...]:
        # The permission to cancel, which customers have, doesn't let a user set a status.
        moves = (self.moves[status] for status in self.moves if status != OrderStatus.CANCELLED)
        return (self.permission, *moves)

    def needed_permission(self, command: c.UpdateOrderStatus) -> Permission:
        # The aggregate refuses a status that can't be set; users who may confirm get this refusal.
        return self.moves.get(command.status, ConfirmOrderHandler.permission)

    def act(self, order: Order, command: c.UpdateOrderStatus) -> None:
        order.move_to(
            command.status,
            reason=command.reason or "",
            by_customer=command.customer_scope is not None,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            shipment_id=uuid7(),
            now=command.timestamp,
        )


@handles(c.PlaceHold)
class PlaceHoldHandler(OrderHandler[c.PlaceHold]):
    permission = Permission("place_hold", (Role.CLERK, Role.WAREHOUSE))
    events = (e.OrderHeld,)
    refusals = (errors.AlreadyOnHoldError, errors.InvalidTransitionError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_hold()

    def act(self, order: Order, command: c.PlaceHold) -> None:
        order.hold(command.reason, note=command.note, now=command.timestamp)


@handles(c.ReleaseHold)
class ReleaseHoldHandler(OrderHandler[c.ReleaseHold]):
    permission = Permission("release_hold", (Role.CLERK, Role.WAREHOUSE))
    events = (e.OrderHoldReleased,)
    refusals = (errors.NotOnHoldError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_release_hold()

    def act(self, order: Order, command: c.ReleaseHold) -> None:
        order.release_hold(note=command.note, now=command.timestamp)


@handles(c.ExpireOrder)
class ExpireOrderHandler(OrderHandler[c.ExpireOrder]):
    permission = Permission("expire_order")
    events = (e.OrderCancelled, e.StockReleased)
    refusals = (errors.InvalidTransitionError, errors.NotExpiredError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_expire(now=caller.now)

    def act(self, order: Order, command: c.ExpireOrder) -> None:
        order.expire(now=command.timestamp)


@handles(c.AssignOrder)
class AssignOrderHandler(OrderHandler[c.AssignOrder]):
    permission = Permission("assign_order", (Role.CLERK,))
    events = (e.OrderAssigned,)
    refusals = (errors.UnknownAssigneeError,)

    def act(self, order: Order, command: c.AssignOrder) -> None:
        assignee = command.assignee or ""
        staff = User.objects.filter(username=assignee, is_staff=True, is_active=True)
        if assignee and not staff.exists():
            raise errors.UnknownAssigneeError(
                f"There is no member of staff named {assignee}.", pointer="#/assignee"
            )
        order.assign(assignee, now=command.timestamp)
