"""Backorders: no parcel leaves without its units, and units that come in serve the oldest order."""

from contextlib import suppress
from random import Random
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ordering_write.bus.actions import actions_of
from ordering_write.domain import commands as c
from ordering_write.domain.errors import DomainError, ExceedsStockError, WouldGoNegativeError
from ordering_write.domain.events import OrderStatus
from ordering_write.models import Customer, Order, Reservation, StockItem
from tests import kit
from tests.parallel import at_once

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def lamp() -> StockItem:
    """A product without stock that can be oversold."""
    return kit.registered_product(0, sku="LAMP-1", backorderable=True)


def confirmed(customer: Customer, *lines: tuple[StockItem, int]) -> Order:
    return kit.placed_order(customer, *lines, auto_confirm=True)


def give(command_type: type[c.Command], **payload: Any) -> Any:
    envelope = {"user_id": kit.USER, "timestamp": kit.NOW}
    return kit.dispatch(command_type.model_validate({**envelope, **payload}))


def receive(product: StockItem, quantity: int) -> Any:
    return give(c.ReceiveStock, product_id=product.pk, quantity=quantity)


def pack(order: Order, quantity: int, *, line: int = 0) -> UUID:
    """Pack units of a line of ``order``; return the id of the shipment."""
    [packed] = give(c.CreateShipment, order_id=order.pk, items=[units(order, quantity, line=line)])
    shipment_id: UUID = packed.shipment_id
    return shipment_id


def units(order: Order, quantity: int, *, line: int = 0) -> dict[str, Any]:
    return {"line_id": list(lines_of(order))[line], "quantity": quantity}


def lines_of(order: Order) -> dict[UUID, Any]:
    lines: dict[UUID, Any] = kit.stored(order.stream).lines
    return lines


def backordered(*orders: Order) -> list[int]:
    """Return the backordered units of each order."""
    rows = Reservation.objects.filter(order_id__in=[order.pk for order in orders])
    by_order = {order.pk: 0 for order in orders}
    for row in rows:
        by_order[row.order_id] += row.backordered
    return list(by_order.values())


def on_hand(product: StockItem) -> int:
    return StockItem.objects.get(pk=product.pk).on_hand


# --- The shelf ---------------------------------------------------------------------------------
def test_more_than_is_on_hand_can_neither_be_packed_nor_shipped(
    customer: Customer, lamp: StockItem
) -> None:
    receive(lamp, 7)
    order = confirmed(customer, (lamp, 20))
    refusal_text = "20 units of LAMP-1 were asked for, 7 are in stock for this order."
    with pytest.raises(ExceedsStockError) as refusal:
        pack(order, 20)
    assert str(refusal.value) == refusal_text
    with pytest.raises(ExceedsStockError) as refusal:
        kit.dispatch(kit.move(order, OrderStatus.SHIPPED))
    assert str(refusal.value) == refusal_text

    first = pack(order, 5)
    with pytest.raises(ExceedsStockError) as refusal:
        pack(order, 3)
    assert "3 units of LAMP-1 were asked for, 2 are in stock" in str(refusal.value)
    second = pack(order, 2)
    for shipment_id in (first, second):
        give(c.DispatchShipment, order_id=order.pk, shipment_id=shipment_id)

    assert (on_hand(lamp), backordered(order)) == (0, [13])
    with pytest.raises(ExceedsStockError, match="13 units of LAMP-1 were asked for, 0 are"):
        kit.dispatch(kit.move(order, OrderStatus.SHIPPED))
    receive(lamp, 13)
    kit.dispatch(kit.move(order, OrderStatus.SHIPPED))
    assert on_hand(lamp) == 0
    kit.check_rows_equal_log()


def test_one_line_without_stock_keeps_the_whole_order_from_being_shipped(
    customer: Customer, lamp: StockItem
) -> None:
    mug = kit.registered_product(5, sku="MUG-1")
    order = confirmed(customer, (mug, 2), (lamp, 1))
    with pytest.raises(ExceedsStockError, match="1 units of LAMP-1"):
        kit.dispatch(kit.move(order, OrderStatus.SHIPPED))
    assert on_hand(mug) == 5
    with pytest.raises(ExceedsStockError):
        give(c.CreateShipment, order_id=order.pk, items=[units(order, 2), units(order, 1, line=1)])
    pack(order, 2)


