"""The facts about the payments of an order: which are the same, and how they add up."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ordering_write.domain.errors import (
    AmountTooLargeError,
    PaymentMismatchError,
    ReferenceNeededError,
)
from ordering_write.domain.events import Attention, PaymentKind, PaymentRecorded, PaymentStatus
from ordering_write.domain.values import MINOR_UNITS, TOO_LARGE
from ordering_write.models import Order
from tests.kit import NOW, event, given, placed, state

AUTHORIZED, CAPTURED, VOIDED = PaymentKind.AUTHORIZED, PaymentKind.CAPTURED, PaymentKind.VOIDED
LATER = NOW + timedelta(hours=1)


def order_of(currency: str = "EUR") -> Order:
    """Return an order of 100 minor units for each of 3 units."""
    price = 100 * MINOR_UNITS[currency]
    return Order.fold(placed(3, currency=currency, unit_price=str(price)))


def record_fact(
    order: Order, kind: PaymentKind, amount: int, payment_id: str = "p", **fields
) -> None:
    """Record a fact of ``amount`` minor units."""
    value = amount * MINOR_UNITS[order.currency]
    at = min(fields.get("happened_at", NOW), NOW)
    order.record_payment(payment_id, kind, value, **fields, at=at)


def sums(order: Order) -> dict[str, int]:
    """Return the authorized and captured amounts and the balance, in minor units."""
    unit = MINOR_UNITS[order.currency]
    return {
        name: int(getattr(order, name) / unit) for name in ("authorized", "captured", "balance")
    }


def test_captures_of_an_authorization_add_up(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        with subtests.test(currency=currency):
            order = order_of(currency)
            record_fact(order, AUTHORIZED, 100, reference="authorization")
            for number in range(3):
                record_fact(order, CAPTURED, 30, reference=f"capture-{number}")

            assert sums(order) == {"authorized": 10, "captured": 90, "balance": 210}
            assert order.payment_status() == PaymentStatus.PARTIALLY_PAID
            assert order.attention == ()
            record_fact(order, VOIDED, 10, reference="void")
            assert sums(order) == {"authorized": 0, "captured": 90, "balance": 210}


def test_a_void_of_one_payment_leaves_the_others_authorized() -> None:
    order = order_of()
    record_fact(order, AUTHORIZED, 100, "first")
    record_fact(order, AUTHORIZED, 200, "second")
    record_fact(order, VOIDED, 100, "first")

    assert order.authorized == Decimal("2.00")
    assert order.payment_status() == PaymentStatus.AUTHORIZED


def test_a_fact_reported_again_changes_nothing(subtests: pytest.Subtests) -> None:
    named: dict[str, Any] = {"reference": "capture-1"}
    timed: dict[str, Any] = {"happened_at": NOW}
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "the same reference": (named, named),
        "another spelling of the reference": (named, {"reference": "CAPTURE\u20111"}),
        "the same reference at another time": ({**named, **timed}, {**named, "happened_at": LATER}),
        "the same time": (timed, timed),
        "the same time, now with a reference": (timed, {**named, **timed}),
        "the same time, now without a reference": ({**named, **timed}, timed),
        "a time ahead of our clock": ({"happened_at": LATER}, {"happened_at": LATER}),
        "the time of a fact that had none": ({}, timed),
    }
    for name, (first, again) in cases.items():
        with subtests.test(name):
            order = order_of()
            record_fact(order, CAPTURED, 30, **first)
            record_fact(order, CAPTURED, 30, **again)
            assert order.captured == Decimal("0.30")


def test_another_fact_is_recorded(subtests: pytest.Subtests) -> None:
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "another reference": ({"reference": "a"}, {"reference": "b"}),
        "another reference at the same time": (
            {"reference": "a", "happened_at": NOW},
            {"reference": "b", "happened_at": NOW},
        ),
        "another time": ({"happened_at": NOW}, {"happened_at": LATER}),
        "another payment": ({"payment_id": "p"}, {"payment_id": "q"}),
    }
    for name, (first, second) in cases.items():
        with subtests.test(name):
            order = order_of()
            record_fact(order, CAPTURED, 30, **first)
            record_fact(order, CAPTURED, 30, **second)
            assert order.captured == Decimal("0.60")


def test_the_same_time_with_another_amount_is_another_fact() -> None:
    order = order_of()
    record_fact(order, CAPTURED, 30, happened_at=NOW)
    record_fact(order, CAPTURED, 40, happened_at=NOW)

    assert order.captured == Decimal("0.70")


def test_another_amount_under_a_reference_is_refused_and_both_are_shown() -> None:
    order = order_of()
    record_fact(order, CAPTURED, 30, reference="capture-1")

    with pytest.raises(
        PaymentMismatchError, match=r"p was captured with 0\.30 EUR, not with 0\.40"
    ):
        record_fact(order, CAPTURED, 40, reference="capture-1")
    assert order.captured == Decimal("0.30")


def test_a_second_fact_needs_a_reference_or_a_time(subtests: pytest.Subtests) -> None:
    for first in ({}, {"reference": "capture-1"}, {"happened_at": NOW}):
        for amount in (30, 40):
            with subtests.test(first=str(first), amount=amount):
                order = order_of()
                record_fact(order, CAPTURED, 30, **first)
                with pytest.raises(ReferenceNeededError, match="happened_at"):
                    record_fact(order, CAPTURED, amount)
                assert order.captured == Decimal("0.30")


def test_more_captured_than_authorized_is_recorded_and_needs_attention() -> None:
    order = order_of()
    record_fact(order, CAPTURED, 60, reference="capture-1")
    assert Attention.OVER_CAPTURED not in order.attention
    record_fact(order, AUTHORIZED, 100, reference="authorization")
    record_fact(order, CAPTURED, 50, reference="capture-2")

    assert sums(order) == {"authorized": 0, "captured": 110, "balance": 190}
    assert order.attention == (Attention.OVER_CAPTURED,)
    recorded = order.pending_events[-1]
    assert isinstance(recorded, PaymentRecorded)
    assert recorded.attention == (Attention.OVER_CAPTURED,)


def test_a_chargeback_is_owed_again_until_it_is_reversed() -> None:
    order = order_of()
    record_fact(order, CAPTURED, 300, reference="capture")
    record_fact(order, PaymentKind.CHARGEBACK, 300, reference="dispute-1")

    assert sums(order) == {"authorized": 0, "captured": 0, "balance": 300}
    assert (order.payment_status(), order.attention) == ("unpaid", (Attention.CHARGEBACK,))
    record_fact(order, PaymentKind.CHARGEBACK_REVERSED, 300, reference="dispute-1")
    assert sums(order) == {"authorized": 0, "captured": 300, "balance": 0}
    assert (order.payment_status(), order.attention) == ("paid", ())


def test_a_chargeback_of_a_refunded_payment_needs_attention_for_both() -> None:
    order = order_of()
    record_fact(order, CAPTURED, 300, reference="capture")
    refund_id = order.id
    order.request_refund(Decimal("1.00"), "Scratched", refund_id=refund_id, now=NOW)
    order.settle_refund(refund_id, at=NOW)
    record_fact(order, PaymentKind.CHARGEBACK, 300, reference="dispute-1")

    assert (order.captured, order.refunded) == (Decimal(0), Decimal("1.00"))
    assert order.attention == (Attention.CHARGEBACK, Attention.OVER_REFUNDED)


def test_the_sums_of_payments_fit_their_columns(subtests: pytest.Subtests) -> None:
    limit = int(TOO_LARGE / MINOR_UNITS["EUR"])
    # The balance is the price of the order, 300, and what the bank took.
    most = {AUTHORIZED: limit - 1, CAPTURED: limit - 1, PaymentKind.CHARGEBACK: limit - 301}
    for kind, amount in most.items():
        with subtests.test(kind.value):
            order = order_of()
            record_fact(order, kind, amount, reference="first")
            with pytest.raises(AmountTooLargeError):
                record_fact(order, kind, 1, reference="second")


def test_the_facts_are_folded_from_events_of_earlier_releases() -> None:
    created, line = placed(1)
    past = PaymentRecorded(
        timestamp=NOW,
        order_id=created.order_id,
        payment_id="p",
        kind=CAPTURED,
        amount={"amount": "5.00", "currency": "EUR"},
        reference="till 7",
    )
    order = Order.fold([created, line, past])

    order.record_payment("p", CAPTURED, Decimal("5.00"), reference="till 7", at=LATER)
    assert order.pending_events == []
    order.record_payment("p", CAPTURED, Decimal("6.00"), reference="till 8", at=LATER)
    assert order.captured == Decimal("11.00")


def test_a_fact_keeps_the_reported_time_apart_from_the_recorded_one() -> None:
    past = placed(1)
    given(*past).when(
        lambda order: order.record_payment(
            "p", CAPTURED, Decimal("5.00"), happened_at=LATER, at=NOW
        )
    ).then(event(PaymentRecorded, timestamp=NOW, happened_at=LATER))


def test_a_folded_order_equals_the_order_that_raised_the_events() -> None:
    past = placed(1)
    order = Order.fold(past)
    record_fact(order, AUTHORIZED, 100, reference="a")
    record_fact(order, CAPTURED, 30, reference="b", happened_at=LATER)
    record_fact(order, CAPTURED, 30, happened_at=NOW)

    assert state(Order.fold([*past, *order.pending_events])) == state(order)
