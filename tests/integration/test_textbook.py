"""The calls of the pattern as a textbook writes them, carried out as they stand."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from ordering_read.engine import live
from ordering_read.models import OrderSummary
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus
from ordering_read.queries.order_lists import GetOrdersByCustomer
from ordering_read.queries.orders import GetOrderById, OrderNotFoundError, OrderView
from ordering_write.bus import CommandBus, get_command_bus
from ordering_write.domain.commands import CreateOrder, UpdateOrderStatus
from ordering_write.domain.errors import (
    InsufficientInventoryError,
    InvalidOperationError,
    NoHandlerFoundError,
)
from ordering_write.domain.events import OrderCancelled, OrderCreated, OrderItemAdded, OrderStatus
from ordering_write.domain.values import Address, Money
from ordering_write.handlers.order.creating import CreateOrderHandler
from ordering_write.models import Customer, Order, OrderItem, save
from ordering_write.models.order.order import OrderInMemoryError
from tests import kit

ADDRESS = Address(name="Robin Sample", line1="1 Example Street", city="Sampleton", country="ES")


def lamps(product_id: UUID, quantity: int = 2) -> OrderItem:
    return OrderItem(  # type: ignore[misc]
        product_id=product_id, quantity=quantity, unit_price=Decimal("19.90")
    )


# --- The aggregate, in memory ------------------------------------------------------------------
def test_an_order_is_created_of_items() -> None:
    customer_id, product_id = uuid4(), uuid4()

    order = Order.create(
        customer_id=customer_id, items=[lamps(product_id)], shipping_address=ADDRESS
    )

    created, added = order.pending_events
    assert isinstance(created, OrderCreated)
    assert (created.order_id, created.customer_id) == (order.id, customer_id)
    assert isinstance(added, OrderItemAdded)
    assert (added.product_id, added.quantity) == (product_id, 2)
    assert added.unit_price == Money(amount=Decimal("19.90"), currency="EUR")
    assert order.status == OrderStatus.PENDING
    assert order.total == Decimal("39.80")
    [item] = order.items
    assert (item.product_id, item.quantity) == (product_id, 2)
    assert order.pending_events == []


def test_an_order_is_cancelled_with_a_reason() -> None:
    order = Order.create(customer_id=uuid4(), items=[lamps(uuid4())], shipping_address=ADDRESS)

    order.cancel("Ordered twice")

    cancelled = order.pending_events[-1]
    assert isinstance(cancelled, OrderCancelled)
    assert (cancelled.reason, order.status) == ("Ordered twice", "cancelled")
    with pytest.raises(InvalidOperationError):
        order.cancel("Once more")


def test_a_shipped_order_is_not_cancelled() -> None:
    order = Order.fold(kit.shipped())
    with pytest.raises(InvalidOperationError, match="Cannot cancel shipped order"):
        order.cancel("Too late")


def test_an_order_in_memory_is_not_saved(db: None, customer: Customer) -> None:
    order = Order.create(customer_id=customer.pk, items=[lamps(uuid4())], shipping_address=ADDRESS)
    command = CreateOrder(customer_id=customer.pk, items=order.items, shipping_address=ADDRESS)
    with pytest.raises(OrderInMemoryError):
        save([order], caused_by=command)


# --- The buses ---------------------------------------------------------------------------------
def test_a_command_without_a_user_is_given_by_a_program(db: None, customer: Customer) -> None:
    product = kit.registered_product(on_hand=3)
    command = CreateOrder(
        customer_id=customer.pk, items=[lamps(product.pk)], shipping_address=ADDRESS
    )

    events = get_command_bus().dispatch(command)

    assert isinstance(events[0], OrderCreated)
    assert events[0].recorded.actor.label == "a program"
    live.run(*registered())
    order = get_query_bus().dispatch(GetOrderById(order_id=events[0].order_id))
    assert isinstance(order, OrderView)
    assert (order.id, order.customer_id) == (events[0].order_id, customer.pk)
    assert (order.customer_name, order.status) == ("Robin Sample", "pending")
    assert (order.total_amount, order.item_count) == (Decimal("39.80"), 1)
    assert OrderSummary._meta.db_table == "order_summary"
    page = get_query_bus().dispatch(GetOrdersByCustomer(customer_id=customer.pk))
    assert [found.id for found in page.items] == [order.id]


def test_a_status_is_updated_without_a_user(db: None, customer: Customer) -> None:
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    get_command_bus().dispatch(UpdateOrderStatus(order_id=order.pk, status=OrderStatus.CONFIRMED))
    assert kit.stored(order.stream).status == "confirmed"


def test_too_few_units_are_an_insufficient_inventory(db: None, customer: Customer) -> None:
    product = kit.registered_product(on_hand=1)
    command = CreateOrder(
        customer_id=customer.pk, items=[lamps(product.pk)], shipping_address=ADDRESS
    )
    with pytest.raises(InsufficientInventoryError, match="Insufficient inventory: 2 requested"):
        get_command_bus().dispatch(command)


def test_a_bus_without_a_handler_refuses_a_command(db: None, customer: Customer) -> None:
    bus = CommandBus()
    command = CreateOrder(customer_id=customer.pk, items=[lamps(uuid4())], shipping_address=ADDRESS)
    with pytest.raises(NoHandlerFoundError):
        bus.dispatch(command)
    bus.register(CreateOrder, CreateOrderHandler())


def test_an_unknown_order_is_not_found(db: None) -> None:
    with pytest.raises(OrderNotFoundError):
        get_query_bus().dispatch(GetOrderById(order_id=uuid4()))
