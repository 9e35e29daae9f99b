"""The read models that count: the sums of events, by day and currency."""

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from ordering_read.models.counted_row import CountedRow
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.status_counter import StatusCounter
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.projections.counting_projector import CountingProjector, merge_by_name
from ordering_read.projector import projector
from ordering_write.domain.errors import InvalidOperationError
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.models import Order
from tests.kit_projections import (
    NOON,
    History,
    new_generation,
    order_placed,
    project,
    rows_of,
)
from tests.proof import size

pytestmark = pytest.mark.django_db(databases=["default", "read"])

COUNTED_MODELS = [CustomerStats, SalesByDay, SalesByProduct, StatusCounter, TaxByDay]
TODAY, TOMORROW = date(2026, 3, 1), date(2026, 3, 2)
NEXT_DAY = NOON + timedelta(days=1)
# The sums of orders without discounts, taxes and payments.
NO_SUMS = dict.fromkeys(
    ("discount", "tax", "goodwill", "captured", "charged_back", "paid_back"), Decimal(0)
)


@pytest.fixture
def history() -> History:
    return History()


def index_by(rows: Sequence[dict[str, Any]], *names: str) -> dict[Any, dict[str, Any]]:
    """``rows`` by the values of their columns ``names``."""
    return {tuple(row[name] for name in names): row for row in rows}


# --- Sales by day ------------------------------------------------------------------------------
def test_the_sales_of_a_day_are_one_row(history: History) -> None:
    history.add(order_placed(lines=2, quantity=3, unit_price="9.95"), order_placed(number="2"))

    assert history.rows(SalesByDay) == [
        {
            "day": TODAY,
            "currency": "EUR",
            "orders": 2,
            "units": 8,
            "gross": Decimal("79.60"),
            "cancelled": Decimal(0),
            "refunded": Decimal(0),
            **NO_SUMS,
        }
    ]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 3, 1, 22, 59, tzinfo=UTC), TODAY),
        (datetime(2026, 3, 1, 23, 30, tzinfo=UTC), TOMORROW),
        # In summer Madrid is two hours ahead of UTC.
        (datetime(2026, 7, 1, 21, 59, tzinfo=UTC), date(2026, 7, 1)),
        (datetime(2026, 7, 1, 22, 0, tzinfo=UTC), date(2026, 7, 2)),
    ],
)
def test_sales_are_booked_on_the_day_of_the_store(
    history: History, at: datetime, day: date, settings: Any
) -> None:
    settings.STORE_TIME_ZONE = "Europe/Madrid"
    history.add(order_placed(at=at))

    assert [row["day"] for row in history.rows(SalesByDay)] == [day]
    assert [row["day"] for row in history.rows(SalesByProduct)] == [day]


def test_a_cancellation_is_booked_on_its_own_day(history: History) -> None:
    order = order_placed(quantity=2, unit_price="9.95")
    history.add(order)
    before = history.rows(SalesByDay)
    order.cancel("Not wanted", now=NEXT_DAY)
    history.add(order)

    after = index_by(history.rows(SalesByDay), "day")

    assert after[TODAY,] == before[0]
    assert after[TOMORROW,] == {
        "day": TOMORROW,
        "currency": "EUR",
        "orders": 0,
        "units": 0,
        "gross": Decimal(0),
        "cancelled": Decimal("19.90"),
        "refunded": Decimal(0),
        **NO_SUMS,
    }


def test_a_cancelled_order_with_shipping_and_discounts_nets_zero(
    history: History,
) -> None:
    order = order_placed(
        quantity=1, unit_price="10.00", adjustments={"shipping": "4.00", "discount": "3.00"}
    )
    order.cancel("Not wanted", now=NOON)
    history.add(order)

    [row] = history.rows(SalesByDay)

    assert (row["gross"], row["cancelled"]) == (Decimal(11), Decimal(11))


