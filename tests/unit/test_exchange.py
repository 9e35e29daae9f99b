"""Orders that other orders replace: exchanges for returns, and replacements for nothing."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import ExchangeNotDueError, ReturnNotFoundError
from ordering_write.models import Order
from tests.kit import NOW, state
from tests.kit_money import exchange_line, free_order, order_of

# Two chairs at 49.50 with a discount of 20.00, a tax of 16.59 and shipping of 10.00: the credit for
# the first chair is 47.80, for the second 47.79.
ZERO = Decimal(0)
CHAIRS = [(2, 4_950)]
ADJUSTMENTS = {"discount": 2_000, "tax": 1_659, "shipping": 1_000}
FIRST, SECOND = 4_780, 4_779


def amount(units: int, order: Order) -> Decimal:
    """Return an amount in minor units of the order's currency."""
    return order.money(Decimal(units) / {"EUR": 100, "JPY": 1, "KWD": 1000}[order.currency]).amount


def shipped_order(currency: str, paid: int | None) -> tuple[list[Any], Order]:
    """Return the past events of a placed order of two chairs, and the order, which has shipped.

    The order is paid in whole unless ``paid`` has another amount.
    """
    past, order = order_of(CHAIRS, ADJUSTMENTS, currency)
    captured = order.total if paid is None else amount(paid, order)
    if captured:
        order.record_payment("payment-1", e.PaymentKind.CAPTURED, captured, at=NOW)
    order.confirm(now=NOW)
    order.ship_everything(shipment_id=uuid4(), now=NOW)
    return past, order


def delivered_order(currency: str = "EUR", paid: int | None = None) -> tuple[list[Any], Order]:
    """Return the past events of a delivered order of two chairs, and the order."""
    past, order = shipped_order(currency, paid)
    order.deliver_everything(now=NOW)
    return [*past, *order.pending_events], order


def request_exchange(order: Order, units: int = 1) -> UUID:
    [line_id], return_id = order.lines, uuid4()
    returned_line = c.ReturnedLine(line_id=line_id, quantity=units, reason=e.ReturnReason.UNWANTED)
    lines = [exchange_line(order)]
    order.request_return([returned_line], return_id=return_id, exchange_for=lines, now=NOW)
    return return_id


def receive(order: Order, return_id: UUID, units: int = 1) -> None:
    [line_id] = order.lines
    order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=units)], now=NOW)


def exchanged(order: Order, price: int, units: int = 1) -> Order:
    """Exchange chairs for an order of this price; return that order."""
    return_id = request_exchange(order, units)
    receive(order, return_id, units)
    _, other = order_of([(1, price)], {}, order.currency)
    order.exchange_by(other, return_id, now=NOW)
    return other


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
@pytest.mark.parametrize(
    ("price", "transferred", "due", "credit"),
    [
        pytest.param(6_000, FIRST, 6_000 - FIRST, 0, id="dearer: the difference is due"),
        pytest.param(FIRST, FIRST, 0, 0, id="of the same price: nobody owes"),
        pytest.param(1_000, 1_000, 0, FIRST - 1_000, id="cheaper: the difference is a credit"),
        pytest.param(0, 0, 0, FIRST, id="free: the whole credit stays"),
    ],
)
def test_the_credit_of_the_return_pays_the_exchange(currency, price, transferred, due, credit):
    past, order = delivered_order(currency)

    other = exchanged(order, price)

    assert order.refunded == other.captured == amount(transferred, order)
    assert other.balance == amount(due, order)
    assert order.credit == order.unheld_credit == -order.balance == amount(credit, order)
    assert state(Order.fold([*past, *order.pending_events])) == state(order)


@pytest.mark.parametrize(
    ("paid", "transferred", "balance", "due"),
    [
        pytest.param(0, 0, 5_779, 6_000, id="unpaid"),
        pytest.param(5_000, 0, 779, 6_000, id="paid less than what is still owed"),
        pytest.param(7_000, 1_221, 0, 4_779, id="part paid"),
    ],
)
def test_an_exchange_is_paid_with_what_was_captured_at_most(paid, transferred, balance, due):
    _, order = delivered_order(paid=paid)

    other = exchanged(order, 6_000)

    assert other.captured == amount(transferred, order)
    assert order.balance == amount(balance, order)
    assert other.balance == amount(due, order)
    transfers = [event for event in order.pending_events if event.type == "CreditTransferred"]
    assert len(transfers) == bool(transferred)


def test_both_orders_get_the_same_transfer():
    _, order = delivered_order()
    other = exchanged(order, 6_000)

    out: Any = order.pending_events[-1]
    into: Any = other.pending_events[-1]

    assert (out.direction, into.direction) == ("out", "in")
    assert out.amount == into.amount
    assert out.payment_ids == into.payment_ids == ["payment-1"]
    assert (out.other_order_id, into.other_order_id) == (other.id, order.id)
    assert other.payment_ids == ["payment-1"]


def test_the_credit_waits_for_the_exchange_while_other_credit_does_not():
    _, order = delivered_order()
    return_id = request_exchange(order)
    order.record_payment("payment-2", e.PaymentKind.CAPTURED, Decimal("5.00"), at=NOW)
    assert order.unheld_credit == Decimal("5.00")

    receive(order, return_id)

    assert order.credit == Decimal("52.80")
    assert (order.held_credit, order.unheld_credit) == (Decimal("47.80"), Decimal("5.00"))