def test_a_parcel_whose_units_are_missing_on_the_shelf_cannot_leave(
    customer: Customer, lamp: StockItem
) -> None:
    receive(lamp, 3)
    order = confirmed(customer, (lamp, 3))
    shipment_id = pack(order, 3)
    give(c.AdjustStock, product_id=lamp.pk, delta=-1, reason="theft")
    with pytest.raises(ExceedsStockError, match="3 units of LAMP-1 were asked for, 2 are"):
        give(c.DispatchShipment, order_id=order.pk, shipment_id=shipment_id)

    give(c.VoidShipment, order_id=order.pk, shipment_id=shipment_id)
    give(c.DispatchShipment, order_id=order.pk, shipment_id=pack(order, 2))
    assert (on_hand(lamp), backordered(order)) == (0, [1])


def test_packing_is_no_action_of_an_order_of_which_no_unit_is_in_stock(
    customer: Customer, lamp: StockItem
) -> None:
    order = confirmed(customer, (lamp, 1))

    def refusal() -> DomainError | None:
        actions = actions_of(order.pk, now=kit.NOW)
        return next(action.refusal for action in actions if action.command is c.CreateShipment)

    assert str(refusal()) == "1 units of LAMP-1 were asked for, 0 are in stock for this order."
    receive(lamp, 1)
    assert refusal() is None


@pytest.mark.usefixtures("committed")
def test_the_last_unit_leaves_once(customer: Customer, lamp: StockItem) -> None:
    receive(lamp, 1)
    order = confirmed(customer, (lamp, 1))
    shipment_id = pack(order, 1)
    outcomes = at_once(
        [
            lambda: give(c.DispatchShipment, order_id=order.pk, shipment_id=shipment_id),
            lambda: give(c.AdjustStock, product_id=lamp.pk, delta=-1, reason="theft"),
        ]
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, DomainError)]
    assert len(refused) == 1
    assert isinstance(refused[0], ExceedsStockError | WouldGoNegativeError)
    assert on_hand(lamp) == 0


# --- The oldest promise ------------------------------------------------------------------------
def test_units_that_come_in_are_for_the_oldest_order(customer: Customer, lamp: StockItem) -> None:
    older, newer = (confirmed(customer, (lamp, 5)) for _ in range(2))
    receive(lamp, 5)
    assert backordered(older, newer) == [0, 5]
    with pytest.raises(ExceedsStockError):
        pack(newer, 1)
    pack(older, 5)


def test_units_that_another_order_gives_back_are_for_the_oldest_order(
    customer: Customer, lamp: StockItem, subtests: pytest.Subtests
) -> None:
    receive(lamp, 4)
    first, second, third = (confirmed(customer, (lamp, 2)) for _ in range(3))
    assert backordered(first, second, third) == [0, 0, 2]

    with subtests.test("part of an order is cancelled"):
        give(c.CancelOrderItems, order_id=first.pk, items=[units(first, 1)], reason="Too many")
        assert backordered(first, second, third) == [0, 0, 1]
    with subtests.test("a whole order is cancelled"):
        kit.dispatch(kit.cancel(second))
        assert backordered(first, second, third) == [0, 0, 0]
    fourth = confirmed(customer, (lamp, 2))
    assert backordered(fourth) == [1]
    with subtests.test("a parcel comes back"):
        shipment_id = pack(first, 1)
        give(c.DispatchShipment, order_id=first.pk, shipment_id=shipment_id)
        back = {"shipment_id": shipment_id, "outcome": "returned_to_sender"}
        give(c.FailDelivery, order_id=first.pk, **back)
        assert backordered(third, fourth) == [0, 0]
    kit.check_rows_equal_log()


