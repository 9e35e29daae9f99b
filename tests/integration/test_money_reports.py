"""The money of orders in reports: sales, cancellations, returns and refunds."""

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
    """The rows of sales by day that the orders make, all in one currency."""
    history = History()
    history.add(*orders)
    return {row["day"]: row for row in history.rows(SalesByDay)}


def net(rows: dict[date, dict[str, Any]]) -> Decimal:
    """The net sales of all days."""
    return sum((SalesByDay(**row).net for row in rows.values()), Decimal(0))


def units(order: Order, quantity: int) -> list[LineQuantity]:
    return [LineQuantity(line_id=next(iter(order.lines)), quantity=quantity)]


def ship(order: Order) -> UUID:
    """Ship everything on Friday; returns the id of the shipment."""
    shipment_id = uuid4()
    order.confirm(now=LATER)
    order.ship_everything(shipment_id=shipment_id, now=LATER)
    return shipment_id


def pay(order: Order, amount: str) -> None:
    order.record_payment("p-1", e.PaymentKind.CAPTURED, Decimal(amount), at=NOON)


def refund(order: Order, amount: str) -> None:
    order.settle_refund(uuid4(), amount=Decimal(amount), at=LATER)


def deliver_and_return(order: Order, quantity: int) -> None:
    """Deliver everything, and receive ``quantity`` units of the first line back."""
    order.deliver(ship(order), at=LATER)
    [line, *_] = order.lines
    return_id = uuid4()
    order.request_return(
        [ReturnedLine(line_id=line, quantity=quantity, reason=e.ReturnReason.UNWANTED)],
        return_id=return_id,
        now=LATER,
    )
    order.receive_return(return_id, [ReceivedLine(line_id=line, restock=quantity)], now=LATER)


# --- Days --------------------------------------------------------------------------------------
def test_cancelled_units_are_booked_on_the_day_of_the_cancellation() -> None:
    order = order_placed(quantity=4, unit_price="10.00")
    order.cancel_items(units(order, 1), "Too many", now=LATER)

    rows = sales(order)

    assert (rows[MONDAY]["gross"], rows[MONDAY]["cancelled"]) == (40, 0)
    assert (rows[FRIDAY]["gross"], rows[FRIDAY]["cancelled"]) == (0, 10)


def test_a_higher_quantity_is_sold_and_a_lower_one_cancelled() -> None:
    more, fewer = (order_placed(quantity=4, unit_price="10.00", number=str(n)) for n in range(2))
    more.change_quantity(next(iter(more.lines)), 6, now=LATER)
    fewer.change_quantity(next(iter(fewer.lines)), 3, now=LATER)

    friday = sales(more, fewer)[FRIDAY]

    assert (friday["gross"], friday["units"], friday["cancelled"]) == (20, 2, 10)


def test_an_added_line_is_booked_on_the_day_of_its_addition() -> None:
    order = order_placed(quantity=1, unit_price="10.00")
    other = order_placed(quantity=2, unit_price="5.00", at=LATER)
    added = next(event for event in other.raised_events if isinstance(event, e.OrderItemAdded))
    order.add_item(added.model_copy(update={"order_id": order.pk}))

    friday = sales(order)[FRIDAY]

    assert (friday["gross"], friday["units"], friday["orders"]) == (10, 2, 0)


@pytest.mark.parametrize("outcome", ["lost", "returned"])
def test_lost_and_returned_units_are_refunded(outcome: str) -> None:
    order = order_placed(quantity=2, unit_price="10.00")
    if outcome == "lost":
        order.fail_delivery(ship(order), e.DeliveryFailure.LOST, at=LATER)
    else:
        deliver_and_return(order, 2)

    assert sales(order)[FRIDAY]["refunded"] == 20


def test_units_to_be_sent_again_are_still_sold() -> None:
    order = order_placed(quantity=2, unit_price="10.00")
    order.fail_delivery(ship(order), e.DeliveryFailure.LOST, resend=True, at=LATER)
    history = History()
    history.add(order)

    [product] = history.rows(SalesByProduct)
    days = {row["day"]: row for row in history.rows(SalesByDay)}

    assert net(days) == order.due == 20
    assert (product["units"], product["returned_units"], product["refunded"]) == (2, 0, 0)


# --- Totals ------------------------------------------------------------------------------------
def cancel_and_refund(order: Order) -> None:
    order.cancel("Not wanted", now=LATER)
    refund(order, "36.00")


def cancel_in_part_then_whole(order: Order) -> None:
    order.cancel_items(units(order, 1), "Too many", now=LATER)
    order.cancel("Not wanted", now=LATER)


def cancelled_line_by_line(order: Order) -> None:
    order.cancel_items(units(order, 4), "Not wanted", now=LATER)


def return_and_refund(order: Order) -> None:
    deliver_and_return(order, 1)
    refund(order, "10.00")


def returned_with_a_discount(order: Order) -> None:
    deliver_and_return(order, 4)
    refund(order, "36.00")


def refund_and_return(order: Order) -> None:
    refund(order, "10.00")
    deliver_and_return(order, 1)