def test_an_exchange_is_due_when_no_more_units_are_expected():
    _, order = delivered_order()
    return_id = request_exchange(order, units=2)
    with pytest.raises(ExchangeNotDueError):
        order.refuse_unless_due(return_id)
    receive(order, return_id)
    with pytest.raises(ExchangeNotDueError):
        order.refuse_unless_due(return_id)

    order.reject_return(return_id, "Worn", now=NOW)

    order.refuse_unless_due(return_id)
    assert order.held_credit == Decimal("47.80")


def test_an_exchange_is_dropped_when_all_units_are_rejected():
    _, order = delivered_order()
    return_id = request_exchange(order)

    order.reject_return(return_id, "Worn", now=NOW)

    assert order.exchanges == {}
    with pytest.raises(ExchangeNotDueError):
        order.refuse_unless_due(return_id)
    with pytest.raises(ReturnNotFoundError):
        order.refuse_unless_due(uuid4())


def test_several_returns_of_an_order_are_exchanged_one_by_one():
    _, order = delivered_order()

    first, second = exchanged(order, 6_000), exchanged(order, 3_000)

    assert (first.captured, second.captured) == (Decimal("47.80"), Decimal("30.00"))
    assert order.credit == Decimal("17.79")
    assert order.total == Decimal("10.00")


def test_a_failed_exchange_frees_its_credit():
    _, order = delivered_order()
    return_id = request_exchange(order)
    receive(order, return_id)

    order.fail_exchange(return_id, "Sold out", now=NOW)

    assert order.unheld_credit == Decimal("47.80")
    assert order.exchanges == {}


def test_an_order_with_a_pending_exchange_is_not_settled():
    _, order = delivered_order()
    return_id = request_exchange(order)
    receive(order, return_id)
    order.complete(now=NOW)
    assert not order.is_settled

    order.fail_exchange(return_id, "Sold out", now=NOW)

    assert order.is_settled


def test_an_exchange_is_exchanged_with_the_payments_of_the_first_order():
    _, order = delivered_order()
    other = exchanged(order, FIRST)
    other.confirm(now=NOW)
    other.ship_everything(shipment_id=uuid4(), now=NOW)
    other.deliver_everything(now=NOW)

    third = exchanged(other, 6_000)

    assert third.captured == other.refunded == Decimal("47.80")
    assert third.payment_ids == ["payment-1"]


def test_a_cancelled_exchange_owes_its_credit():
    _, order = delivered_order()
    other = exchanged(order, 6_000)

    other.cancel("No longer wanted", now=NOW)

    assert other.credit == Decimal("47.80")


# --- Replacements for nothing ------------------------------------------------------------------
def lost_order(currency: str = "EUR", paid: int | None = None) -> tuple[list[Any], Order]:
    """Return the past events of an order whose two chairs got lost, and the order."""
    past, order = shipped_order(currency, paid)
    lose_parcel(order)
    return [*past, *order.pending_events], order


def lose_parcel(order: Order) -> None:
    [shipment_id] = order.shipments
    order.fail_delivery(shipment_id, e.DeliveryFailure.LOST, at=NOW)
    order.make_lost_units_good(now=NOW)


def replace_chairs(order: Order, units: int) -> None:
    [line] = order.lines.values()
    order.replace_by(free_order(*[line.product_id] * units), now=NOW)


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_lost_units_that_are_replaced_for_nothing_are_owed_again(currency):
    past, order = lost_order(currency)
    paid = order.captured
    assert order.credit == amount(FIRST + SECOND, order)

    replace_chairs(order, 1)

    assert order.credit == amount(FIRST, order)
    replace_chairs(order, 1)
    [line] = order.lines.values()
    assert (line.failed, line.made_good, line.owed) == (2, 2, 2)
    assert (order.total, order.balance, order.credit) == (paid, ZERO, ZERO)
    assert state(Order.fold([*past, *order.pending_events])) == state(order)


def test_units_that_get_lost_after_their_replacement_are_made_good():
    _, order = order_of(CHAIRS, ADJUSTMENTS, "EUR")
    order.record_payment("payment-1", e.PaymentKind.CAPTURED, order.total, at=NOW)
    order.confirm(now=NOW)
    order.ship_everything(shipment_id=uuid4(), now=NOW)
    replace_chairs(order, 2)
    assert order.balance == 0

    lose_parcel(order)

    assert (order.total, order.credit) == (order.captured, ZERO)
    assert order.free_units == {str(next(iter(order.lines.values())).product_id): 0}


def test_nobody_owes_for_units_that_were_refunded_before_their_replacement():
    _, order = lost_order()
    refund_id = uuid4()
    order.request_refund(order.credit, "lost", refund_id=refund_id, now=NOW)

    replace_chairs(order, 2)

    assert order.balance == -(order.captured - order.total)
    order.settle_refund(refund_id, at=NOW)
    assert (order.balance, order.total) == (ZERO, Decimal("10.00"))


def test_nobody_owes_for_replaced_units_of_an_unpaid_order():
    _, order = lost_order(paid=0)

    replace_chairs(order, 2)

    assert order.balance == order.total == Decimal("10.00")


def test_goods_of_another_product_make_nothing_good():
    _, order = lost_order()

    order.replace_by(free_order(uuid4()), now=NOW)

    assert order.credit == amount(FIRST + SECOND, order)


def test_a_replacement_with_a_price_makes_nothing_good():
    _, order = lost_order()
    _, other = order_of([(1, 4_950)], {}, "EUR")

    order.replace_by(other, now=NOW)

    assert order.credit == amount(FIRST + SECOND, order)


def test_an_order_that_costs_nothing_does_not_expire():
    order = free_order(uuid4())
    order.expires_at = NOW

    with pytest.raises(Exception, match="costs nothing"):
        order.expire(now=NOW)