def test_an_edited_line_keeps_its_place_and_takes_no_units_from_others(
    customer: Customer, lamp: StockItem
) -> None:
    receive(lamp, 3)
    older, newer = kit.placed_order(customer, (lamp, 1)), kit.placed_order(customer, (lamp, 2))
    line_id = next(iter(lines_of(older)))
    give(c.ChangeItemQuantity, order_id=older.pk, line_id=line_id, new_quantity=3)
    assert backordered(older, newer) == [2, 0]
    receive(lamp, 1)
    assert backordered(older, newer) == [1, 0]
    give(c.ChangeItemQuantity, order_id=older.pk, line_id=line_id, new_quantity=1)
    assert backordered(older, newer) == [0, 0]
    assert StockItem.objects.get(pk=lamp.pk).available == 1


def test_orders_cost_no_statement_more_where_nothing_is_backordered(
    customer: Customer, lamp: StockItem
) -> None:
    mug = kit.registered_product(5)
    counts = []
    for product in (mug, lamp):
        statements = []
        with CaptureQueriesContext(connection) as queries:
            order = kit.placed_order(customer, (product, 1))
        statements.append(len(queries))
        with CaptureQueriesContext(connection) as queries:
            kit.dispatch(kit.cancel(order))
        statements.append(len(queries))
        counts.append(statements)
    # Cancelled backorders look for the lines that wait.
    assert counts[1] == [counts[0][0], counts[0][1] + 1]


def test_an_event_names_as_many_lines_as_get_units(customer: Customer, lamp: StockItem) -> None:
    orders = [kit.placed_order(customer, (lamp, 1)) for _ in range(4)]
    [received] = receive(lamp, 2)
    assert [line.order_id for line in received.backorders] == [order.pk for order in orders[:2]]
    assert received.backordered == 2


# --- Earlier releases --------------------------------------------------------------------------
def test_units_that_an_earlier_release_has_moved_are_allocated_with_the_next_movement(
    customer: Customer, lamp: StockItem
) -> None:
    older, newer = (kit.placed_order(customer, (lamp, 2)) for _ in range(2))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ordering_write_stockitem SET on_hand = 3")
    receive(lamp, 1)
    assert backordered(older, newer) == [0, 0]

    with connection.cursor() as cursor:
        cursor.execute("UPDATE ordering_write_stockitem SET on_hand = 1")
    kit.placed_order(customer, (lamp, 1))
    assert backordered(older, newer) == [1, 2]


# --- Random histories --------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_rows_follow_from_the_log_after_random_commands(
    customer: Customer, lamp: StockItem, seed: int
) -> None:
    dice = Random(seed)
    orders: list[Order] = []
    for _ in range(25):
        with suppress(DomainError):
            random_command(dice, customer, lamp, orders)
        assert on_hand(lamp) >= 0
    item = kit.stored(lamp.stream)
    assert item.backordered == sum(item.backorders.values()) == max(-item.available, 0)
    kit.check_rows_equal_log()


COMMANDS = ["receive", "place", "place", "pack", "ship", "cancel", "edit", "adjust", "return"]


def random_command(dice: Random, customer: Customer, lamp: StockItem, orders: list[Order]) -> None:
    quantity = dice.randint(1, 5)
    match dice.choice(COMMANDS):
        case "receive":
            receive(lamp, quantity)
        case "place":
            orders.append(confirmed(customer, (lamp, quantity), (lamp, 1)))
        case "adjust":
            give(c.AdjustStock, product_id=lamp.pk, delta=quantity - 4 or 1, reason="count")
        case "pack" if orders:
            order = dice.choice(orders)
            shipment_id = pack(order, 1, line=dice.randrange(2))
            give(c.DispatchShipment, order_id=order.pk, shipment_id=shipment_id)
        case "ship" if orders:
            kit.dispatch(kit.move(dice.choice(orders), OrderStatus.SHIPPED))
        case "cancel" if orders:
            order = dice.choice(orders)
            items = [units(order, quantity, line=dice.randrange(2))]
            give(c.CancelOrderItems, order_id=order.pk, items=items, reason="Too many")
        case "edit" if orders:
            order = dice.choice(orders)
            line_id = next(iter(lines_of(order)))
            give(c.ChangeItemQuantity, order_id=order.pk, line_id=line_id, new_quantity=quantity)
        case "return" if orders:
            order = dice.choice(orders)
            for shipment_id in kit.stored(order.stream).shipments:
                back = {"shipment_id": shipment_id, "outcome": "returned_to_sender"}
                give(c.FailDelivery, order_id=order.pk, **back)
