"""The fulfilment queue: its orders, their readiness and the reasons for it."""

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_read.models import OrderLine
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries import get_query_bus
from ordering_read.queries.fulfilment import GetFulfilmentQueue, QueuedOrderView
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.events import DeliveryFailure, HoldReason, PaymentKind
from ordering_write.models import Order, StockItem
from tests.kit_admin import list_url, logged_in, run_action
from tests.kit_projections import (
    ADDRESS,
    NOON,
    History,
    cut_at_random,
    go_live,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("db")


def confirm_and_pay(order: Order) -> Order:
    """Confirm ``order``, pay it in full, and return it."""
    order.confirm(now=NOON)
    order.record_payment("p-1", PaymentKind.CAPTURED, Decimal(order.total), at=NOON)
    return order


def units_of(order: Order, quantity: int) -> list[LineQuantity]:
    """``quantity`` units of the first line of ``order``."""
    return [LineQuantity(line_id=UUID(str(next(iter(order.lines)))), quantity=quantity)]


def pack(order: Order, quantity: int) -> UUID:
    shipment_id = uuid4()
    order.pack(units_of(order, quantity), shipment_id=shipment_id, now=NOON)
    return shipment_id


def change_address(order: Order, **fields: str) -> None:
    """Change ``fields`` of the shipping address of ``order``."""
    address = ADDRESS.model_copy(update=fields)
    order.change_shipping_address(address, before=ADDRESS, now=NOON)


def queue_of(*aggregates: Any, **parameters: Any) -> list[QueuedOrderView]:
    """The queue after all events of ``aggregates``."""
    history = History()
    history.add(*aggregates)
    go_live(history)
    return list(get_query_bus().dispatch(GetFulfilmentQueue(**parameters)).items)


def backorderable_product(on_hand: int, *, promised: int = 0) -> StockItem:
    """A product that may be oversold, with ``promised`` units reserved for another order."""
    product = product_registered(sku="LAMP", on_hand=on_hand)
    product.set_policy(reorder_point=0, backorderable=True, now=NOON)
    if promised:
        product.reserve((uuid7(), uuid7()), promised, now=NOON)
    return product


def paid_order(product: StockItem, *, quantity: int = 2) -> Order:
    """A confirmed and paid order of ``product``, with its reservation."""
    order = confirm_and_pay(
        order_placed(number=uuid7().hex[-20:], product_id=product.pk, quantity=quantity)
    )
    for line in order.lines.values():
        product.reserve((order.pk, line.pk), quantity, now=NOON)
    return order


# --- Orders in the queue -----------------------------------------------------------------------
def test_an_order_is_in_the_queue_while_units_are_left() -> None:
    order = confirm_and_pay(order_placed(quantity=3))
    steps: list[Callable[[], Any]] = [
        lambda: pack(order, 2),
        lambda: order.void_shipment(UUID(str(next(iter(order.shipments)))), now=NOON),
        lambda: order.cancel_items(units_of(order, 1), "Damaged", now=NOON),
        lambda: order.ship_everything(shipment_id=uuid4(), now=NOON),
    ]
    history = History()
    history.add(order)
    counts = []
    for step in steps:
        [row] = history.rows(QueuedOrder)
        counts.append((row["open_units"], row["packed_units"], row["units"]))
        step()
        history.add(order)

    [row] = history.rows(QueuedOrder)

    assert counts == [(3, 0, 3), (1, 2, 3), (3, 0, 3), (2, 0, 2)]
    assert (row["open_units"], row["packed_units"], row["open_products"]) == (0, 0, [])
    assert queue_of(order) == []


def test_units_to_be_sent_again_are_in_the_queue_again() -> None:
    order = confirm_and_pay(order_placed(quantity=3))
    shipment_id = pack(order, 2)
    order.dispatch_shipment(shipment_id, now=NOON)
    order.fail_delivery(shipment_id, DeliveryFailure.LOST, resend=True, at=NOON)
    history = History()
    history.add(order)

    [row] = history.rows(QueuedOrder)
    [line] = history.rows(OrderLine)

    assert (row["open_units"], row["packed_units"], row["status"]) == (3, 0, "processing")
    assert (line["shipped"], line["packed"], line["failed"]) == (0, 0, 0)


def test_a_changed_quantity_changes_the_units() -> None:
    order = order_placed(quantity=2)
    order.change_quantity(UUID(str(next(iter(order.lines)))), 5, now=NOON)
    history = History()
    history.add(order)

    [row] = history.rows(QueuedOrder)

    assert row["units"] == 5


def test_a_cancelled_order_is_not_in_the_queue() -> None:
    order = order_placed()
    order.cancel("Not needed", now=NOON)

    assert queue_of(order) == []


def test_the_queue_shows_the_destination_and_the_assignee() -> None:
    order = order_placed()
    change_address(order, city="Otherton", postal_code="999")
    order.assign("robin", now=NOON)

    [queued] = queue_of(order)

    shown = (queued.city, queued.postal_code, queued.country, queued.assigned_to)
    assert shown == ("Otherton", "999", "ES", "robin")
    [line] = queued.lines
    assert (line.sku, line.open, line.packed) == ("SKU-1", 2, 0)


def test_the_destination_of_an_erased_customer_is_erased() -> None:
    order = order_placed()
    order.anonymize(now=NOON)

    [queued] = queue_of(order)

    assert {queued.city, queued.country} == {"[erased]"}


# --- Readiness ---------------------------------------------------------------------------------
def test_a_paid_order_is_green_when_all_units_are_on_hand() -> None:
    product = product_registered(on_hand=10)
    product.reserve((uuid4(), uuid4()), 10, now=NOON)

    [queued] = queue_of(product, confirm_and_pay(order_placed(product_id=product.pk)))

    assert (queued.ready, queued.reasons) == ("green", ())


def test_an_order_with_an_authorized_payment_is_green() -> None:
    order = order_placed()
    order.confirm(now=NOON)
    order.record_payment("p-1", PaymentKind.AUTHORIZED, Decimal(order.total), at=NOON)

    [queued] = queue_of(order)

    assert queued.ready == "green"


def test_an_order_is_red_before_its_confirmation() -> None:
    [queued] = queue_of(order_placed())

    assert (queued.ready, queued.reasons) == ("red", ("not confirmed", "not paid"))


def test_an_order_is_red_while_it_is_on_hold() -> None:
    order = confirm_and_pay(order_placed())
    order.hold(HoldReason.FRAUD_REVIEW, now=NOON)
    history = History()
    history.add(order)
    go_live(history)
    [held] = get_query_bus().dispatch(GetFulfilmentQueue()).items

    order.release_hold(now=NOON)
    history.add(order)
    go_live(history)
    [released] = get_query_bus().dispatch(GetFulfilmentQueue()).items

    assert (held.ready, held.reasons) == ("red", ("on hold: fraud review",))
    assert (released.ready, released.reasons) == ("green", ())


@pytest.mark.parametrize(("required", "light"), [(False, "amber"), (True, "red")])
def test_an_unpaid_order_is_red_where_payment_comes_first(
    required: bool, light: str, settings: Any
) -> None:
    settings.PAYMENT_BEFORE_PACKING = required
    order = order_placed()
    order.confirm(now=NOON)

    [queued] = queue_of(order)

    assert (queued.ready, queued.reasons) == (light, ("not paid",))


def test_an_order_of_which_a_part_is_in_stock_is_amber() -> None:
    product = backorderable_product(9, promised=8)
    order = paid_order(product)

    [queued] = queue_of(product, order)

    assert (queued.ready, queued.reasons) == ("amber", ("SKU-1: 1 backordered",))
    assert (queued.backordered, queued.lines[0].backordered) == (1, 1)


def test_an_order_of_which_nothing_is_in_stock_is_red() -> None:
    product = backorderable_product(5, promised=8)
    order = paid_order(product)
    product.expect_units(4, at=NOON + timedelta(days=1), now=NOON)
    product.expect_units(1, at=NOON + timedelta(days=2), now=NOON)

    [queued] = queue_of(product, order)

    expected = ("SKU-1: 2 backordered, expected 2026-03-03",)
    assert (queued.ready, queued.reasons) == ("red", expected)


def test_the_units_that_others_wait_for_leave_an_order_green() -> None:
    product = backorderable_product(2)
    order = paid_order(product)
    product.reserve((uuid7(), uuid7()), 8, now=NOON)

    [queued] = queue_of(product, order)

    assert (queued.ready, queued.reasons) == ("green", ())


def test_the_older_of_two_orders_turns_green_with_a_delivery() -> None:
    product = backorderable_product(0)
    older, newer = paid_order(product, quantity=5), paid_order(product, quantity=5)
    product.receive(5, now=NOON)

    queued = {row.order_id: row.ready for row in queue_of(product, older, newer)}

    assert queued == {older.pk: "green", newer.pk: "red"}


def test_a_partly_packed_order_is_amber_when_the_rest_is_out_of_stock() -> None:
    product = backorderable_product(1)
    order = paid_order(product)
    pack(order, 1)

    [queued] = queue_of(product, order)

    assert queued.ready == "amber"


# --- The list ----------------------------------------------------------------------------------
@pytest.fixture
def three() -> dict[str, Order]:
    """Three orders of different readiness, age, size and destination."""
    green = confirm_and_pay(order_placed(number="green", quantity=1, at=NOON - timedelta(days=2)))
    red = order_placed(number="red", quantity=3, at=NOON - timedelta(days=1))
    amber = order_placed(number="amber", quantity=2)
    amber.confirm(now=NOON)
    amber.assign("robin", now=NOON)
    change_address(red, country="FR")
    history = History()
    history.add(green, red, amber)
    go_live(history)
    return {"green": green, "red": red, "amber": amber}


def test_the_queue_is_filtered_and_sorted(
    three: dict[str, Order], subtests: pytest.Subtests
) -> None:
    cases = [
        ({}, ["green", "red", "amber"]),
        ({"ordering": "-placed_at"}, ["amber", "red", "green"]),
        ({"ordering": "units"}, ["green", "amber", "red"]),
        ({"ready": "green,amber"}, ["green", "amber"]),
        ({"ready": "red"}, ["red"]),
        ({"assigned_to": "robin"}, ["amber"]),
        ({"country": "FR"}, ["red"]),
    ]
    for parameters, expected in cases:
        with subtests.test(**parameters):
            page = get_query_bus().dispatch(GetFulfilmentQueue(**parameters))

            assert [queued.order_number for queued in page.items] == expected
            assert page.count == len(expected)


def test_a_page_costs_one_query(three: dict[str, Order]) -> None:
    with CaptureQueriesContext(connections["read"]) as queries:
        get_query_bus().dispatch(GetFulfilmentQueue(ready="red,amber"))

    assert len(queries) == 1


def test_a_customer_sees_no_queue(three: dict[str, Order]) -> None:
    query = GetFulfilmentQueue(customer_scope=three["red"].customer_id)

    assert get_query_bus().dispatch(query).items == ()


@pytest.mark.parametrize(
    ("role", "status", "postal_code"),
    [(Role.WAREHOUSE, 200, "12345"), (Role.AUDITOR, 200, "***"), (Role.CUSTOMER, 403, None)],
)
def test_roles_see_the_queue_with_or_without_addresses(
    role: Role, status: int, postal_code: str | None
) -> None:
    order = order_placed()
    change_address(order, postal_code="12345")
    queue_of(order)
    user = User.objects.create_user(username="somebody", customer_id=order.customer_id)
    user.groups.add(Group.objects.get(name=role))
    client = APIClient()
    client.force_authenticate(user)

    response = client.get("/api/v1/fulfilment-queue")

    assert response.status_code == status
    if status == 200:
        [queued] = response.json()["results"]
        assert (queued["postal_code"], queued["city"]) == (postal_code, "Sampleton")
        assert queued["links"]["order"] == f"http://testserver/api/v1/orders/{order.pk}"


@pytest.mark.parametrize("query", ["ready=blue", "ordering=city", "colour=red", "country=" * 9])
def test_unknown_parameters_and_values_are_refused(query: str, clerk: User) -> None:
    client = APIClient()
    client.force_authenticate(clerk)

    assert client.get(f"/api/v1/fulfilment-queue?{query}").status_code == 400


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_any_size_make_the_same_rows(seed: int) -> None:
    history = History()
    for quantity in (2, 3):
        order = confirm_and_pay(order_placed(number=str(quantity), quantity=quantity))
        order.hold(HoldReason.STOCK, now=NOON)
        order.release_hold(now=NOON)
        order.dispatch_shipment(pack(order, 1), now=NOON)
        history.add(order)
    generation = new_generation("fulfilment_queue")

    for batch in cut_at_random(history.events, random.Random(seed)):
        project(batch, generation)

    assert rows_of(QueuedOrder, generation) == history.rows(QueuedOrder)


# --- The admin page ----------------------------------------------------------------------------
PAGE = "ordering_read/queuedorder"


def page_for(user: User, query: str = "") -> str:
    response = logged_in(user).get(list_url(PAGE, query))
    assert response.status_code == 200
    return response.text


def print_all(user: User, action: str) -> str:
    """Run a print action on all orders of the queue and return the printed page."""
    client = logged_in(user)
    response = client.get(run_action(client, PAGE, action, *QueuedOrder.live.all())["Location"])
    assert response.status_code == 200
    return response.text


def test_the_admin_page_shows_readiness_and_reasons(
    three: dict[str, Order], warehouse: User
) -> None:
    page = page_for(warehouse)

    for light, word in (("green", "Ready"), ("amber", "Partly ready"), ("red", "Not ready")):
        assert f'<span class="light light-{light}">{word}</span>' in page
    assert "not confirmed; not paid" in page
    assert "Sampleton, Spain" in page
    assert "1 order to pack and dispatch" in page_for(warehouse, "?ready=amber")
    assert "1 order to pack and dispatch" in page_for(warehouse, "?q=red")


def test_a_pick_list_adds_up_the_units_of_each_product(
    three: dict[str, Order], warehouse: User
) -> None:
    page = print_all(warehouse, "print_pick_list")

    assert "green × 1, amber × 2" in page
    assert '<td class="number">3</td>' in page
    assert "red: not confirmed; not paid" in page, "left out"


def test_a_pick_list_leaves_out_units_that_are_not_in_stock(warehouse: User) -> None:
    product = backorderable_product(3)
    queue_of(product, paid_order(product, quantity=5))

    assert '<td class="number">3</td>' in print_all(warehouse, "print_pick_list")


def test_packing_slips_show_the_shipping_address(three: dict[str, Order], warehouse: User) -> None:
    page = print_all(warehouse, "print_packing_slips")

    assert page.count("1 Example Street") == 2
    assert "Order green" in page
    assert "red: not confirmed; not paid" in page, "left out"


def test_packing_slips_need_the_permission_to_view_addresses(
    three: dict[str, Order], auditor: User
) -> None:
    assert "print_packing_slips" not in page_for(auditor)
    assert "print_pick_list" in page_for(auditor)