def test_currencies_are_never_added_together(history: History) -> None:
    customer_id, product_id = uuid4(), uuid4()
    for currency, price in (("EUR", "9.95"), ("JPY", "995"), ("KWD", "0.995")):
        order = order_placed(
            quantity=2,
            unit_price=price,
            currency=currency,
            customer_id=customer_id,
            product_id=product_id,
        )
        history.add(order)

    expected = {("EUR",): Decimal("19.90"), ("JPY",): Decimal(1990), ("KWD",): Decimal("1.990")}
    for model, column in (
        (SalesByDay, "gross"),
        (SalesByProduct, "gross"),
        (CustomerStats, "spent"),
    ):
        rows = index_by(history.rows(model), "currency")
        assert {key: row[column] for key, row in rows.items()} == expected


# --- Sales by product --------------------------------------------------------------------------
def test_the_sales_of_a_product_are_one_row_a_day(history: History) -> None:
    lamp, chair = uuid4(), uuid4()
    history.add(
        order_placed(product_id=lamp, quantity=2, unit_price="9.95"),
        order_placed(product_id=lamp, quantity=1, unit_price="8.95"),
        order_placed(product_id=lamp, at=NEXT_DAY, adjustments={"discount": "5.00"}),
        order_placed(product_id=chair),
    )

    rows = index_by(history.rows(SalesByProduct), "product_id", "day")

    assert rows.keys() == {(lamp, TODAY), (lamp, TOMORROW), (chair, TODAY)}
    assert rows[lamp, TODAY] == {
        "day": TODAY,
        "product_id": lamp,
        "currency": "EUR",
        "sku": "SKU-1",
        "name": "Sample 1",
        "units": 3,
        "cancelled_units": 0,
        "returned_units": 0,
        "gross": Decimal("28.85"),
        "refunded": Decimal(0),
    }
    assert rows[lamp, TOMORROW]["gross"] == Decimal("19.90")


# --- Customers ---------------------------------------------------------------------------------
def test_the_statistics_of_a_customer(history: History) -> None:
    customer_id = uuid4()
    small = order_placed(customer_id=customer_id, quantity=1, unit_price="10.00")
    large = order_placed(customer_id=customer_id, lines=2, quantity=1, at=NEXT_DAY)
    cancelled = order_placed(customer_id=customer_id, quantity=1, unit_price="5.00")
    cancelled.cancel("Not wanted", now=NEXT_DAY)
    history.add(small, large, cancelled, order_placed())

    [row] = [row for row in history.rows(CustomerStats) if row["customer_id"] == customer_id]

    assert row == {
        "customer_id": customer_id,
        "currency": "EUR",
        "orders": 3,
        "cancelled": 1,
        "returned_units": 0,
        "spent": Decimal("29.90"),
        "first_order_at": NOON,
        "last_order_at": NEXT_DAY,
        "largest_order": Decimal("19.90"),
        **NO_SUMS,
    }
    assert CustomerStats(**row).average_order == Decimal("14.95")


def test_the_largest_order_is_measured_by_its_lines(history: History) -> None:
    history.add(order_placed(lines=2, unit_price="25.00", adjustments={"discount": "30.00"}))

    [row] = history.rows(CustomerStats)

    assert (row["largest_order"], row["spent"]) == (Decimal(100), Decimal(70))


def test_a_free_order_is_the_largest_order_of_its_customer_when_it_is_the_only_one(
    history: History,
) -> None:
    history.add(order_placed(unit_price="0.00"))

    [row] = history.rows(CustomerStats)

    assert (row["orders"], row["largest_order"], row["spent"]) == (1, 0, 0)


def test_a_customer_who_cancelled_everything_has_no_average(history: History) -> None:
    order = order_placed()
    order.cancel("Not wanted", now=NOON)
    history.add(order)

    [row] = history.rows(CustomerStats)

    assert row["spent"] == 0
    assert CustomerStats(**row).average_order is None


# --- Statuses ----------------------------------------------------------------------------------
def test_an_order_is_counted_by_its_present_statuses(history: History) -> None:
    waiting, shipped, cancelled = (order_placed(number=f"2026-{n}") for n in range(3))
    shipped.confirm(now=NOON)
    shipped.move_to(OrderStatus.SHIPPED, now=NOON, shipment_id=uuid4())
    cancelled.cancel("Not wanted", now=NOON)
    waiting.tag("gift", now=NOON)
    history.add(waiting, shipped, cancelled)

    counts = [row for row in history.rows(StatusCounter) if row["count"]]

    assert {(row["facet"], row["value"]): row["count"] for row in counts} == {
        ("status", "pending"): 1,
        ("status", "shipped"): 1,
        ("status", "cancelled"): 1,
        ("payment_status", "unpaid"): 3,
        ("fulfilment_status", "unfulfilled"): 2,
        ("fulfilment_status", "fulfilled"): 1,
        ("return_status", "none"): 3,
    }


