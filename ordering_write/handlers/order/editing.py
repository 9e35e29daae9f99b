"""Handlers of the commands that change what was ordered and where it goes."""

from typing import cast

from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    AddOrderItem,
    CancelOrderItems,
    ChangeItemQuantity,
    ChangeShippingAddress,
)
from ordering_write.domain.events import DomainEvent
from ordering_write.handlers.base import CommandHandler
from ordering_write.handlers.order.base import OrderHandler
from ordering_write.handlers.pricing import priced_item
from ordering_write.models import Order, StockItem, save


class AddOrderItemHandler(CommandHandler[AddOrderItem]):
    """Add a line and reserve its units."""

    def handle(self, command: AddOrderItem) -> list[DomainEvent]:
        order = Order.load(command.order_id, customer_scope=command.customer_scope)
        order.expect(command.expected_version)
        order.may_edit()
        stock = StockItem.load_all([command.product_id], order_id=order.id)
        item = priced_item(command, order, stock)
        order.add_item(item)
        product = stock[item.product_id]
        product.reserve((order.id, item.line_id), item.quantity, now=command.timestamp)
        return save([order, product], caused_by=command)


class ChangeItemQuantityHandler(OrderHandler[ChangeItemQuantity]):
    """Change how many units a line asks for; the difference is reserved or given back."""

    def act(self, order: Order, command: ChangeItemQuantity) -> None:
        order.change_quantity(command.line_id, command.new_quantity, now=command.timestamp)


class CancelOrderItemsHandler(OrderHandler[CancelOrderItems]):
    """Cancel units that aren't packed, and give their stock back."""

    def act(self, order: Order, command: CancelOrderItems) -> None:
        order.cancel_items(command.items, command.reason, now=command.timestamp)


class ChangeShippingAddressHandler(OrderHandler[ChangeShippingAddress]):
    """Send an order elsewhere."""

    def act(self, order: Order, command: ChangeShippingAddress) -> None:
        order.change_shipping_address(
            e.PostalAddress(**command.shipping_address.model_dump()),
            before=_present_address(order),
            now=command.timestamp,
        )


def _present_address(order: Order) -> e.PostalAddress:
    # It is personal, and so in no row of the order: only beside the log.
    present = None
    for event in log.read_stream(order.stream):
        match event:
            case e.OrderCreated():
                present = event.shipping_address
            case e.ShippingAddressChanged():
                present = event.to_address
    return cast(e.PostalAddress, present)
