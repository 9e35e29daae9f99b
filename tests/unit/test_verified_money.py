"""The verification of the log finds each amount of an order that doesn't add up."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from tests.kit_money import faults_of, order_of

Change = Callable[[Any], dict[str, Any]]


@pytest.fixture
def history() -> list[Any]:
    """Events of an order of 99.00 less 20.00, with 16.59 of tax and shipping, half cancelled."""
    adjustments = {"discount": 2_000, "tax": 1_659, "shipping": 1_000}
    past, order = order_of([(2, 4_950)], adjustments, "EUR")
    order.record_payment(
        "payment-1", e.PaymentKind.CAPTURED, Decimal("105.59"), at=past[0].placed_at
    )
    order.cancel_items(
        [LineQuantity(line_id=line, quantity=1) for line in order.lines],
        "Too many",
        now=past[0].placed_at,
    )
    return [*past, *order.pending_events]


def changed(event: Any, **fields: Any) -> Any:
    return event.model_copy(update=fields)


def with_price(event: Any, **fields: Any) -> Any:
    """Return the event that prices the order, with other ``fields`` of its only line."""
    [line] = event.price.lines
    price = changed(event.price, lines=(changed(line, **fields),))
    return changed(event, price=price)


def with_credit(event: Any, **fields: Any) -> Any:
    """Return the event that credits a unit, with other ``fields`` of its only item."""
    [item] = event.items
    return changed(event, items=[changed(item, **fields)])


def money(amount: str) -> e.Money:
    return e.Money.of(Decimal(amount), "EUR")


def test_sound_amounts_are_no_fault(history: list[Any]) -> None:
    assert faults_of(history) == []


# The place of the event in the history, its change, and a part of the fault.
WRONG: dict[str, tuple[int, Change, str]] = {
    "total": (
        -3,
        lambda event: changed(event, total=money("105.60")),
        "its total is 105.60, its prices and payments add up to 105.59",
    ),
    "balance": (
        -2,
        lambda event: changed(event, balance=money("0.01")),
        "its balance is 0.01, its prices and payments add up to 0.00",
    ),
    "captured": (
        -2,
        lambda event: changed(event, captured=money("105.00")),
        "its captured is 105.00",
    ),
    "list value": (
        -3,
        lambda event: with_price(event, list_value=Decimal("98.00")),
        "is 98.00, its units cost 99.00",
    ),
    "price of a line": (
        -3,
        lambda event: with_price(event, net=Decimal("79.01")),
        "is 79.01, its parts add up to 79.00",
    ),
    "shares of a discount": (
        -3,
        lambda event: with_price(event, discounts=(), net=Decimal("99.00")),
        "the shares of the discounts add up to 0, the discounts are 20.00",
    ),
    "negative tax": (
        -3,
        lambda event: with_price(
            event,
            taxes=(changed(event.price.lines[0].taxes[0], amount=Decimal("-16.59")),),
        ),
        "has an amount below zero",
    ),
    "base of a tax": (
        -3,
        lambda event: with_price(
            event,
            taxes=(changed(event.price.lines[0].taxes[0], included=True),),
        ),
        "isn't on 62.41, its price without taxes",
    ),
    "line without a price": (
        -3,
        lambda event: changed(event, price=changed(event.price, lines=())),
        "it says the prices of 0 lines, the order has 1",
    ),
    "credit": (
        -1,
        lambda event: with_credit(event, amount=money("49.50")),
        "whose price falls by 47.80",
    ),
    "rest of a line": (
        -1,
        lambda event: with_credit(event, line_total=money("39.51")),
        "is 39.51, its price says 39.50",
    ),
    "price of a line without units": (
        -1,
        lambda event: with_credit(event, quantity=2),
        "is owed, its price is 47.79",
    ),
}


@pytest.mark.parametrize("subject", WRONG)
def test_a_wrong_amount_is_found(history: list[Any], subject: str) -> None:
    place, change, fault = WRONG[subject]
    history[place] = change(history[place])

    found = faults_of(history)

    assert any(fault in text for text in found), found


def test_a_total_below_zero_is_found_unless_an_earlier_release_stored_it(
    history: list[Any],
) -> None:
    history[-1] = changed(history[-1], total=money("-30.50"))
    assert "its total is -30.50, which is below zero" in faults_of(history)

    history[-1] = with_credit(history[-1], price=None)
    assert "its total is -30.50, which is below zero" not in faults_of(history)
