"""What reports make of an order's money: what was sold, cancelled, came back and was given back."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct
from ordering_read.models.status_counter import StatusCounter
from ordering_read.models.stock_ledger import StockMovement
from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity, ReceivedLine, ReturnedLine
from ordering_write.models import Order
from tests.kit_projections import (
    NOON,
    History,
    new_generation,
    order_placed,
    product_registered,
    project,
    rows_of,
)

pytestmark = pytest.mark.usefixtures("db")

LATER = NOON + timedelta(days=4)
MONDAY, FRIDAY = date(2026, 3, 1), date(2026, 3, 5)


def sales(*orders: Order) -> dict[date, dict[str, Any]]:
    """The sales by day that the orders have made, in their one currency."""
    history = History()
    history.add(*orders)
    return {row["day"]: row for row in history.rows(SalesByDay)}


def net(rows: dict[date, dict[str, Any]]) -> Decimal:
    """What was sold in all."""
    return sum((SalesByDay(**row).net for row in rows.values()), Decimal(0))


def units(order: Order, quantity: int) -> list[LineQuantity]:
    return [LineQuantity(line_id=next(iter(order.lines)), quantity=quantity)]


def ship(order: Order) -> UUID:
    """The id of a shipment with everything that left on Friday."""
    shipment_id = uuid4()
    order.confirm(now=LATER)
    order.ship_everything(shipment_id=shipment_id, now=LATER)
    return shipment_id


def pay(order: Order, amount: str) -> None:
    order.record_payment("p-1", e.PaymentKind.CAPTURED, Decimal(amount), at=NOON)


def refund(order: Order, amount: str) -> None:
    order.settle_refund(uuid4(), amount=Decimal(amount), at=LATER)


def give_back(order: Order, quantity: int) -> None:
    """Deliver everything, and take ``quantity`` units of the first line back."""
    order.deliver(ship(order), at=LATER)
    [line, *_] = order.lines
    return_id = uuid4()
    order.request_return(
        [ReturnedLine(line_id=line, quantity=quantity, reason=e.ReturnReason.UNWANTED)],
        return_id=return_id,
        now=LATER,
    )
    order.receive_return(return_id, [ReceivedLine(line_id=line, restock=quantity)], now=LATER)


# --- Each on its own day -----------------------------------------------------------------------
def test_what_is_cancelled_of_an_order_is_booked_when_it_is() -> None:
    order = order_placed(quantity=4, unit_price="10.00")
    order.cancel_items(units(order, 1), "Too many", now=LATER)

    rows = sales(order)

    assert (rows[MONDAY]["gross"], rows[MONDAY]["cancelled"]) == (40, 0)
    assert (rows[FRIDAY]["gross"], rows[FRIDAY]["cancelled"]) == (0, 10)


def test_more_units_are_sold_and_fewer_are_cancelled() -> None:
    more, fewer = (order_placed(quantity=4, unit_price="10.00", number=str(n)) for n in range(2))
    more.change_quantity(next(iter(more.lines)), 6, now=LATER)
    fewer.change_quantity(next(iter(fewer.lines)), 3, now=LATER)

    friday = sales(more, fewer)[FRIDAY]

    assert (friday["gross"], friday["units"], friday["cancelled"]) == (20, 2, 10)


def test_a_line_that_is_added_is_sold_when_it_is() -> None:
    order = order_placed(quantity=1, unit_price="10.00")
    other = order_placed(quantity=2, unit_price="5.00", at=LATER)
    added = next(event for event in other.raised_events if isinstance(event, e.OrderItemAdded))
    order.add_item(added.model_copy(update={"order_id": order.pk}))

    friday = sales(order)[FRIDAY]

    assert (friday["gross"], friday["units"], friday["orders"]) == (10, 2, 0)


@pytest.mark.parametrize("happen", ["lost", "returned"])
def test_what_is_lost_or_comes_back_is_refunded(happen: str) -> None:
    order = order_placed(quantity=2, unit_price="10.00")
    if happen == "lost":
        order.fail_delivery(ship(order), e.DeliveryFailure.LOST, at=LATER)
    else:
        give_back(order, 2)

    assert sales(order)[FRIDAY]["refunded"] == 20


# --- In all: what the order brings --------------------------------------------------------------
def cancelled_and_refunded(order: Order) -> None:
    order.cancel("Not wanted", now=LATER)
    refund(order, "36.00")


def partly_cancelled_then_cancelled(order: Order) -> None:
    order.cancel_items(units(order, 1), "Too many", now=LATER)
    order.cancel("Not wanted", now=LATER)


def cancelled_line_by_line(order: Order) -> None:
    order.cancel_items(units(order, 4), "Not wanted", now=LATER)


def returned_and_refunded(order: Order) -> None:
    give_back(order, 1)
    refund(order, "10.00")


def all_returned_though_discounted(order: Order) -> None:
    give_back(order, 4)
    refund(order, "36.00")


def given_away(order: Order) -> None:
    refund(order, "6.00")


@pytest.mark.parametrize(
    ("happens", "left"),
    [
        (cancelled_and_refunded, 0),
        (partly_cancelled_then_cancelled, 0),
        (cancelled_line_by_line, 0),
        (returned_and_refunded, 26),
        (all_returned_though_discounted, 0),
        (given_away, 30),
    ],
)
def test_nothing_is_taken_off_twice(happens: Callable[[Order], None], left: int) -> None:
    order = order_placed(
        quantity=4,
        unit_price="10.00",
        adjustments={"shipping": "2.00", "discount": "6.00"},
    )
    pay(order, "36.00")
    happens(order)
    history = History()
    history.add(order)

    rows = {row["day"]: row for row in history.rows(SalesByDay)}
    [stats] = history.rows(CustomerStats)

    assert rows[MONDAY]["gross"] == 36
    assert net(rows) == stats["spent"] == left
    assert stats["cancelled"] == int(order.status == "cancelled")


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_other_currencies_have_their_own_rows_and_decimals(currency: str) -> None:
    price = {"JPY": "995", "KWD": "0.995"}[currency]
    order = order_placed(quantity=3, unit_price=price, currency=currency)
    euros = order_placed(quantity=1, unit_price="1.00", number="2026-000002")
    give_back(order, 1)
    history = History()
    history.add(order, euros)

    refunded = {
        row["currency"]: row["refunded"] for row in history.rows(SalesByDay) if row["day"] == FRIDAY
    }

    assert refunded == {currency: Decimal(price)}


# --- By product and by customer ----------------------------------------------------------------
def test_a_product_that_is_cancelled_and_returned() -> None:
    lamp = uuid4()
    order = order_placed(quantity=4, unit_price="10.00", product_id=lamp)
    order.cancel_items(units(order, 1), "Too many", now=LATER)
    give_back(order, 1)
    whole = order_placed(quantity=2, product_id=lamp, number="2026-000002")
    whole.cancel("Not wanted", now=LATER)
    history = History()
    history.add(order, whole)

    rows = {row["day"]: row for row in history.rows(SalesByProduct)}

    columns = ("sku", "units", "gross", "cancelled_units", "returned_units", "refunded")
    assert [rows[MONDAY][column] for column in columns[1:3]] == [6, Decimal("59.90")]
    assert [rows[FRIDAY][column] for column in columns] == ["", 0, 0, 3, 1, 10]


def test_a_product_is_named_when_it_is_ordered_on_the_day_it_came_back() -> None:
    lamp = uuid4()
    order = order_placed(quantity=2, product_id=lamp)
    give_back(order, 1)
    history = History()
    history.add(order, order_placed(product_id=lamp, at=LATER, number="2026-000002"))
    late = order_placed(quantity=2, product_id=lamp, number="2026-000003")
    give_back(late, 1)
    history.add(late)
    generation = new_generation("sales_by_product")
    for event in history.events:
        project([event], generation)

    [friday] = [row for row in rows_of(SalesByProduct, generation) if row["day"] == FRIDAY]

    assert (friday["sku"], friday["name"], friday["returned_units"]) == ("SKU-1", "Sample 1", 2)
    assert rows_of(SalesByProduct, generation) == history.rows(SalesByProduct)


def test_a_customers_returns_and_largest_order() -> None:
    order = order_placed(quantity=2, unit_price="10.00")
    order.change_quantity(next(iter(order.lines)), 5, now=NOON)
    give_back(order, 2)
    history = History()
    history.add(order)

    [row] = history.rows(CustomerStats)

    assert (row["returned_units"], row["largest_order"], row["spent"]) == (2, 50, 30)


# --- Facets ------------------------------------------------------------------------------------
def test_orders_are_counted_by_every_facet_where_they_are_now() -> None:
    held, paid, back = (order_placed(quantity=2, number=f"2026-{n}") for n in range(3))
    held.hold(e.HoldReason.OTHER, now=NOON)
    pay(paid, "19.90")
    paid.hold(e.HoldReason.OTHER, now=NOON)
    paid.release_hold(now=NOON)
    give_back(back, 1)
    history = History()
    history.add(held, paid, back)

    counts = {
        (row["facet"], row["value"]): row["count"]
        for row in history.rows(StatusCounter)
        if row["count"]
    }

    for facet in ("status", "payment_status", "fulfilment_status", "return_status"):
        values = [getattr(order, f"_{facet}")() for order in (held, paid, back)]
        expected = {(facet, str(value)): values.count(value) for value in values}
        assert {key: count for key, count in counts.items() if key[0] == facet} == expected
    assert counts["fulfilment_status", "on_hold"] == 1


# --- Stock -------------------------------------------------------------------------------------
def test_adjustments_and_returns_are_movements() -> None:
    product, key = product_registered(on_hand=10), (uuid4(), uuid4())
    product.adjust(-2, reason=e.AdjustmentReason.DAMAGE, comment="Wet", now=LATER)
    product.take_back(key, 1, now=LATER)
    product.set_list_price(None, now=LATER)
    history = History()
    history.add(product)

    rows = sorted(history.rows(StockMovement), key=lambda row: row["version"])

    columns = ("kind", "delta", "on_hand", "reason", "comment", "order_id")
    assert [tuple(row[column] for column in columns) for row in rows[1:]] == [
        ("adjusted", -2, 8, "damage", "Wet", None),
        ("returned", 1, 9, "", "", key[0]),
    ]
