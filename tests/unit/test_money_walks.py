"""Random walks of orders with discounts, taxes and charges: the money adds up at every version."""

from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.api import OrderCommands
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import DomainError
from ordering_write.domain.prices import CHARGES, Tax
from ordering_write.domain.values import MINOR_UNITS, Money
from ordering_write.models import Order
from tests.kit import NOW, placed, state
from tests.kit_money import NO_OUTCOME, Book, adjustment, faults_of, order_of
from tests.kit_money_moves import COUNTRIES, COVERED, MOVES, Walk, by_rate, taxes_of
from tests.proof import size

CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])
# Moves that come more often, so that walks get as far as returns.
FORWARD = ["move_on", "pay", "pack", "end_packing", "end_shipment", "request_return", "end_return"]


def steps_of(seed: int, count: int) -> list[tuple[str, int, int]]:
    """Return random moves, each with a choice and a number; some begin after the delivery."""
    dice = Random(seed)
    names = [*sorted(MOVES), *FORWARD]
    delivery = [("pay", 1, 0), *[("move_on", 0, 0)] * 4]
    return [
        *(delivery if dice.random() < 0.3 else ()),
        *((dice.choice(names), dice.randrange(7), dice.randrange(20_000)) for _ in range(count)),
    ]


# Hypothesis itself prefers the first moves, and short walks.
STEPS = st.builds(steps_of, seed=st.integers(0, 2**32), count=st.integers(15, 40))
# Commands that place an order, or change neither its goods nor its money.
BESIDE = {
    c.AddNote,
    c.AssignOrder,
    c.CreateOrder,
    c.RedactNote,
    c.SetLineMetadata,
    c.SetOrderMetadata,
    c.SetPoNumber,
    c.TagOrder,
    c.UntagOrder,
    c.UpdateTracking,
}


