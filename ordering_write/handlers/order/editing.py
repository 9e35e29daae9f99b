"""Handlers of the commands that change what was ordered and where it goes."""

from config.accounts.roles import Role
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order import limits, pricing, taxes
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Order, StockItem


@handles(c.AddOrderItem)
class AddOrderItemHandler(OrderHandler[c.AddOrderItem]):
    permission = Permission("add_order_item", (Role.CLERK,))
    events = (e.OrderItemAdded, e.OrderMetadataChanged, e.StockReserved)
    refusals = (
        errors.AddressMissingError,
        errors.InsufficientInventoryError,
        errors.NotEditableError,
        errors.TooManyLinesError,
        errors.TooManyUnitsError,
        *limits.REFUSALS,
        *pricing.REFUSALS,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_edit()

    def handle(self, command: c.AddOrderItem) -> list[DomainEvent]:
        limits.lock_customer(command)
        return super().handle(command)

    def act(self, order: Order, command: c.AddOrderItem) -> None:
        order.may_edit()
        limits.check(command, order.customer_id, units=command.quantity)
        stock = StockItem.load_all([command.product_id])
        added = pricing.priced_item(command, order, stock)
        if pricing.is_shipped(added):
            _refuse_without_address(order)
        order.add_item(added, ask_taxes=taxes.of_order(order))
        order.set_metadata(command.metadata, line_id=added.line_id, now=command.timestamp)


def _refuse_without_address(order: Order) -> None:
    """Raise AddressMissingError if ``order`` has no shipping address."""
    if any(line.requires_shipping for line in order.lines.values()):
        return
    if e.shipping_address(log.read_stream(order.stream)) is None:
        raise errors.AddressMissingError(
            f"Order {order.order_number} has no shipping address; set one first.",
            pointer="#/product_id",
        )


@handles(c.ChangeItemQuantity)
class ChangeItemQuantityHandler(OrderHandler[c.ChangeItemQuantity]):
    permission = Permission("change_item_quantity", (Role.CLERK,))
    events = (e.OrderItemQuantityChanged, e.StockReleased, e.StockReserved)
    refusals = (
        errors.AmountTooLargeError,
        errors.DiscontinuedError,
        errors.InsufficientInventoryError,
        errors.NotEditableError,
        errors.QuantityTooSmallError,
        errors.TooManyUnitsError,
        errors.UnknownLineError,
        *limits.REFUSALS,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_edit()

    def handle(self, command: c.ChangeItemQuantity) -> list[DomainEvent]:
        limits.lock_customer(command)
        return super().handle(command)

    def act(self, order: Order, command: c.ChangeItemQuantity) -> None:
        order.change_quantity(
            command.line_id,
            command.new_quantity,
            ask_taxes=taxes.of_order(order),
            now=command.timestamp,
        )
        for changed in order.raised_events:
            if isinstance(changed, e.OrderItemQuantityChanged):
                more = changed.to_quantity - changed.from_quantity
                limits.check(command, order.customer_id, units=more)


@handles(c.CancelOrderItems)
class CancelOrderItemsHandler(OrderHandler[c.CancelOrderItems]):
    permission = Permission("cancel_order_items", (Role.CLERK,))
    events = (e.OrderItemsCancelled, e.StockReleased)
    refusals = (
        errors.InvalidTransitionError,
        errors.QuantityExceedsOpenError,
        errors.UnknownLineError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_cancel_items()

    def act(self, order: Order, command: c.CancelOrderItems) -> None:
        order.cancel_items(command.items, command.reason, now=command.timestamp)


@handles(c.ChangeShippingAddress)
class ChangeShippingAddressHandler(OrderHandler[c.ChangeShippingAddress]):
    permission = Permission("change_shipping_address", (Role.CLERK,))
    events = (e.ShippingAddressChanged,)
    refusals = (
        errors.AmountTooLargeError,
        errors.InvalidTransitionError,
        errors.LabelledError,
        errors.OrderAlreadyShippedError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_change_shipping_address()

    def act(self, order: Order, command: c.ChangeShippingAddress) -> None:
        before = e.shipping_address(log.read_stream(order.stream))
        to = e.PostalAddress(**command.shipping_address.model_dump())
        order.change_shipping_address(
            to,
            before=before,
            ask_taxes=taxes.of_order(order, ship_to=to),
            now=command.timestamp,
        )
