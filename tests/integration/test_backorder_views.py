"""Backorders as readers see them: of orders, of products, and after an upgrade."""

import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_read.models import StockReservation
from ordering_read.queries import get_query_bus
from ordering_read.queries.inventory import GetProduct
from ordering_read.queries.orders import GetOrderById
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import AdjustmentReason
from ordering_write.models import Order, Reservation, StockItem
from tests import kit
from tests.integration.test_read_api import ROOT, client_of
from tests.kit_projections import (
    NOON,
    History,
    cut_at_random,
    go_live,
    new_generation,
    order_placed,
    project,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("db")

ask = get_query_bus().dispatch
DAYS = [NOON + timedelta(days=number) for number in range(9)]


@pytest.fixture
def lamp() -> StockItem:
    """A product without stock that can be oversold."""
    return StockItem.fold(kit.stocked(0, backorderable=True))


def place(product: StockItem, *units: int) -> Order:
    """Return an order of ``product`` with a line for each number of ``units``, reserved."""
    order = order_placed(
        lines=len(units), number=uuid7().hex[-20:], product_id=product.pk, quantity=units[0]
    )
    for line, quantity in zip(order.lines.values(), units, strict=True):
        product.reserve((order.pk, line.pk), quantity, now=NOON)
    return order


def show(product: StockItem, *orders: Order) -> None:
    """Apply the events of ``product`` and ``orders``."""
    history = History()
    for event in kit.stocked(0, backorderable=True):
        registered = event.model_copy(update={"product_id": product.pk})
        history._append(registered, product.stream)
    history.add(product, *orders)
    go_live(history)


# --- Orders ------------------------------------------------------------------------------------
def test_a_line_shows_its_backordered_units_and_when_the_last_of_them_is_expected(
    lamp: StockItem,
) -> None:
    older, newer = place(lamp, 5), place(lamp, 3, 3)
    lamp.expect_units(7, at=DAYS[1], now=NOON)
    lamp.expect_units(3, at=DAYS[2], now=NOON)
    lamp.receive(2, now=NOON)
    show(lamp, older, newer)

    first, second = ask(GetOrderById(order_id=older.pk)), ask(GetOrderById(order_id=newer.pk))

    assert (first.backordered, first.expected_at) == (3, DAYS[1])
    assert [line.backordered for line in second.items] == [3, 3]
    # 5 units are expected on the first day, 3 on the second, and 9 are waited for.
    assert [line.expected_at for line in second.items] == [DAYS[2], None]
    assert (second.backordered, second.expected_at) == (6, None)


def test_an_order_whose_units_are_in_stock_has_no_backorder(lamp: StockItem) -> None:
    lamp.receive(5, now=NOON)
    order = place(lamp, 5)
    show(lamp, order)

    [line] = ask(GetOrderById(order_id=order.pk)).items

    assert (line.backordered, line.expected_at) == (0, None)


def test_the_backorders_of_a_past_state_are_not_known() -> None:
    order = kit.placed_order(
        kit.registered_customer(), (kit.registered_product(0, backorderable=True), 2)
    )

    shown = ask(GetOrderById(order_id=order.pk, version=2))

    assert (shown.backordered, shown.items[0].backordered) == (None, None)


def test_an_order_with_backorders_is_read_in_one_statement(lamp: StockItem) -> None:
    order = place(lamp, 5, 5)
    show(lamp, order)
    with CaptureQueriesContext(connections["read"]) as queries:
        ask(GetOrderById(order_id=order.pk))
    assert len(queries) == 1


def test_the_customer_sees_what_is_backordered(lamp: StockItem) -> None:
    order = place(lamp, 5)
    lamp.expect_units(5, at=DAYS[1], now=NOON)
    show(lamp, order)
    client = client_of(Role.CUSTOMER, customer_id=order.customer_id)

    shown = client.get(f"{ROOT}/orders/{order.pk}").json()

    expected = "2026-03-02T12:00:00Z"
    assert (shown["backordered"], shown["expected_at"]) == (5, expected)
    assert (shown["items"][0]["backordered"], shown["items"][0]["expected_at"]) == (5, expected)


# --- Products ----------------------------------------------------------------------------------
def test_a_product_shows_its_backordered_and_expected_units(lamp: StockItem) -> None:
    order = place(lamp, 5)
    lamp.receive(2, now=NOON)
    lamp.expect_units(4, at=DAYS[1], now=NOON)
    show(lamp, order)

    product = ask(GetProduct(product_id=lamp.pk))
    assert product.backordered == 3
    assert [(item.at, item.quantity) for item in product.expected] == [(DAYS[1], 4)]
    path = f"{ROOT}/inventory/{lamp.pk}"
    assert client_of(Role.CLERK).get(path).json()["backordered"] == 3
    assert (
        client_of(Role.CUSTOMER, customer_id=order.customer_id).get(path).json()["expected"] is None
    )


# --- Rows --------------------------------------------------------------------------------------
def random_moves(item: StockItem, dice: random.Random, keys: Sequence[tuple[UUID, UUID]]) -> None:
    for _ in range(20):
        key, units = dice.choice(keys), dice.randint(1, 5)
        moves: list[Any] = [
            lambda key=key, units=units: item.extend(key, units, now=NOON),
            lambda key=key, units=units: item.release(key, units, now=NOON),
            lambda key=key, units=units: item.dispatch(key, units, now=NOON),
            lambda units=units: item.receive(units, now=NOON),
            lambda units=units: item.adjust(-units, reason=AdjustmentReason.COUNT, now=NOON),
        ]
        with suppress(DomainError):
            dice.choice(moves)()


def as_of_an_earlier_release(events: Sequence[Any]) -> list[Any]:
    """Return ``events`` without what only this release says."""
    return [event.model_copy(update={"backordered": None, "backorders": None}) for event in events]


@pytest.mark.parametrize("seed", range(6))
def test_rows_show_the_reservations_in_batches_of_any_size_and_of_all_releases(seed: int) -> None:
    dice = random.Random(seed)
    keys = [(uuid7(), uuid7()) for _ in range(4)]
    item = StockItem.fold(kit.stocked(3, backorderable=True))
    random_moves(item, dice, keys)
    past = as_of_an_earlier_release([*kit.stocked(3, backorderable=True), *item.pending_events])
    past = [event.model_copy(update={"product_id": item.pk}) for event in past]
    item = StockItem.fold(past)
    random_moves(item, dice, keys)
    history, generation = History(), new_generation("inventory_level")
    for event in [*past, *item.pending_events]:
        history._append(event, item.stream)

    for batch in cut_at_random(history.events, dice):
        project(batch, generation)

    rows = {
        (row["order_id"], row["line_id"]): (row["quantity"], row["backordered"])
        for row in rows_of(StockReservation, generation)
    }
    reserved = item.reservations.items()
    assert rows == {key: (units, item.backorders.get(key, 0)) for key, units in reserved}


# --- Migrations --------------------------------------------------------------------------------
def migrate(app: str, name: str, alias: str) -> None:
    """Run the function of a migration that fills columns."""
    with connections[alias].schema_editor(atomic=False) as editor:
        import_module(f"{app}.migrations.{name}").fill(None, editor)


def test_the_units_on_hand_are_allocated_to_the_reservations_of_an_earlier_release() -> None:
    customer = kit.registered_customer()
    lamp = kit.registered_product(7, backorderable=True)
    orders = [kit.placed_order(customer, (lamp, 5)) for _ in range(3)]
    with connection.cursor() as cursor:
        for table in ("reservation", "stockitem"):
            cursor.execute(f"UPDATE ordering_write_{table} SET backordered = 0")

    migrate("ordering_write", "0024_fill_backorders", "default")

    rows = Reservation.objects.order_by("line_id").values_list("order_id", "backordered")
    assert dict(rows) == {orders[0].pk: 0, orders[1].pk: 3, orders[2].pk: 5}
    kit.check_rows_equal_log()


def test_rows_of_an_earlier_release_are_allocated_like_the_reservations(lamp: StockItem) -> None:
    orders = [place(lamp, 5) for _ in range(3)]
    lamp.receive(7, now=NOON)
    show(lamp, *orders)
    with connections["read"].cursor() as cursor:
        for table in ("stock_reservation", "inventory_level"):
            cursor.execute(f"UPDATE {table} SET backordered = 0")

    migrate("ordering_read", "0031_fill_backorders", "read")

    shown = [ask(GetOrderById(order_id=order.pk)).backordered for order in orders]
    assert shown == [0, 3, 5]
    assert ask(GetProduct(product_id=lamp.pk)).backordered == 8
