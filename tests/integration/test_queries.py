"""The queries: their results, the number of their statements, and their scope."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from ordering_read.models import OrderLine, Projection
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus, lists
from ordering_read.queries.customers import CustomerNotFoundError, GetCustomerById, ListCustomers
from ordering_read.queries.inventory import GetInventory, GetProduct, ProductNotFoundError
from ordering_read.queries.order_lists import GetOrdersByCustomer, ListOrders
from ordering_read.queries.orders import GetOrderById, OrderNotFoundError
from ordering_read.queries.projections import GetProjectionStatus
from ordering_write.published import OrderStatus
from tests.kit_projections import (
    NOON,
    History,
    customer_registered,
    go_live,
    new_generation,
    order_placed,
    product_registered,
    project,
)

pytestmark = pytest.mark.django_db(databases=["default", "read"])

ask = get_query_bus().dispatch


@contextmanager
def statements(at_most: int) -> Iterator[None]:
    """Fail when more statements reach the read database, or any reaches the write database."""
    with (
        CaptureQueriesContext(connections["read"]) as read,
        CaptureQueriesContext(connections["default"]) as write,
    ):
        yield
    assert len(read) <= at_most
    assert not write.captured_queries


@pytest.fixture
def history() -> History:
    return History()


def place(history: History, count: int, customer_id: UUID | None = None) -> list[UUID]:
    """Place orders an hour apart, and return their ids, newest first."""
    events = len(history.events)
    orders = [
        order_placed(
            number=f"2026-{events + n:06}", customer_id=customer_id, at=NOON + timedelta(hours=n)
        )
        for n in range(count)
    ]
    history.add(*orders)
    return [order.pk for order in reversed(orders)]


# --- One order ---------------------------------------------------------------------------------
def test_an_order_with_its_lines_takes_two_statements(history: History) -> None:
    order = order_placed(lines=12, quantity=2, unit_price="9.95")
    history.add(order)
    go_live(history)

    with statements(at_most=2):
        detail = ask(GetOrderById(order_id=order.pk))

    assert detail.id == order.pk
    assert [line.sku for line in detail.items] == [f"SKU-{n}" for n in range(1, 13)]
    assert detail.total_amount == sum(line.line_total for line in detail.items)
    assert detail.shipping_address is not None
    assert detail.shipping_address.city == "Sampleton"


@pytest.mark.parametrize(
    ("currency", "price", "shown"),
    [("EUR", "9.9", "9.90"), ("JPY", "990", "990"), ("KWD", "1.5", "1.500")],
)
def test_amounts_have_their_currencys_decimals(
    history: History, currency: str, price: str, shown: str
) -> None:
    order = order_placed(quantity=1, unit_price=price, currency=currency)
    history.add(order)
    go_live(history)

    detail = ask(GetOrderById(order_id=order.pk))

    assert [
        str(amount) for amount in (detail.total_amount, detail.balance, detail.items[0].unit_price)
    ] == [shown] * 3


def test_a_missing_order_is_not_found() -> None:
    with pytest.raises(OrderNotFoundError, match=r"^Order not found$"):
        ask(GetOrderById(order_id=uuid4()))


def test_the_lines_are_of_the_same_generation_as_the_order(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = order_placed(lines=2)
    history.add(order)
    go_live(history)
    empty = new_generation("order_view")
    read_lines = OrderLine.objects.filter

    def filter_after_a_promotion(**columns: object) -> object:
        Projection.objects.filter(name="order_view", status="live").update(status="retired")
        Projection.objects.filter(pk=empty.pk).update(status="live")
        return read_lines(**columns)

    monkeypatch.setattr(OrderLine.objects, "filter", filter_after_a_promotion)

    assert len(ask(GetOrderById(order_id=order.pk)).items) == 2


# --- Lists -------------------------------------------------------------------------------------
def test_orders_come_newest_first_and_page_by_page(history: History) -> None:
    newest_first = place(history, 5)
    go_live(history)

    with statements(at_most=2):
        pages = [ask(ListOrders(page=1, page_size=2))]
    pages += [ask(ListOrders(page=n, page_size=2)) for n in (2, 3, 4)]

    assert [[order.id for order in page.items] for page in pages] == [
        newest_first[0:2],
        newest_first[2:4],
        newest_first[4:],
        [],
    ]
    assert {(page.count, page.capped) for page in pages} == {(5, False)}


def test_orders_of_the_same_moment_are_listed_by_id(history: History) -> None:
    orders = [order_placed(number=f"2026-{n}") for n in range(3)]
    history.add(*orders)
    go_live(history)

    ids = [ask(ListOrders(page=n, page_size=1)).items[0].id for n in (1, 2, 3)]

    assert ids == sorted((order.pk for order in orders), reverse=True)


def test_a_count_is_capped(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    place(history, 5)
    go_live(history)
    monkeypatch.setattr(lists, "COUNT_CAP", 3)

    page = ask(ListOrders(page_size=2))

    assert (page.count, page.capped) == (3, True)


def test_orders_are_filtered_by_one_status_or_several(history: History) -> None:
    pending, confirmed, cancelled = (order_placed(number=f"2026-{n}") for n in range(3))
    confirmed.confirm(now=NOON)
    cancelled.cancel("Not wanted", now=NOON)
    history.add(pending, confirmed, cancelled)
    go_live(history)

    def ids(*statuses: OrderStatus) -> set[UUID]:
        status = statuses[0] if len(statuses) == 1 else statuses
        return {order.id for order in ask(ListOrders(status=status)).items}

    assert ids(OrderStatus.PENDING) == {pending.pk}
    assert ids(OrderStatus.PENDING, OrderStatus.CANCELLED) == {pending.pk, cancelled.pk}
    assert ids(OrderStatus.SHIPPED) == set()


def test_the_orders_of_a_customer_are_listed(history: History) -> None:
    customer = customer_registered()
    history.add(customer)
    own = place(history, 2, customer.pk)
    place(history, 1)
    go_live(history)

    with statements(at_most=2):
        page = ask(GetOrdersByCustomer(customer_id=customer.pk))

    assert [order.id for order in page.items] == own
    assert ask(ListOrders(customer=customer.pk)).items == page.items
    with statements(at_most=3):
        cancelled = ask(GetOrdersByCustomer(customer_id=customer.pk, status=OrderStatus.CANCELLED))
    assert cancelled.items == ()


def test_the_orders_of_a_missing_customer_are_not_found() -> None:
    with pytest.raises(CustomerNotFoundError, match=r"^Customer not found$"):
        ask(GetOrdersByCustomer(customer_id=uuid4()))


def test_orders_of_a_customer_that_is_not_projected_yet_are_shown(history: History) -> None:
    customer_id = uuid4()
    own = place(history, 1, customer_id)
    go_live(history)

    page = ask(GetOrdersByCustomer(customer_id=customer_id))

    assert [order.id for order in page.items] == own


def test_only_the_live_generation_is_shown(history: History) -> None:
    place(history, 1)
    go_live(history)
    project(history.events, new_generation("order_view"))

    assert ask(ListOrders()).count == 1


# --- Stock, customers, projections -------------------------------------------------------------
def test_products_come_by_sku(history: History) -> None:
    lamp, chair = product_registered(sku="LAMP"), product_registered(sku="CHAIR", list_price=None)
    history.add(lamp, chair)
    go_live(history)

    with statements(at_most=2):
        page = ask(GetInventory())
    with statements(at_most=1):
        product = ask(GetProduct(product_id=lamp.pk))

    assert [item.sku for item in page.items] == ["CHAIR", "LAMP"]
    assert (page.items[0].list_price, page.items[0].currency) == (None, None)
    assert product == page.items[1]
    assert (product.available, str(product.list_price)) == (10, "9.95")


def test_a_missing_product_is_not_found() -> None:
    with pytest.raises(ProductNotFoundError, match=r"^Product not found$"):
        ask(GetProduct(product_id=uuid4()))


def test_customers_come_newest_first(history: History) -> None:
    old = customer_registered(email="old@example.com")
    new = customer_registered(email="new@example.com", at=NOON + timedelta(days=1))
    history.add(old, new)
    go_live(history)

    with statements(at_most=2):
        page = ask(ListCustomers())
    with statements(at_most=1):
        customer = ask(GetCustomerById(customer_id=old.pk))

    assert [item.customer_id for item in page.items] == [new.pk, old.pk]
    assert customer == page.items[1]


def test_a_missing_customer_is_not_found() -> None:
    with pytest.raises(CustomerNotFoundError, match=r"^Customer not found$"):
        ask(GetCustomerById(customer_id=uuid4()))


def test_projections_are_listed_with_status_and_lag() -> None:
    projections = {projection.name: projection for projection in ask(GetProjectionStatus())}

    assert projections.keys() == registered().keys()
    assert {
        (projection.status, projection.lag_events, projection.lag_seconds)
        for projection in projections.values()
    } == {("live", 0, 0.0)}


# --- Customer scope ----------------------------------------------------------------------------
def test_a_customer_scope_hides_the_data_of_other_customers(history: History) -> None:
    mine, other = customer_registered(), customer_registered(email="other@example.com")
    history.add(mine, other)
    [own] = place(history, 1, mine.pk)
    [foreign] = place(history, 1, other.pk)
    go_live(history)
    scope = mine.pk

    assert ask(GetOrderById(order_id=own, customer_scope=scope)).id == own
    assert [order.id for order in ask(ListOrders(customer_scope=scope)).items] == [own]
    assert ask(ListOrders(customer=other.pk, customer_scope=scope)).count == 0
    assert [row.customer_id for row in ask(ListCustomers(customer_scope=scope)).items] == [scope]
    with pytest.raises(OrderNotFoundError):
        ask(GetOrderById(order_id=foreign, customer_scope=scope))
    with pytest.raises(CustomerNotFoundError):
        ask(GetOrdersByCustomer(customer_id=other.pk, customer_scope=scope))
    with pytest.raises(CustomerNotFoundError):
        ask(GetCustomerById(customer_id=other.pk, customer_scope=scope))
