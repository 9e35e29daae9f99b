"""Handlers of the commands that move an order as a whole."""

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    AssignOrder,
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    ExpireOrder,
    PlaceHold,
    ReleaseHold,
    StartProcessing,
    UpdateOrderStatus,
)
from ordering_write.domain.errors import (
    AlreadyOnHoldError,
    InvalidTransitionError,
    NotExpiredError,
    NotOnHoldError,
    OrderAlreadyShippedError,
    OrderOnHoldError,
    PaymentRequiredError,
    QuantityExceedsOpenError,
    ShipmentStateError,
    StatusNotSettableError,
    UnknownAssigneeError,
)
from ordering_write.domain.events import OrderStatus
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Order


@handles(ConfirmOrder)
class ConfirmOrderHandler(OrderHandler[ConfirmOrder]):
    permission = Permission("confirm_order", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderStatusChanged,)
    refusals = (InvalidTransitionError, OrderOnHoldError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_confirm()

    def act(self, order: Order, command: ConfirmOrder) -> None:
        order.confirm(now=command.timestamp)


@handles(StartProcessing)
class StartProcessingHandler(OrderHandler[StartProcessing]):
    permission = Permission("process_order", (Role.WAREHOUSE, Role.INTEGRATION))
    events = (e.OrderStatusChanged,)
    refusals = (InvalidTransitionError, OrderOnHoldError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_start_processing()

    def act(self, order: Order, command: StartProcessing) -> None:
        order.start_processing(now=command.timestamp)


@handles(CompleteOrder)
class CompleteOrderHandler(OrderHandler[CompleteOrder]):
    permission = Permission("complete_order", (Role.CLERK, Role.INTEGRATION))
    events = (e.OrderStatusChanged,)
    refusals = (InvalidTransitionError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_complete()

    def act(self, order: Order, command: CompleteOrder) -> None:
        order.complete(now=command.timestamp)


@handles(CancelOrder)
class CancelOrderHandler(OrderHandler[CancelOrder]):
    permission = Permission("cancel_order", (Role.CUSTOMER, Role.CLERK, Role.INTEGRATION))
    events = (e.OrderCancelled, e.ShipmentVoided, e.StockReleased)
    refusals = (InvalidTransitionError, OrderAlreadyShippedError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_cancel(by_customer=caller.by_customer)

    def act(self, order: Order, command: CancelOrder) -> None:
        order.cancel(
            command.reason,
            reason_code=command.reason_code,
            by_customer=command.customer_scope is not None,
            now=command.timestamp,
        )


@handles(UpdateOrderStatus)
class UpdateOrderStatusHandler(OrderHandler[UpdateOrderStatus]):
    """Each settable status needs the permission of the move that it stands for."""

    permission = Permission("update_order_status", (Role.CLERK, Role.WAREHOUSE, Role.INTEGRATION))
    events = (
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
        InvalidTransitionError,
        OrderAlreadyShippedError,
        OrderOnHoldError,
        PaymentRequiredError,
        QuantityExceedsOpenError,
        ShipmentStateError,
        StatusNotSettableError,
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
        # Customers may cancel, and that alone doesn't let them set a status.
        moves = (self.moves[status] for status in self.moves if status != OrderStatus.CANCELLED)
        return (self.permission, *moves)

    def needed_permission(self, command: UpdateOrderStatus) -> Permission:
        # The aggregate refuses a status that can't be set; any user who confirms may learn that.
        return self.moves.get(command.status, ConfirmOrderHandler.permission)

    def act(self, order: Order, command: UpdateOrderStatus) -> None:
        order.move_to(
            command.status,
            reason=command.reason or "",
            by_customer=command.customer_scope is not None,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            shipment_id=uuid7(),
            now=command.timestamp,
        )


@handles(PlaceHold)
class PlaceHoldHandler(OrderHandler[PlaceHold]):
    permission = Permission("place_hold", (Role.CLERK, Role.WAREHOUSE))
    events = (e.OrderHeld,)
    refusals = (AlreadyOnHoldError, InvalidTransitionError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_hold()

    def act(self, order: Order, command: PlaceHold) -> None:
        order.hold(command.reason, note=command.note, now=command.timestamp)


@handles(ReleaseHold)
class ReleaseHoldHandler(OrderHandler[ReleaseHold]):
    permission = Permission("release_hold", (Role.CLERK, Role.WAREHOUSE))
    events = (e.OrderHoldReleased,)
    refusals = (NotOnHoldError,)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_release_hold()

    def act(self, order: Order, command: ReleaseHold) -> None:
        order.release_hold(note=command.note, now=command.timestamp)


@handles(ExpireOrder)
class ExpireOrderHandler(OrderHandler[ExpireOrder]):
    permission = Permission("expire_order")
    events = (e.OrderCancelled, e.StockReleased)
    refusals = (InvalidTransitionError, NotExpiredError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_expire(now=caller.now)

    def act(self, order: Order, command: ExpireOrder) -> None:
        order.expire(now=command.timestamp)


@handles(AssignOrder)
class AssignOrderHandler(OrderHandler[AssignOrder]):
    permission = Permission("assign_order", (Role.CLERK,))
    events = (e.OrderAssigned,)
    refusals = (UnknownAssigneeError,)

    def act(self, order: Order, command: AssignOrder) -> None:
        assignee = command.assignee or ""
        staff = User.objects.filter(username=assignee, is_staff=True, is_active=True)
        if assignee and not staff.exists():
            raise UnknownAssigneeError(
                f"There is no member of staff named {assignee}.", pointer="#/assignee"
            )
        order.assign(assignee, now=command.timestamp)
