"""The price of an order that is changed after it was placed: discounts, charges, unit prices."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from ordering_write.domain.errors import (
    AmountTooLargeError,
    ExceedsTotalError,
    InvalidTransitionError,
    PriceRiseError,
    TooManyAdjustmentsError,
    UnknownLineError,
)
from ordering_write.domain.events import PaymentKind
from ordering_write.domain.prices import Tax
from ordering_write.models import Order
from tests.kit import NOW
from tests.kit_money import ZERO, adjustment, order_of
from tests.unit.test_money import (
    amount,
    cancel_units,
    deliver,
    deliver_and_send_back,
    lose,
    pay,
    send_back,
    units,
)


def an_order(*lines: tuple[int, int], currency: str = "EUR", **adjustments: int) -> Order:
    """Return a confirmed order; a line is its quantity and its unit price in minor units."""
    _, order = order_of(lines, adjustments, currency)
    order.confirm(now=NOW)
    return order


def line_of(order: Order, number: int = 0) -> UUID:
    return list(order.lines)[number]


def adjust(order: Order, kind: str, cents: int, line: int | None = None) -> UUID:
    """Adjust the order, or a line by its number; return the id of the adjustment."""
    line_id = None if line is None else line_of(order, line)
    added = adjustment(order, kind, amount(cents, order), line_id=line_id)
    order.adjust(added)
    assert added.adjustment_id is not None
    return added.adjustment_id


def change_price(order: Order, cents: int, line: int = 0) -> None:
    order.change_price(line_of(order, line), amount(cents, order), "Agreed", now=NOW)


# --- Discounts ---------------------------------------------------------------------------------
def test_a_discount_of_a_paid_order_is_owed_to_the_customer(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        for line in (None, 0):
            with subtests.test(currency=currency, line=str(line)):
                order = an_order((2, 4_950), (1, 990), currency=currency)
                pay(order)
                captured = order.captured

                adjust(order, "discount", 1_000, line)

                assert order.total == captured - amount(1_000, order)
                assert (order.captured, order.credit) == (captured, amount(1_000, order))


def test_a_discount_of_a_part_paid_order_lowers_what_is_due() -> None:
    order = an_order((2, 4_950))
    order.record_payment("payment-1", PaymentKind.CAPTURED, Decimal("90.00"), at=NOW)

    adjust(order, "discount", 500)
    assert (order.balance, order.credit) == (Decimal("4.00"), ZERO)
    adjust(order, "discount", 500)
    assert (order.balance, order.credit) == (Decimal("-1.00"), Decimal("1.00"))


def test_a_discount_lowers_the_tax_too() -> None:
    order = an_order((2, 5_000), tax=2_100, shipping=1_000)

    adjust(order, "discount", 2_000)

    assert order.total == Decimal("106.80")


def test_a_discount_on_a_line_stays_with_its_units() -> None:
    order = an_order((2, 5_000), (1, 5_000))
    pay(order)
    adjust(order, "discount", 1_000, 0)
    deliver(order)

    send_back(order, 1, line=1)
    assert order.credit == Decimal("60.00")
    send_back(order, 1, line=0)
    assert order.credit == Decimal("105.00")


WAYS = {
    "cancelled": lambda order: cancel_units(order, 1),
    "lost": lambda order: lose(order, 1),
    "returned": lambda order: deliver_and_send_back(order, 1),
}


def test_a_discount_is_on_the_units_that_are_still_owed(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        for way, lower in WAYS.items():
            for line in (None, 0, 1):
                with subtests.test(currency=currency, way=way, line=str(line)):
                    order = an_order((3, 3_333), (1, 500), currency=currency, discount=1_001)
                    pay(order)
                    lower(order)
                    total = order.total

                    adjust(order, "discount", 334, line)

                    assert order.total == total - amount(334, order)


def test_a_discount_of_an_order_with_a_cancelled_line_is_on_the_other_line() -> None:
    order = an_order((1, 5_000), (1, 5_000))
    cancel_units(order, 1)

    adjust(order, "discount", 5_000)

    assert order.total == ZERO


def test_a_discount_beyond_the_lines_is_on_the_charges() -> None:
    order = an_order((2, 500), shipping=400)
    cancel_units(order, 1)

    adjust(order, "discount", 700)

    assert order.total == Decimal("2.00")


@pytest.mark.parametrize(
    ("cents", "line", "message"),
    [
        (10_891, None, "108.91 EUR were to be taken off, the order costs 108.90."),
        (9_901, 0, "99.01 EUR were to be taken off, SAMPLE-1 costs 99.00."),
    ],
)
def test_a_discount_is_at_most_what_is_charged(cents, line, message):
    order = an_order((2, 4_950), (1, 990))

    with pytest.raises(ExceedsTotalError) as refusal:
        adjust(order, "discount", cents, line)

    assert str(refusal.value) == message
    assert order.total == Decimal("108.90")


def test_a_discount_does_not_use_up_goodwill() -> None:
    order = an_order((1, 1_000))
    order.grant_goodwill(Decimal("4.00"), "Late", refund_id=uuid4(), now=NOW)

    with pytest.raises(ExceedsTotalError):
        adjust(order, "discount", 601)
    adjust(order, "discount", 600)

    assert order.total == ZERO


def test_a_discount_of_shipped_units_is_a_credit() -> None:
    order = an_order((2, 4_950))
    pay(order)
    deliver(order)

    adjust(order, "discount", 950, 0)

    assert order.credit == Decimal("9.50")


# --- Charges -----------------------------------------------------------------------------------
def test_a_charge_of_the_order_is_due(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        with subtests.test(currency=currency):
            order = an_order((2, 4_950), currency=currency, discount=2_000)
            pay(order)
            deliver(order)

            adjust(order, "fee", 500)

            assert order.balance == amount(500, order)


def test_a_charge_of_the_order_is_taxed_as_the_caller_says() -> None:
    order = an_order((1, 5_000))
    tax = Tax(label="IVA 21 %", rate=Decimal(21))
    added = adjustment(order, "shipping", Decimal("10.00")).model_copy(update={"taxes": (tax,)})

    order.adjust(added)

    assert order.total == Decimal("62.10")


def test_a_charge_on_a_line_is_credited_with_its_units(subtests: pytest.Subtests) -> None:
    for way, lower in WAYS.items():
        with subtests.test(way=way):
            order = an_order((2, 4_950), (1, 990), discount=1_000)
            adjust(order, "gift_wrap", 501, 0)
            pay(order)

            lower(order)

            # Half of 99.00 less 9.09, plus 5.01.
            assert order.credit == Decimal("47.46")
            assert order.total == order.captured - order.credit


def test_everything_sent_back_leaves_nothing_of_a_charge_on_a_line() -> None:
    order = an_order((3, 333), tax=210)
    adjust(order, "fee", 100, 0)
    adjust(order, "discount", 50, 0)
    pay(order)
    deliver(order)

    for _ in range(3):
        send_back(order, 1)

    assert (order.total, order.credit) == (ZERO, order.captured)


def test_a_charge_on_a_line_changes_no_share_of_a_discount() -> None:
    order = an_order((1, 5_000), (1, 5_000), discount=1_000)

    adjust(order, "fee", 2_500, 0)

    assert [line.line_total for line in order.lines.values()] == [Decimal(70), Decimal(45)]


def test_a_charge_on_a_line_is_on_the_units_that_are_owed() -> None:
    order = an_order((3, 1_000))
    cancel_units(order, 1)

    adjust(order, "fee", 501, 0)

    assert order.total == Decimal("25.01")


def test_a_charge_on_a_line_is_refused_once_a_unit_has_shipped() -> None:
    order = an_order((2, 4_950))
    lose(order, 1)

    with pytest.raises(PriceRiseError):
        adjust(order, "fee", 500, 0)


# --- Unit prices -------------------------------------------------------------------------------
def test_a_unit_price_changes_the_line_with_its_taxes(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        with subtests.test(currency=currency):
            order = an_order((2, 5_000), currency=currency, tax=2_100, shipping=1_000)
            pay(order)

            change_price(order, 4_000)
            assert order.credit == amount(2_420, order)
            change_price(order, 6_000)
            assert order.balance == amount(2_420, order)


def test_a_unit_price_is_of_the_units_that_are_owed(subtests: pytest.Subtests) -> None:
    for way, lower in WAYS.items():
        with subtests.test(way=way):
            order = an_order((3, 5_000))
            pay(order)
            lower(order)

            change_price(order, 4_000)

            assert (order.total, order.credit) == (Decimal("80.00"), Decimal("70.00"))


def test_the_price_of_a_shipped_unit_can_only_fall() -> None:
    order = an_order((2, 5_000), (1, 5_000))
    pay(order)
    lose(order, 1)

    with pytest.raises(PriceRiseError, match="SAMPLE-1 have shipped"):
        change_price(order, 5_001)
    change_price(order, 4_000)
    change_price(order, 6_000, line=1)

    assert order.total == Decimal("100.00")


def test_another_price_does_not_raise_that_of_shipped_units() -> None:
    order = an_order((1, 5_000), (1, 5_000), discount=1_000)
    shipment_id = uuid4()
    order.pack(units(order, 1), shipment_id=shipment_id, now=NOW)
    order.dispatch_shipment(shipment_id, now=NOW)

    # The other line would take a larger share in the discount.
    with pytest.raises(PriceRiseError, match=r"SAMPLE-1 have shipped\. .* from 45\.00 to 46\.67"):
        change_price(order, 10_000, line=1)


def test_the_same_unit_price_changes_nothing() -> None:
    order = an_order((2, 5_000))
    version = order.version

    change_price(order, 5_000)

    assert order.version == version


def test_a_discount_that_exceeds_a_lower_price_has_no_further_effect() -> None:
    order = an_order((1, 5_000), discount=4_000)

    change_price(order, 3_000)
    assert order.total == ZERO
    change_price(order, 5_000)
    assert order.total == Decimal("10.00")


# --- Refusals of all three ---------------------------------------------------------------------
def test_a_cancelled_order_has_no_price_to_change() -> None:
    order = an_order((2, 5_000), fee=100)
    [fee] = order.adjustments_by_id
    order.cancel("Not needed", now=NOW)

    with pytest.raises(InvalidTransitionError):
        adjust(order, "fee", 100)
    with pytest.raises(InvalidTransitionError):
        order.remove_adjustment(fee, now=NOW)
    with pytest.raises(InvalidTransitionError):
        change_price(order, 4_000)


def test_a_line_must_be_there_and_owed() -> None:
    order = an_order((1, 5_000), (1, 5_000))
    cancel_units(order, 1)

    for kind in ("discount", "fee"):
        with pytest.raises(UnknownLineError):
            order.adjust(adjustment(order, kind, Decimal(1), line_id=uuid4()))
        with pytest.raises(ExceedsTotalError, match="Nothing is charged for SAMPLE-1"):
            adjust(order, kind, 100, 0)
    with pytest.raises(ExceedsTotalError, match="Nothing is charged for SAMPLE-1"):
        change_price(order, 4_000)


def test_adjustments_are_limited() -> None:
    order = an_order((1, 50_000))
    for _ in range(100):
        adjust(order, "discount", 1)

    with pytest.raises(TooManyAdjustmentsError):
        adjust(order, "discount", 1)


def test_a_price_must_fit_its_column() -> None:
    order = an_order((1, 5_000))

    with pytest.raises(AmountTooLargeError):
        order.adjust(adjustment(order, "fee", Decimal(10) ** 15 - 1))
    with pytest.raises(AmountTooLargeError):
        order.change_price(line_of(order), Decimal(10) ** 15, "Agreed", now=NOW)