# --- Random orders -----------------------------------------------------------------------------
@st.composite
def own_taxes(draw, net: int, unit: Decimal) -> tuple[Tax, ...] | None:
    """Taxes that a client gives for a part with this price; None if others say them."""
    if draw(st.integers(0, 2)):
        return None
    taxes = []
    for _ in range(draw(st.integers(1, 2))):
        included = draw(st.booleans())
        rate = draw(st.sampled_from(["0", "4", "9.975", "21", None]))
        amount = None if rate else draw(st.integers(0, min(net // 2, 500))) * unit
        tax = by_rate(rate, included=included) if rate else Tax(label="Own", included=included)
        taxes.append(tax.model_copy(update={"amount": amount}))
    return tuple(taxes)


@st.composite
def own_discount(draw, value: int) -> int:
    return draw(st.integers(0, value)) if draw(st.integers(0, 3)) == 0 else 0


@st.composite
def orders(draw, *, is_taxed: bool = True) -> tuple[list[Any], Walk]:
    """The events of a new order, and the walk of the order."""
    currency = draw(CURRENCIES)
    country = draw(st.sampled_from(COUNTRIES)) if is_taxed else "US"
    unit = MINOR_UNITS[currency]
    quantities = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    created, *items = placed(*quantities, currency=currency)

    def money(amount: int) -> Money:
        return Money.of(amount * unit, currency)

    def own(value: int) -> dict[str, Any]:
        discount = draw(own_discount(value))
        taxes = draw(own_taxes(value - discount, unit)) if is_taxed else None
        return {"discount": money(discount) if discount else None, "taxes": taxes}

    left, lines, adjustments = 0, [], []
    for item in items:
        price = draw(st.integers(0, 9_999))
        value = item.quantity * price
        fields = own(value) | {"tax_class": draw(st.sampled_from([None, "food"]))}
        fields |= {"unit_price": money(price), "line_total": money(value)}
        fields["requires_shipping"] = draw(st.sampled_from([None, None, False]))
        lines.append(item.model_copy(update=NO_OUTCOME | fields))
        left += value - _units(fields["discount"], unit)
    kinds = st.sampled_from([*sorted(CHARGES), "discount", *["tax"] * is_taxed])
    for kind in sorted(draw(st.lists(kinds, max_size=4)), key=["discount", "tax"].count):
        amount = draw(st.integers(0, left if kind == "discount" else 5_000))
        added = e.OrderAdjustmentAdded(
            timestamp=NOW,
            order_id=created.order_id,
            adjustment_id=uuid4(),
            kind=kind,
            label=kind,
            amount=money(amount),
            rate=draw(st.sampled_from([None, Decimal(21)])) if kind == "tax" else None,
            **own(amount) if kind in CHARGES else {},
        )
        adjustments.append(added)
        left += {"discount": -amount, "tax": 0}.get(kind, amount)
        left -= _units(added.discount, unit)
    events = Order.create(
        created=created, items=lines, adjustments=adjustments, ask_taxes=taxes_of(country)
    ).pending_events
    return events, Walk(Order.fold(events), country)


def _units(money: Money | None, unit: Decimal) -> int:
    return int(money.amount / unit) if money else 0


# --- Walks -------------------------------------------------------------------------------------
def test_every_command_that_moves_goods_or_money_has_a_move():
    assert {route.command for route in OrderCommands.routes} - BESIDE == COVERED


@pytest.mark.proof
@settings(max_examples=size(40, full=2_000), deadline=None)
@given(new=orders(), steps=STEPS)
def test_money_adds_up_at_every_version(new, steps):
    past, walk = new
    book = Book()
    for event in past:
        book.add(event)
    book.check(walk.order)

    for step in steps:
        walk.try_move(*step)
        for event in walk.order.pending_events:
            past.append(event)
            book.add(event)
        book.check(walk.order)

    assert state(Order.fold(past)) == state(walk.order)
    assert faults_of(past) == []


@pytest.mark.proof
@settings(max_examples=size(40, full=2_000), deadline=None)
@given(new=orders(is_taxed=False), steps=STEPS, data=st.data())
def test_a_discount_or_a_charge_changes_the_total_by_its_amount(new, steps, data):
    _, walk = new
    order = walk.order
    for name, *about in steps:
        # Goodwill that exceeds the total takes what a charge adds.
        if name not in ("add_line", "change_address", "grant_goodwill", "request_refund"):
            walk.try_move(name, *about)

    kind = data.draw(st.sampled_from(["discount", "fee"]))
    line_id = data.draw(st.sampled_from([None, *order.lines]))
    before = {line.id: line.line_total for line in order.lines.values() if line.shipped}
    amount = data.draw(st.integers(1, 9_999)) * MINOR_UNITS[order.currency]
    total, spent, unspent = order.total, discounts_of_charges(order), unspent_discounts(order)
    try:
        order.adjust(adjustment(order, kind, amount, line_id=line_id))
    except DomainError:
        assert order.total == total
    else:
        if kind == "discount":
            assert order.total == total - amount
        else:
            taken = discounts_of_charges(order) - spent
            assert 0 <= taken <= unspent
            assert order.total == total + amount - taken
    for shipped_id, price in before.items():
        assert order.lines[shipped_id].line_total <= price


def discounts_of_charges(order: Order) -> Decimal:
    """Return what the discounts take of the charges beside the lines."""
    return sum((charge.discount for charge in order.present_price.charges), Decimal(0))


def unspent_discounts(order: Order) -> Decimal:
    """Return by how much the discounts exceed what there is to discount."""
    given = sum(
        (
            item.amount if item.shares is None else sum(item.shares.values(), Decimal(0))
            for item in order.adjustments_by_id.values()
            if item.kind == "discount"
        ),
        Decimal(0),
    )
    price = order.present_price
    return given - sum((part.discount for part in (*price.lines, *price.charges)), Decimal(0))


def test_a_discount_whose_charge_is_removed_takes_the_next_charge():
    _, order = order_of([(1, 0)], {"fee": 1, "discount": 1}, "EUR")
    fee_id = next(key for key, item in order.adjustments_by_id.items() if item.kind == "fee")
    order.remove_adjustment(fee_id, now=NOW)
    assert unspent_discounts(order) == Decimal("0.01")

    order.adjust(adjustment(order, "fee", Decimal("0.03")))

    assert (order.total, unspent_discounts(order)) == (Decimal("0.02"), Decimal(0))


@pytest.mark.proof
@settings(max_examples=size(40, full=2_000), deadline=None)
@given(new=orders(), data=st.data())
def test_everything_sent_back_leaves_the_charges_to_pay(new, data):
    past, walk = new
    order = walk.order
    if order.total:
        order.record_payment("payment-1", e.PaymentKind.CAPTURED, order.total, at=NOW)
    order.confirm(now=NOW)
    order.ship_everything(shipment_id=uuid4(), now=NOW)
    if order.shipments:
        order.deliver_everything(now=NOW)
    units = [line.id for line in order.lines.values() for _ in range(line.ordered)]
    for line_id in data.draw(st.permutations(units)):
        return_id = UUID(int=order.version)
        back = c.ReturnedLine(line_id=line_id, quantity=1, reason=e.ReturnReason.UNWANTED)
        order.request_return([back], return_id=return_id, now=NOW)
        order.receive_return(return_id, [c.ReceivedLine(line_id=line_id, restock=1)], now=NOW)
        if order.credit:
            refund_id = uuid4()
            order.request_refund(order.credit, "returned", refund_id=refund_id, now=NOW)
            order.settle_refund(refund_id, at=NOW)

    book = Book()
    for event in (*past, *order.pending_events):
        book.add(event)
    book.check(order)
    charges = sum((charge.cost for charge in book.charges), Decimal(0))
    assert order.captured - order.refunded == order.total == charges
    assert order.balance == 0
    assert all(tax.amount == 0 for line in book.lines.values() for tax in line.taxes)
