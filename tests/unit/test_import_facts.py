"""The facts of an imported order: whatever the clocks of the past say, the money adds up."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.domain import commands as c
from ordering_write.domain.errors import StatusMismatchError
from ordering_write.domain.values import MINOR_UNITS
from ordering_write.handlers.order.import_facts import apply_facts
from ordering_write.models import Order
from tests.kit import ADDRESS, state
from tests.kit_money import Book, order_of
from tests.proof import size

START = datetime(2019, 5, 1, tzinfo=UTC)
TIMES = st.integers(0, 500).map(lambda days: START + timedelta(days=days))
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


def imported(order: Order, *, status: str = "delivered", **facts: Any) -> None:
    """Let ``order`` go through ``facts``; they may lead to another status."""
    payload = {
        "user_id": UUID(int=1),
        "number": "1001",
        "customer": {"name": "Robin Sample", "email": "robin@example.com"},
        "placed_at": START,
        "items": [{"sku": "SAMPLE-1", "quantity": 1, "unit_price": "1"}],
        "shipping_address": ADDRESS,
        "status": status,
    }
    with suppress(StatusMismatchError):
        apply_facts(order, c.ImportOrder.model_validate({**payload, **facts}))


def units(line: int, quantity: int) -> list[dict[str, int]]:
    return [{"line": line, "quantity": quantity}]


def captures(order: Order, times: Sequence[datetime], unit: Decimal) -> list[dict[str, Any]]:
    """Return a capture of a minor unit at each time but the last, and of the rest then."""
    parts = [min(unit, order.total / len(times))] * (len(times) - 1)
    parts = [part // unit * unit for part in parts]
    amounts = [*parts, order.total - sum(parts)]
    return [
        {"amount": str(amount), "happened_at": at}
        for amount, at in zip(amounts, times, strict=True)
        if amount
    ]


@pytest.mark.proof
@settings(max_examples=size(25, full=2_000), deadline=None)
@given(data=st.data(), currency=CURRENCIES)
def test_facts_in_any_order_of_their_times_add_up(data: st.DataObject, currency: str) -> None:
    quantities = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    prices = [(quantity, data.draw(st.integers(1, 9_999))) for quantity in quantities]
    discount = data.draw(st.integers(0, sum(q * price for q, price in prices)))
    tax = data.draw(st.integers(0, 5_000))
    past, order = order_of(prices, {"discount": discount, "tax": tax}, currency)
    whole, unit = order.total, MINOR_UNITS[currency]
    facts: dict[str, Any] = {"cancellations": [], "shipments": [], "returns": []}
    ends = []
    for number, quantity in enumerate(quantities, start=1):
        cancelled = data.draw(st.integers(0, quantity))
        lost = data.draw(st.integers(0, quantity - cancelled))
        arrived = data.draw(st.integers(0, quantity - cancelled - lost))
        returned = data.draw(st.integers(0, arrived))
        ends.append((cancelled, lost, arrived, returned))
        if cancelled:
            fact = {"items": units(number, cancelled), "happened_at": data.draw(TIMES)}
            facts["cancellations"].append(fact)
        for amount, end in ((lost, "failed_at"), (arrived, "delivered_at")):
            if amount:
                times = {"dispatched_at": data.draw(TIMES), end: data.draw(TIMES)}
                facts["shipments"].append({"items": units(number, amount), **times})
        if returned:
            fact = {"items": units(number, returned), "received_at": data.draw(TIMES)}
            facts["returns"].append(fact)
    payment_times = data.draw(st.lists(TIMES, min_size=1, max_size=3))
    refund = data.draw(st.integers(0, int(whole / unit))) * unit
    refunds = [{"amount": str(refund), "happened_at": data.draw(TIMES)}] if refund else []

    imported(order, payments=captures(order, payment_times, unit), refunds=refunds, **facts)

    events = [*past, *order.pending_events]
    book = Book()
    for event in events:
        book.add(event)
    book.check(order)
    assert state(Order.fold(events)) == state(order)
    assert ends == [
        (line.cancelled, line.failed, line.delivered, line.returned)
        for line in order.lines.values()
    ]
    assert (order.captured, order.refunded) == (whole, refund)
    is_cancelled = order.status == "cancelled"
    credit = whole if is_cancelled else whole - order.total - order.goodwill
    # A refund beyond the credit is goodwill, and credit that wasn't refunded is owed.
    assert order.goodwill == max(refund - credit, 0)
    assert order.balance == min(refund - credit, 0)


def test_a_payment_that_was_repeated_after_its_refund_is_no_goodwill() -> None:
    _, order = order_of([(1, 1_000)], {}, "EUR")

    imported(
        order,
        status="confirmed",
        payments=[
            {"amount": "10.00", "happened_at": START},
            {"amount": "10.00", "happened_at": START + timedelta(days=2)},
        ],
        refunds=[{"amount": "10.00", "happened_at": START + timedelta(days=1)}],
    )

    assert order.total == 10
    assert order.balance == order.goodwill == 0