def given_as_goodwill(order: Order) -> None:
    order.grant_goodwill(Decimal("6.00"), "Late", refund_id=uuid4(), now=LATER)
    [refund_id] = order.refunds
    order.settle_refund(UUID(refund_id), at=LATER)


def refunded_elsewhere(order: Order) -> None:
    # The amount is due again, until a return or goodwill says otherwise.
    refund(order, "6.00")


@pytest.mark.parametrize(
    ("change", "net_sales"),
    [
        (cancel_and_refund, 0),
        (cancel_in_part_then_whole, 0),
        (cancelled_line_by_line, 0),
        # A unit costs 8.50 with its share of the discount; the shipping isn't returned.
        (return_and_refund, "27.50"),
        (refund_and_return, "27.50"),
        (returned_with_a_discount, 2),
        (given_as_goodwill, 30),
        (refunded_elsewhere, 36),
    ],
)
def test_no_amount_is_subtracted_twice(
    change: Callable[[Order], None], net_sales: int | str
) -> None:
    order = order_placed(
        quantity=4,
        unit_price="10.00",
        adjustments={"shipping": "2.00", "discount": "6.00"},
    )
    pay(order, "36.00")
    change(order)
    history = History()
    history.add(order)

    rows = {row["day"]: row for row in history.rows(SalesByDay)}
    [stats] = history.rows(CustomerStats)

    assert rows[MONDAY]["gross"] == 36
    assert net(rows) == stats["spent"] == order.due == Decimal(net_sales)
    assert stats["cancelled"] == int(order.status == "cancelled")


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_other_currencies_have_their_own_rows_and_decimals(currency: str) -> None:
    price = {"JPY": "995", "KWD": "0.995"}[currency]
    order = order_placed(quantity=3, unit_price=price, currency=currency)
    euros = order_placed(quantity=1, unit_price="1.00", number="2026-000002")
    deliver_and_return(order, 1)
    history = History()
    history.add(order, euros)

    refunded = {
        row["currency"]: row["refunded"] for row in history.rows(SalesByDay) if row["day"] == FRIDAY
    }

    assert refunded == {currency: Decimal(price)}


# --- By product and by customer ----------------------------------------------------------------
def test_the_cancelled_and_returned_units_of_a_product() -> None:
    lamp = uuid4()
    order = order_placed(quantity=4, unit_price="10.00", product_id=lamp)
    order.cancel_items(units(order, 1), "Too many", now=LATER)
    deliver_and_return(order, 1)
    cancelled = order_placed(quantity=2, product_id=lamp, number="2026-000002")
    cancelled.cancel("Not wanted", now=LATER)
    history = History()
    history.add(order, cancelled)

    rows = {row["day"]: row for row in history.rows(SalesByProduct)}

    columns = ("sku", "units", "gross", "cancelled_units", "returned_units", "refunded")
    assert [rows[MONDAY][column] for column in columns[1:3]] == [6, Decimal("59.90")]
    assert [rows[FRIDAY][column] for column in columns] == ["", 0, 0, 3, 1, 10]


def test_a_row_of_returned_units_gets_a_name_when_the_product_is_ordered_that_day() -> None:
    lamp = uuid4()
    order = order_placed(quantity=2, product_id=lamp)
    deliver_and_return(order, 1)
    history = History()
    history.add(order, order_placed(product_id=lamp, at=LATER, number="2026-000002"))
    late = order_placed(quantity=2, product_id=lamp, number="2026-000003")
    deliver_and_return(late, 1)
    history.add(late)
    generation = new_generation("sales_by_product")
    for event in history.events:
        project([event], generation)

    [friday] = [row for row in rows_of(SalesByProduct, generation) if row["day"] == FRIDAY]

    assert (friday["sku"], friday["name"], friday["returned_units"]) == ("SKU-1", "Sample 1", 2)
    assert rows_of(SalesByProduct, generation) == history.rows(SalesByProduct)


def test_the_returned_units_and_the_largest_order_of_a_customer() -> None:
    order = order_placed(quantity=2, unit_price="10.00")
    order.change_quantity(next(iter(order.lines)), 5, now=NOON)
    deliver_and_return(order, 2)
    history = History()
    history.add(order)

    [row] = history.rows(CustomerStats)

    assert (row["returned_units"], row["largest_order"], row["spent"]) == (2, 50, 30)


# --- Facets ------------------------------------------------------------------------------------
def test_orders_are_counted_by_the_present_value_of_each_facet() -> None:
    held, paid, returned = (order_placed(quantity=2, number=f"2026-{n}") for n in range(3))
    held.hold(e.HoldReason.OTHER, now=NOON)
    pay(paid, "19.90")
    paid.hold(e.HoldReason.OTHER, now=NOON)
    paid.release_hold(now=NOON)
    deliver_and_return(returned, 1)
    history = History()
    history.add(held, paid, returned)

    counts = {
        (row["facet"], row["value"]): row["count"]
        for row in history.rows(StatusCounter)
        if row["count"]
    }

    facets = {
        "status": Order.derive_status,
        "payment_status": Order.payment_status,
        "fulfilment_status": Order.fulfilment_status,
        "return_status": Order.return_status,
    }
    for facet, value_of in facets.items():
        values = [value_of(order) for order in (held, paid, returned)]
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
