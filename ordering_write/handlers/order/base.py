"""What every command about an existing order does: load it, act, move its stock, save.

Cancelling, editing, shipping and returning an order also move stock, in the same transaction:
checking now and taking later is how shops sell what they don't have. Locks are taken in one order:
customer, order, products by id.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings

from ordering_write.domain import events as e
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import InFutureError
from ordering_write.domain.events import DeliveryFailure, DomainEvent
from ordering_write.handlers.base import CommandHandler
from ordering_write.models import Order, StockItem, save

C = TypeVar("C", bound=Command)
# Something that happens to the stock of the product ``UUID``.
_Move = tuple[UUID, Callable[[StockItem], None]]

# Clocks elsewhere may be ahead of ours by as much.
_CLOCK_SKEW = timedelta(minutes=5)


class OrderHandler(CommandHandler[C]):
    """Carries out a command that has an ``order_id``; what it does is ``act``."""

    def handle(self, command: Any) -> list[DomainEvent]:
        order = Order.load(command.order_id, customer_scope=command.customer_scope)
        order.expect(command.expected_version)
        self.act(order, command)
        if not order.raised_events:
            # What was asked for is so already.
            return []
        return save([order, *self.moved_stock(order)], caused_by=command)

    @abstractmethod
    def act(self, order: Order, command: C) -> None:
        """Call the method of ``order`` that ``command`` asks for."""

    def moved_stock(self, order: Order) -> list[StockItem]:
        """The products whose stock the order's new events move, already moved."""
        moves = [move for event in order.raised_events for move in _moves(order, event)]
        if not moves:
            return []
        stock = StockItem.load_all({product_id for product_id, _ in moves}, order_id=order.id)
        for product_id, move in moves:
            move(stock[product_id])
        return list(stock.values())


def _moves(order: Order, event: DomainEvent) -> Iterator[_Move]:
    """What ``event`` does to the stock of the products of ``order``."""
    match event:
        case e.OrderCancelled(released=units) | e.OrderItemsCancelled(items=units):
            for unit in units:
                yield _move(order, StockItem.release, unit.line_id, unit.quantity, event)
        case e.OrderItemQuantityChanged(line_id=line_id):
            more = event.to_quantity - event.from_quantity
            if more > 0:
                yield _move(order, StockItem.extend, line_id, more, event)
            else:
                yield _move(order, StockItem.release, line_id, -more, event)
        case e.ShipmentDispatched():
            for gone in event.items:
                yield _move(order, StockItem.dispatch, gone.line_id, gone.quantity, event)
        case e.ShipmentFailed(outcome=DeliveryFailure.RETURNED_TO_SENDER, items=units):
            for unit in units:
                yield _move(order, StockItem.take_back, unit.line_id, unit.quantity, event)
        case e.ReturnReceived():
            for item in event.items:
                if item.restock:
                    yield _move(order, StockItem.take_back, item.line_id, item.restock, event)


def _move(
    order: Order, method: Callable[..., None], line_id: UUID, quantity: int, event: DomainEvent
) -> _Move:
    def move(item: StockItem) -> None:
        method(item, (order.id, line_id), quantity, now=event.timestamp)

    return order.lines[line_id].product_id, move


def happened_at(at: datetime | None, *, now: datetime, pointer: str) -> datetime:
    """When a fact became true: ``now`` unless it is said; InFutureError when it can't have yet."""
    if at is None:
        return now
    if at > now + _CLOCK_SKEW:
        raise InFutureError(f"What has happened lies in the past; {at} doesn't.", pointer=pointer)
    return at


def return_window() -> timedelta | None:
    """How long after the last delivery a return may be asked for; None for ever."""
    days = settings.RETURN_WINDOW_DAYS
    return timedelta(days=days) if days else None