# --- Batches -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def busy_week() -> History:
    """Orders of some customers and products in three currencies, placed and moved; only read."""
    history = History()
    dice = random.Random(20260301)
    customers, products = [uuid4() for _ in range(4)], [uuid4() for _ in range(3)]
    orders: list[Order] = []
    for number in range(60):
        at = NOON + timedelta(hours=3 * number)
        if orders and dice.random() < 0.4:
            order = dice.choice(orders)
            if moves := order.allowed_moves():
                with suppress(InvalidOperationError):
                    order.move_to(dice.choice(moves), now=at, shipment_id=uuid4())
        else:
            order = order_placed(
                lines=dice.randint(1, 3),
                number=f"2026-{number:06}",
                currency=dice.choice(["EUR", "JPY", "KWD"]),
                unit_price=str(dice.randint(10, 99)),
                customer_id=dice.choice(customers),
                product_id=dice.choice(products),
                adjustments={"discount": "5", "tax": "2"} if dice.random() < 0.5 else None,
                at=at,
            )
            order.tag("gift", now=at)
            orders.append(order)
        history.add(order)
    return history


@pytest.mark.proof
@pytest.mark.parametrize("model", COUNTED_MODELS)
@pytest.mark.parametrize("seed", range(size(1, full=3)))
def test_the_size_of_batches_makes_no_difference(
    busy_week: History, model: type[CountedRow], seed: int
) -> None:
    expected = busy_week.rows(model)
    generation = new_generation(model.projection_name)

    dice = random.Random(seed)
    rest = busy_week.events
    while rest:
        batch = dice.randint(1, 7)
        project(rest[:batch], generation)
        rest = rest[batch:]

    assert rows_of(model, generation) == expected != []


@pytest.mark.parametrize("model", COUNTED_MODELS)
def test_a_batch_of_any_size_is_one_statement(busy_week: History, model: type[CountedRow]) -> None:
    generation = new_generation(model.projection_name)

    for batch in (busy_week.events[:9], busy_week.events[9:]):
        with CaptureQueriesContext(connections["read"]) as statements:
            project(batch, generation)
        assert [statement["sql"].split()[0] for statement in statements] == ["INSERT"]


def test_a_batch_without_increments_writes_nothing(history: History) -> None:
    order = order_placed()
    order.tag("gift", now=NOON)
    history.add(order)
    generation = new_generation("status_counter")

    with CaptureQueriesContext(connections["read"]) as statements:
        project(history.events[-1:], generation)

    assert not statements.captured_queries


@pytest.mark.parametrize("model", COUNTED_MODELS)
def test_a_row_is_the_sum_of_the_events_that_change_it(
    busy_week: History, model: type[CountedRow]
) -> None:
    projection = projector(model.projection_name)
    assert isinstance(projection, CountingProjector)
    events = [event for event in busy_week.events if isinstance(event, projection.events)]

    def rows_from(events: Sequence[DomainEvent]) -> dict[Any, CountedRow]:
        return merge_by_name(row for event in events for row in projection.increments(event))

    for name, row in rows_from(events).items():
        sum_of_changes = rows_from([event for event in events if name in rows_from([event])])[name]
        assert [getattr(sum_of_changes, column) for column in model.merged_columns()] == [
            getattr(row, column) for column in model.merged_columns()
        ]


@pytest.mark.parametrize("model", COUNTED_MODELS)
def test_generations_are_counted_independently(busy_week: History, model: type[CountedRow]) -> None:
    first, second = (new_generation(model.projection_name) for _ in range(2))
    project(busy_week.events, first)
    project(busy_week.events, second)

    assert rows_of(model, first) == rows_of(model, second)


def test_sums_of_the_largest_amounts_fit(history: History) -> None:
    history.add(*(order_placed(quantity=1, unit_price="999999999999999.99") for _ in range(20)))

    [row] = history.rows(SalesByDay)

    assert row["gross"] == 20 * Decimal("999999999999999.99")
