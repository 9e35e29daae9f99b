"""Handlers of the commands about orders.

Placing, cancelling and shipping an order also move stock, in the same transaction: checking now
and taking later is how shops sell what they don't have. These are the only commands that write to
more than one aggregate. Locks are taken in one order: customer, order, products by id.
"""

from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import CancelOrder, UpdateOrderStatus
from ordering_write.domain.errors import InvalidTransitionError
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.handlers.base import CommandHandler
from ordering_write.models import Order, StockItem, save


class CancelOrderHandler(CommandHandler[CancelOrder]):
    """Cancel a whole order and give its stock back."""

    def handle(self, command: CancelOrder) -> list[DomainEvent]:
        order = Order.load(command.order_id, customer_scope=command.customer_scope)
        order.expect(command.expected_version)
        _refuse_late_cancelling(order, command)
        order.cancel(command.reason, reason_code=command.reason_code, now=command.timestamp)
        return save([order, *_moved_stock(order)], caused_by=command)


def _refuse_late_cancelling(order: Order, command: CancelOrder | UpdateOrderStatus) -> None:
    """Customers can cancel until picking starts; afterwards they must ask the shop."""
    if command.customer_scope is not None and order.status == OrderStatus.PROCESSING:
        raise InvalidTransitionError(
            f"Order {order.order_number} is being picked; ask the shop to cancel it.",
            status=order.status,
            allowed=[],
        )


class UpdateOrderStatusHandler(CommandHandler[UpdateOrderStatus]):
    """Move a whole order, by the facts that the status stands for."""

    def handle(self, command: UpdateOrderStatus) -> list[DomainEvent]:
        order = Order.load(command.order_id, customer_scope=command.customer_scope)
        order.expect(command.expected_version)
        if command.status == OrderStatus.CANCELLED:
            _refuse_late_cancelling(order, command)
        order.move_to(
            command.status,
            reason=command.reason or "",
            shipment_id=uuid7(),
            now=command.timestamp,
        )
        return save([order, *_moved_stock(order)], caused_by=command)


def _moved_stock(order: Order) -> list[StockItem]:
    """The products whose stock this order's new events move, already moved."""
    freed: list[e.Units] = []
    gone: list[e.Units] = []
    for event in order.raised_events:
        match event:
            case e.OrderCancelled():
                freed += event.released
            case e.ShipmentDispatched():
                gone += event.items
    if not freed and not gone:
        return []
    products = {unit.line_id: order.lines[unit.line_id].product_id for unit in [*freed, *gone]}
    stock = StockItem.load_all(set(products.values()), order_id=order.id)
    now = order.raised_events[-1].timestamp
    for unit in freed:
        stock[products[unit.line_id]].release((order.id, unit.line_id), unit.quantity, now=now)
    for unit in gone:
        stock[products[unit.line_id]].dispatch((order.id, unit.line_id), unit.quantity, now=now)
    return list(stock.values())
