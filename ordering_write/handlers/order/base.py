"""The base of the handlers of commands about an existing order.

Cancelling, editing, shipping and returning also move stock, in the same transaction: a check now
and a movement later would sell units that aren't there. Every handler takes its locks in one order:
customer, order, products by id.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.events import DeliveryFailure, DomainEvent
from ordering_write.handlers.base import CommandHandler
from ordering_write.models import Order, StockItem, save

C = TypeVar("C", bound=c.Command)
# The id of a product, a number of its units, and the movement of them.
_Movement = tuple[UUID, int, Callable[[StockItem], None]]

# The most that the clock of another system may be ahead of ours.
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Caller:
    """The kind of user and the time for which a guard is asked."""

    by_customer: bool
    now: datetime


class OrderHandler(CommandHandler[C]):
    """Loads an order, calls ``act``, and saves the order and the stock that it moves."""

    aggregate = Order
    # True for a command that stands for other commands: the actions of an order list only those.
    is_shortcut: ClassVar[bool] = False

    def guard(self, order: Order, caller: Caller) -> None:
        """Raise the refusal that every command of this type would get now, whatever its fields.

        The actions of an order and the buttons in the admin call the guard. ``act`` needn't: the
        methods of Order begin with the same guards. The default refuses nothing.
        """

    @abstractmethod
    def act(self, order: Order, command: C) -> None:
        """Call the method of ``order`` that ``command`` asks for."""

    def handle(self, command: Any) -> list[DomainEvent]:
        order = Order.load(command.order_id, customer_scope=command.customer_scope)
        order.expect(command.expected_version)
        self.act(order, command)
        if not order.raised_events:
            # The order is already as the command wants it.
            return []
        return save([order, *_moved_stock(order)], caused_by=command)


def _moved_stock(order: Order) -> list[StockItem]:
    """Make the stock movements of the new events of ``order``; return the products moved."""
    movements = [movement for event in order.raised_events for movement in _movements(order, event)]
    if not movements:
        return []
    units = Counter[UUID]()
    for product_id, quantity, _ in movements:
        units[product_id] += quantity
    stock = StockItem.load_all(units, order_id=order.id)
    StockItem.load_backordered(stock, units)
    for product_id, _, move in movements:
        move(stock[product_id])
    return list(stock.values())


def _movements(order: Order, event: DomainEvent) -> Iterator[_Movement]:
    """Yield the movements of stock that ``event`` causes."""
    match event:
        case e.OrderItemAdded():
            yield _movement(order, StockItem.reserve, event.line_id, event.quantity, event)
        case e.OrderCancelled(released=items) | e.OrderItemsCancelled(items=items):
            for item in items:
                yield _movement(order, StockItem.release, item.line_id, item.quantity, event)
        case e.OrderItemQuantityChanged(line_id=line_id):
            more = event.to_quantity - event.from_quantity
            if more > 0:
                yield _movement(order, StockItem.order_more, line_id, more, event)
            else:
                yield _movement(order, StockItem.release, line_id, -more, event)
        case e.ShipmentDispatched() | e.ItemsHandedOver():
            for dispatched in event.items:
                yield _movement(
                    order, StockItem.dispatch, dispatched.line_id, dispatched.quantity, event
                )
        case e.ShipmentFailed():
            came_back = event.outcome == DeliveryFailure.RETURNED_TO_SENDER
            for item in event.items:
                if came_back:
                    yield _movement(order, StockItem.take_back, item.line_id, item.quantity, event)
                if event.resend:
                    yield _movement(order, StockItem.extend, item.line_id, item.quantity, event)
        case e.ReturnReceived():
            for returned in event.items:
                if returned.restock:
                    yield _movement(
                        order, StockItem.take_back, returned.line_id, returned.restock, event
                    )


def _movement(
    order: Order, method: Callable[..., None], line_id: UUID, quantity: int, event: DomainEvent
) -> _Movement:
    def move(item: StockItem) -> None:
        method(item, (order.id, line_id), quantity, now=event.timestamp)

    return order.lines[line_id].product_id, quantity, move


def happened_at(
    at: datetime | None, *, now: datetime, pointer: str, not_before: datetime | None = None
) -> datetime:
    """Return the time of a fact: ``at``, or ``now`` when ``at`` is None.

    A time that is ahead of ``now`` by at most the clock skew becomes ``now``. Raises at ``pointer``
    InFutureError for a later time, and TooEarlyError for a time before ``not_before``.
    """
    if at is None:
        return now
    if at > now + _CLOCK_SKEW:
        raise errors.InFutureError(f"{at} lies in the future.", pointer=pointer)
    if not_before is not None and at < not_before:
        raise errors.TooEarlyError(
            f"{at} is before {not_before:%Y-%m-%d %H:%M:%S} UTC, which must come first.",
            pointer=pointer,
        )
    return min(at, now)
