"""The price of an order after edits, cancellations, losses, returns and goodwill."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import ExceedsTotalError, InvalidAmountError
from ordering_write.domain.values import MINOR_UNITS
from ordering_write.models import Order
from tests.kit import NOW
from tests.kit_money import ZERO, Book, order_of


def an_order(quantity: int, price: int, currency: str = "EUR", **adjustments: int) -> Order:
    """Return a confirmed order of one line; its amounts are in minor units."""
    _, order = order_of([(quantity, price)], adjustments, currency)
    order.confirm(now=NOW)
    return order


def amount(count: int, order: Order) -> Decimal:
    return count * MINOR_UNITS[order.currency]


def pay(order: Order) -> None:
    order.record_payment("payment-1", e.PaymentKind.CAPTURED, order.balance, at=NOW)


def units(order: Order, quantity: int) -> list[c.LineQuantity]:
    return [c.LineQuantity(line_id=next(iter(order.lines)), quantity=quantity)]


def deliver(order: Order) -> None:
    order.ship_everything(shipment_id=uuid4(), now=NOW)
    order.deliver_everything(now=NOW)


def send_back(order: Order, quantity: int, line: int = 0) -> None:
    line_id, return_id = list(order.lines)[line], uuid4()
    back = c.ReturnedLine(line_id=line_id, quantity=quantity, reason=e.ReturnReason.UNWANTED)
    order.request_return([back], return_id=return_id, now=NOW)
    order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=quantity)], now=NOW)


def cancel_units(order: Order, quantity: int) -> None:
    order.cancel_items(units(order, quantity), "Too many", now=NOW)


def lose(order: Order, quantity: int) -> None:
    shipment_id = uuid4()
    order.pack(units(order, quantity), shipment_id=shipment_id, now=NOW)
    order.dispatch_shipment(shipment_id, now=NOW)
    order.fail_delivery(shipment_id, e.DeliveryFailure.LOST, at=NOW)


def deliver_and_send_back(order: Order, quantity: int) -> None:
    deliver(order)
    send_back(order, quantity)


WAYS = {"cancelled": cancel_units, "lost": lose, "returned": deliver_and_send_back}


# --- Credits -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("currency", "tax", "credit"),
    [("EUR", 8_379, 48_279), ("JPY", 8_379, 48_279), ("KWD", 8_379, 48_279)],
)
def test_everything_returned_is_credited_with_its_tax(currency, tax, credit):
    order = an_order(1, 39_900, currency, tax=tax, shipping=1_000)
    pay(order)

    deliver_and_send_back(order, 1)

    assert order.credit == amount(credit, order)
    assert order.total == amount(1_000, order)


def test_units_are_credited_at_what_they_cost_after_the_discount(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        for way, lower in WAYS.items():
            with subtests.test(currency=currency, way=way):
                order = an_order(2, 4_950, currency, discount=4_950)
                pay(order)

                lower(order, 1)

                assert order.credit == amount(2_475, order)
                [line] = order.lines.values()
                assert line.line_total == order.total == amount(2_475, order)


def test_a_discount_never_brings_the_total_below_zero(subtests: pytest.Subtests) -> None:
    for way, lower in WAYS.items():
        with subtests.test(way=way):
            order = an_order(2, 4_950, discount=8_000)

            lower(order, 1)

            assert order.total == order.balance == Decimal("9.50")


def test_what_is_left_of_a_part_paid_order_is_due() -> None:
    order = an_order(2, 4_950, discount=8_000)
    order.record_payment("payment-1", e.PaymentKind.CAPTURED, Decimal("5.00"), at=NOW)

    cancel_units(order, 1)

    assert (order.balance, order.credit) == (Decimal("4.50"), ZERO)


@pytest.mark.parametrize(
    ("currency", "price", "discount", "credits"),
    [
        ("EUR", 1_000, 2_000, [333, 334, 333]),
        ("JPY", 100, 200, [33, 34, 33]),
        ("KWD", 1_001, 2_000, [334, 335, 334]),
    ],
)
def test_credits_of_single_units_add_up_to_the_price(currency, price, discount, credits):
    order = an_order(3, price, currency, discount=discount)
    pay(order)
    deliver(order)

    credited = []
    for _ in credits:
        before = order.total
        send_back(order, 1)
        credited.append(before - order.total)

    assert credited == [amount(count, order) for count in credits]
    assert (order.total, order.credit) == (ZERO, order.captured)


def test_the_example_of_the_page_about_money():
    order = an_order(2, 4_950, discount=2_000, tax=1_659, shipping=1_000)
    pay(order)
    assert order.captured == Decimal("105.59")
    deliver(order)

    send_back(order, 1)
    assert (order.credit, order.total) == (Decimal("47.80"), Decimal("57.79"))
    send_back(order, 1)
    assert (order.credit, order.total) == (Decimal("95.59"), Decimal("10.00"))


# --- Edits -------------------------------------------------------------------------------------
@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_a_tax_follows_the_quantity(currency):
    order = an_order(1, 39_900, currency, tax=8_379)
    [line_id] = order.lines

    order.change_quantity(line_id, 3, now=NOW)
    of_three = order.total
    order.change_quantity(line_id, 1, now=NOW)

    assert (of_three, order.total) == (amount(144_837, order), amount(48_279, order))


def test_a_tax_follows_an_added_line():
    order = an_order(1, 10_000, tax=2_100)
    _, other = order_of([(1, 5_000)], {}, "EUR")
    [line] = other.lines.values()
    added = e.OrderItemAdded(
        timestamp=NOW,
        order_id=order.id,
        line_id=line.id,
        product_id=line.product_id,
        sku=line.sku,
        name=line.name,
        quantity=1,
        unit_price=order.money(line.unit_price),
        line_total=order.money(line.unit_price),
        price_source="client",
    )

    order.add_item(added)

    assert order.total == Decimal("181.50")


def test_a_discount_stays_what_it_was_in_all_when_the_quantity_changes():
    order = an_order(2, 4_950, discount=4_950)
    [line_id] = order.lines

    order.change_quantity(line_id, 4, now=NOW)
    assert order.total == Decimal("148.50")
    order.change_quantity(line_id, 1, now=NOW)
    assert order.total == 0
    order.change_quantity(line_id, 2, now=NOW)
    assert order.total == Decimal("49.50")


def test_units_that_were_cancelled_before_an_edit_stay_credited():
    past, order = order_of([(4, 1_000)], {"discount": 1_000, "tax": 630}, "EUR")
    [line_id] = order.lines
    cancel_units(order, 1)

    order.change_quantity(line_id, 5, now=NOW)

    # Five units cost 40.00 and 8.40 tax, of which a fifth is credited.
    assert order.total == Decimal("38.72")
    book = Book()
    for event in (*past, *order.pending_events):
        book.add(event)
    book.check(order)


# --- Goodwill ----------------------------------------------------------------------------------
def test_goodwill_leaves_a_later_return_whole():
    _, order = order_of([(1, 990), (2, 1_990)], {}, "EUR")
    order.confirm(now=NOW)
    pay(order)
    refund_id = uuid4()
    order.grant_goodwill(Decimal("5.00"), "Late", refund_id=refund_id, now=NOW)
    order.settle_refund(refund_id, at=NOW)
    assert order.balance == 0

    deliver_and_send_back(order, 1)

    assert order.credit == Decimal("9.90")


def test_a_refund_beyond_the_credit_is_goodwill():
    _, order = order_of([(1, 990), (2, 1_990)], {}, "EUR")
    order.confirm(now=NOW)
    pay(order)
    refund_id = uuid4()
    order.request_refund(Decimal("5.00"), "Late", refund_id=refund_id, now=NOW)
    order.settle_refund(refund_id, at=NOW)
    assert (order.balance, order.goodwill) == (ZERO, Decimal("5.00"))

    deliver_and_send_back(order, 1)

    assert order.credit == Decimal("9.90")


def test_goodwill_is_used_up_by_a_return_of_everything():
    order = an_order(1, 990)
    pay(order)
    order.grant_goodwill(Decimal("5.00"), "Late", refund_id=uuid4(), now=NOW)

    deliver_and_send_back(order, 1)

    # All refunds together are what was captured.
    assert (order.total, order.credit) == (ZERO, Decimal("4.90"))


def test_a_refund_for_lines_anticipates_their_credit():
    order = an_order(2, 990)
    pay(order)
    refund_id = uuid4()
    order.request_refund(
        Decimal("9.90"), "It comes back", refund_id=refund_id, lines=units(order, 1), now=NOW
    )
    order.settle_refund(refund_id, at=NOW)

    deliver_and_send_back(order, 1)

    assert (order.total, order.balance, order.credit, order.goodwill) == (
        Decimal("9.90"),
        ZERO,
        ZERO,
        ZERO,
    )


def test_a_refund_of_a_part_payment_is_due_again():
    order = an_order(1, 9_900)
    order.record_payment("payment-1", e.PaymentKind.CAPTURED, Decimal("20.00"), at=NOW)
    refund_id = uuid4()
    order.request_refund(Decimal("20.00"), "Pays by card", refund_id=refund_id, now=NOW)
    order.settle_refund(refund_id, at=NOW)

    assert (order.total, order.balance) == (Decimal("99.00"), Decimal("99.00"))


def test_goodwill_for_an_unpaid_order_lowers_what_is_due():
    order = an_order(1, 990)

    order.grant_goodwill(Decimal("5.00"), "Late", refund_id=uuid4(), now=NOW)

    assert (order.balance, order.refunds) == (Decimal("4.90"), {})


@pytest.mark.parametrize(
    ("goodwill", "error"),
    [("9.91", ExceedsTotalError), ("0.001", InvalidAmountError)],
)
def test_goodwill_is_refused_for_an_impossible_amount(goodwill, error):
    order = an_order(1, 990)
    order.pending_events  # noqa: B018 (reading clears the list)

    with pytest.raises(error):
        order.grant_goodwill(Decimal(goodwill), "Late", refund_id=uuid4(), now=NOW)

    assert order.raised_events == ()


def test_goodwill_is_refused_once_nothing_is_charged():
    order = an_order(1, 990)
    order.cancel("Not needed", now=NOW)

    with pytest.raises(ExceedsTotalError, match="is charged any more"):
        order.grant_goodwill(Decimal("1.00"), "Late", refund_id=uuid4(), now=NOW)


# --- Orders of earlier releases ----------------------------------------------------------------
def without_prices(events: list[Any]) -> list[Any]:
    """Return ``events`` as earlier releases stored them."""
    return [
        event.model_copy(update={"price": None, "owed": None, "total_before": None})
        if isinstance(event, e.PricedEvent)
        else event
        for event in events
    ]


def test_an_order_of_an_earlier_release_is_credited_by_the_same_rule():
    past, order = order_of([(2, 4_950), (1, 990)], {"discount": 4_950, "tax": 1_000}, "EUR")
    old = Order.fold(without_prices(past))
    assert old.total == order.total

    for either in (old, order):
        either.confirm(now=NOW)
        pay(either)
        deliver_and_send_back(either, 1)

    assert (old.total, old.credit) == (order.total, order.credit)
    for either in (old, order):
        assert next(iter(either.lines.values())).line_total == Decimal("27.00")


def test_units_that_an_earlier_release_credited_too_high_are_made_up_for():
    past, _ = order_of([(2, 4_950)], {"discount": 4_950}, "EUR")
    old = Order.fold(without_prices(past))
    old.confirm(now=NOW)
    pay(old)
    deliver(old)
    line = next(iter(old.lines))
    return_id = uuid4()
    # The earlier release credited the list price.
    fields = {"timestamp": NOW, "order_id": old.id, "return_id": return_id}
    reason = e.ReturnReason.UNWANTED
    requested = e.RequestedUnits(line_id=line, quantity=1, reason=reason)
    old.evolve(e.ReturnRequested(**fields, items=[requested]))
    received = e.ReceivedUnits(
        line_id=line,
        product_id=old.lines[line].product_id,
        quantity=1,
        amount=old.money(Decimal("49.50")),
        line_total=old.money(Decimal("49.50")),
        restock=1,
        damaged=0,
    )
    old.evolve(e.ReturnReceived(**fields, items=[received]))
    assert (old.total, old.credit) == (ZERO, Decimal("49.50"))

    send_back(old, 1)

    assert (old.total, old.credit) == (ZERO, Decimal("49.50"))
