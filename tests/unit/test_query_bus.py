"""The query bus, and the validation of queries."""

import asyncio
from uuid import uuid4

import pytest
from pydantic import ValidationError

from ordering_read.queries import Query, QueryBus, QueryHandler, get_query_bus
from ordering_read.queries.order_lists import GetOrdersByCustomer, ListOrders
from ordering_read.queries.orders import GetOrderById
from ordering_write.published import NoHandlerFoundError, OrderStatus


class Double(Query[int]):
    number: int


class DoubleHandler(QueryHandler[Double, int]):
    def handle(self, query: Double) -> int:
        return query.number * 2


@pytest.fixture
def bus() -> QueryBus:
    bus = QueryBus()
    bus.register(Double, DoubleHandler())
    return bus


def test_a_query_goes_to_its_handler(bus: QueryBus) -> None:
    assert bus.dispatch(Double(number=21)) == 42


def test_async_callers_get_the_same_answer(bus: QueryBus) -> None:
    assert asyncio.run(bus.adispatch(Double(number=21))) == 42


def test_a_query_without_handler_is_an_error(bus: QueryBus) -> None:
    with pytest.raises(NoHandlerFoundError, match="GetOrderById"):
        bus.dispatch(GetOrderById(order_id=uuid4()))


def test_get_query_bus_returns_one_bus() -> None:
    assert get_query_bus() is get_query_bus()


def test_a_query_is_frozen() -> None:
    query = GetOrderById(order_id=uuid4())

    with pytest.raises(ValidationError):
        query.order_id = uuid4()  # type: ignore[misc]


def test_a_query_refuses_unknown_fields() -> None:
    with pytest.raises(ValidationError):
        GetOrderById(order_id=uuid4(), colour="blue")  # type: ignore[call-arg]


@pytest.mark.parametrize("page", [{"page": 0}, {"page_size": 0}, {"page_size": 101}])
def test_pages_have_bounds(page: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ListOrders(**page)


def test_the_orders_of_a_customer_have_default_page_and_ordering() -> None:
    query = GetOrdersByCustomer(customer_id=uuid4())

    assert (query.status, query.page, query.page_size) == (None, 1, 20)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("pending", (OrderStatus.PENDING,)),
        (["pending", "shipped"], (OrderStatus.PENDING, OrderStatus.SHIPPED)),
    ],
)
def test_a_status_is_one_or_several(sent: object, status: object) -> None:
    assert ListOrders.model_validate({"status": sent}).status == status
