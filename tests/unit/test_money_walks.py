"""Random walks of orders with discounts, taxes and charges: the money adds up at every version."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import DomainError
from ordering_write.domain.values import MINOR_UNITS
from ordering_write.models import Order
from tests.kit import NOW, state
from tests.kit_money import MOVES, Book, adjustment, faults_of, order_of, try_move
from tests.proof import size

CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])
LINES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9_999)), min_size=1, max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 6), st.integers(0, 20_000)),
    max_size=25,
)


@st.composite
def adjustments(draw, lines):
    """Amounts by kind, the discount at most the price of the lines and charges."""
    amounts = {
        kind: draw(st.integers(0, 5_000))
        for kind in draw(st.lists(st.sampled_from(["shipping", "fee", "tax"]), unique=True))
    }
    value = sum(quantity * price for quantity, price in lines)
    value += sum(amount for kind, amount in amounts.items() if kind != "tax")
    return {**amounts, "discount": draw(st.integers(0, value))} if draw(st.booleans()) else amounts


@pytest.mark.proof
@settings(max_examples=size(100, full=2_000), deadline=None)
@given(currency=CURRENCIES, lines=LINES, steps=STEPS, data=st.data())
def test_money_adds_up_at_every_version(currency, lines, steps, data):
    past, order = order_of(lines, data.draw(adjustments(lines)), currency)
    book = Book()
    for event in past:
        book.add(event)
    book.check(order)

    for step in steps:
        try_move(order, *step)
        for event in order.pending_events:
            past.append(event)
            book.add(event)
        book.check(order)

    assert state(Order.fold(past)) == state(order)
    assert faults_of(past) == []


@pytest.mark.proof
@settings(max_examples=size(100, full=2_000), deadline=None)
@given(currency=CURRENCIES, lines=LINES, steps=STEPS, data=st.data())
def test_a_discount_or_a_charge_changes_the_total_by_its_amount(currency, lines, steps, data):
    untaxed = {**data.draw(adjustments(lines)), "tax": 0}
    _, order = order_of(lines, untaxed, currency)
    for step in steps:
        try_move(order, *step)

    kind = data.draw(st.sampled_from(["discount", "fee"]))
    line_id = data.draw(st.sampled_from([None, *order.lines]))
    before = {line.id: line.line_total for line in order.lines.values() if line.shipped}
    total, amount = order.total, data.draw(st.integers(1, 9_999)) * MINOR_UNITS[currency]
    try:
        order.adjust(adjustment(order, kind, amount, line_id=line_id))
    except DomainError:
        assert order.total == total
    else:
        assert order.total == total + (amount if kind == "fee" else -amount)
    for shipped_id, price in before.items():
        assert order.lines[shipped_id].line_total <= price


@pytest.mark.proof
@settings(max_examples=size(100, full=2_000), deadline=None)
@given(currency=CURRENCIES, lines=LINES, data=st.data())
def test_everything_sent_back_leaves_the_charges_to_pay(currency, lines, data):
    past, order = order_of(lines, data.draw(adjustments(lines)), currency)
    if order.total:
        order.record_payment("payment-1", e.PaymentKind.CAPTURED, order.total, at=NOW)
    order.confirm(now=NOW)
    order.ship_everything(shipment_id=past[0].order_id, now=NOW)
    order.deliver_everything(now=NOW)
    units = [line.id for line in order.lines.values() for _ in range(line.ordered)]
    for line_id in data.draw(st.permutations(units)):
        return_id = UUID(int=order.version)
        back = c.ReturnedLine(line_id=line_id, quantity=1, reason=e.ReturnReason.UNWANTED)
        order.request_return([back], return_id=return_id, now=NOW)
        order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=1)], now=NOW)
        if order.credit:
            refund_id = past[0].order_id
            order.request_refund(order.credit, "returned", refund_id=refund_id, now=NOW)
            order.settle_refund(refund_id, at=NOW)
            order.refunds.clear()

    book = Book()
    for event in (*past, *order.pending_events):
        book.add(event)
    charges = sum((charge.cost for charge in book.charges), Decimal(0))
    assert order.captured - order.refunded == order.total == charges
    assert order.balance == 0
    assert all(tax.amount == 0 for line in book.lines.values() for tax in line.taxes)
