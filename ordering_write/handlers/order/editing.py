"""Handlers of the commands that change what was ordered and where it goes."""

from config.accounts.roles import Role
from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    AddOrderItem,
    CancelOrderItems,
    ChangeItemQuantity,
    ChangeShippingAddress,
)
from ordering_write.domain.errors import (
    AmountTooLargeError,
    InsufficientInventoryError,
    InvalidTransitionError,
    NotEditableError,
    OrderAlreadyShippedError,
    QuantityExceedsOpenError,
    QuantityTooSmallError,
    TooManyLinesError,
    UnknownLineError,
)
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order import pricing
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Order, StockItem


@handles(AddOrderItem)
class AddOrderItemHandler(OrderHandler[AddOrderItem]):
    permission = Permission("add_order_item", (Role.CLERK,))
    events = (e.OrderItemAdded, e.StockReserved)
    refusals = (
        AmountTooLargeError,
        InsufficientInventoryError,
        NotEditableError,
        TooManyLinesError,
        *pricing.REFUSALS,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_edit()

    def act(self, order: Order, command: AddOrderItem) -> None:
        order.may_edit()
        stock = StockItem.load_all([command.product_id])
        order.add_item(pricing.priced_item(command, order, stock))


@handles(ChangeItemQuantity)
class ChangeItemQuantityHandler(OrderHandler[ChangeItemQuantity]):
    permission = Permission("change_item_quantity", (Role.CLERK,))
    events = (e.OrderItemQuantityChanged, e.StockReleased, e.StockReserved)
    refusals = (
        AmountTooLargeError,
        InsufficientInventoryError,
        NotEditableError,
        QuantityTooSmallError,
        UnknownLineError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_edit()

    def act(self, order: Order, command: ChangeItemQuantity) -> None:
        order.change_quantity(command.line_id, command.new_quantity, now=command.timestamp)


@handles(CancelOrderItems)
class CancelOrderItemsHandler(OrderHandler[CancelOrderItems]):
    permission = Permission("cancel_order_items", (Role.CLERK,))
    events = (e.OrderItemsCancelled, e.StockReleased)
    refusals = (InvalidTransitionError, QuantityExceedsOpenError, UnknownLineError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_cancel_items()

    def act(self, order: Order, command: CancelOrderItems) -> None:
        order.cancel_items(command.items, command.reason, now=command.timestamp)


@handles(ChangeShippingAddress)
class ChangeShippingAddressHandler(OrderHandler[ChangeShippingAddress]):
    permission = Permission("change_shipping_address", (Role.CLERK,))
    events = (e.ShippingAddressChanged,)
    refusals = (InvalidTransitionError, OrderAlreadyShippedError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_change_shipping_address()

    def act(self, order: Order, command: ChangeShippingAddress) -> None:
        before = e.shipping_address(log.read_stream(order.stream))
        to = e.PostalAddress(**command.shipping_address.model_dump())
        order.change_shipping_address(to, before=before, now=command.timestamp)
