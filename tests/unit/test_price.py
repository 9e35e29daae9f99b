"""The price of an order: allocation of discounts and taxes, and credits by cumulative rounding."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.domain.prices import LinePrice, OrderAdjustment, OrderPrice
from ordering_write.domain.pricing import PartToPrice, credit, price, rest, with_bases
from ordering_write.domain.values import MINOR_UNITS

CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])
AMOUNTS = st.integers(0, 10**7)


def priced(
    list_values: Sequence[str], *adjustments: tuple[str, str, str | None], currency: str = "EUR"
) -> OrderPrice:
    """Return the price of lines with these list values; an adjustment is (kind, amount, rate)."""
    lines = {UUID(int=n): PartToPrice(Decimal(value)) for n, value in enumerate(list_values)}
    given_adjustments = [
        OrderAdjustment(kind=kind, label=kind, amount=Decimal(amount), rate=rate and Decimal(rate))
        for kind, amount, rate in adjustments
    ]
    based = with_bases(lines, given_adjustments, currency, is_new=True)
    return price(lines, based, currency)


def nets(order_price: OrderPrice) -> list[str]:
    return [str(line.net) for line in order_price.lines]


def taxes(order_price: OrderPrice) -> list[str]:
    parts = (*order_price.lines, *order_price.charges)
    return [str(tax.amount) for part in parts for tax in part.taxes]


@pytest.mark.parametrize(
    ("list_values", "discount", "expected"),
    [
        (["99.00"], "49.50", ["49.50"]),
        # In proportion to the list values.
        (["30.00", "10.00"], "4.00", ["27.00", "9.00"]),
        # The largest remainder gets the cent, and the first line of equal remainders.
        (["10.00", "10.00", "10.00"], "10.00", ["6.66", "6.67", "6.67"]),
        (["0.01", "99.99"], "50.00", ["0.00", "50.00"]),
        # A line without a price has no share.
        (["0.00", "10.00"], "5.00", ["0.00", "5.00"]),
        # A discount beyond the lines has no effect.
        (["10.00", "5.00"], "20.00", ["0.00", "0.00"]),
    ],
)
def test_a_discount_is_allocated_to_the_lines(list_values, discount, expected):
    assert nets(priced(list_values, ("discount", discount, None))) == expected


def test_two_discounts_never_take_more_from_a_line_than_its_price():
    order_price = priced(
        ["0.01", "0.01", "0.01"], ("discount", "0.01", None), ("discount", "0.01", None)
    )
    assert nets(order_price) == ["0.00", "0.00", "0.01"]


def test_what_a_discount_exceeds_the_lines_by_is_taken_from_the_charges():
    order_price = priced(["3.00"], ("shipping", "4.90", None), ("discount", "5.00", None))
    [charge] = order_price.charges
    assert nets(order_price) == ["0.00"]
    assert (charge.discount, charge.net) == (Decimal("2.00"), Decimal("2.90"))


@pytest.mark.parametrize(
    ("tax", "expected"),
    [
        # 21 % of the line alone, as a percentage or a fraction: shipping isn't taxed.
        (("tax", "83.79", "21"), ["83.79"]),
        (("tax", "83.79", "0.21"), ["83.79"]),
        # 21 % of the line and of the shipping.
        (("tax", "85.89", "21"), ["83.79", "2.10"]),
        # Without a rate nothing says that shipping is taxed.
        (("tax", "83.79", None), ["83.79"]),
    ],
)
def test_a_tax_is_allocated_to_what_its_rate_says_that_it_is_on(tax, expected):
    assert taxes(priced(["399.00"], ("shipping", "10.00", None), tax)) == expected


def test_a_tax_is_allocated_by_the_prices_after_discounts():
    order_price = priced(["80.00", "40.00"], ("tax", "10.00", "10"), ("discount", "20.00", None))
    assert taxes(order_price) == ["6.67", "3.33"]
    assert [tax.base for line in order_price.lines for tax in line.taxes] == [
        Decimal("66.67"),
        Decimal("33.33"),
    ]


def test_a_tax_keeps_its_proportion_to_what_it_is_on():
    given_for_one = with_bases(
        {UUID(int=0): PartToPrice(Decimal("399.00"))},
        [OrderAdjustment(kind="tax", label="VAT", amount=Decimal("83.79"))],
        "EUR",
        is_new=True,
    )
    of_three = price({UUID(int=0): PartToPrice(Decimal("1197.00"))}, given_for_one, "EUR")
    assert taxes(of_three) == ["251.37"]
    assert of_three.total == Decimal("1448.37")


@pytest.mark.parametrize(
    ("currency", "net", "expected"),
    [
        ("EUR", "10.00", ["3.33", "3.34", "3.33"]),
        ("JPY", "1000", ["333", "334", "333"]),
        ("KWD", "1.000", ["0.333", "0.334", "0.333"]),
    ],
)
def test_credits_are_rounded_cumulatively(currency, net, expected):
    line = LinePrice(line_id=UUID(int=0), list_value=Decimal(net), net=Decimal(net))
    credits = [
        str(credit(line, credited=before, units=1, ordered=3, currency=currency)[0])
        for before in range(3)
    ]
    assert credits == expected


@settings(deadline=None)
@given(
    currency=CURRENCIES,
    list_values=st.lists(AMOUNTS, min_size=1, max_size=6),
    adjustments=st.lists(
        st.tuples(st.sampled_from(["shipping", "fee", "discount", "tax"]), AMOUNTS), max_size=6
    ),
)
def test_shares_add_up_to_what_they_divide(currency, list_values, adjustments):
    unit = MINOR_UNITS[currency]
    order_price = priced(
        [str(value * unit) for value in list_values],
        *((kind, str(amount * unit), None) for kind, amount in adjustments),
        currency=currency,
    )

    parts = (*order_price.lines, *order_price.charges)
    sums = {
        kind: sum(amount for given_kind, amount in adjustments if given_kind == kind) * unit
        for kind in ("shipping", "fee", "discount", "tax")
    }
    undiscounted = sum(list_values) * unit + sums["shipping"] + sums["fee"]
    assert sum(part.list_value for part in parts) == undiscounted
    assert sum(part.discount for part in parts) == min(sums["discount"], undiscounted)
    assert sum(tax.amount for part in parts for tax in part.taxes) == sums["tax"]
    for part in parts:
        assert part.list_value - sum(share.amount for share in part.discounts) == part.net >= 0
        assert all(tax.base == part.net and tax.amount >= 0 for tax in part.taxes)


@settings(deadline=None)
@given(
    currency=CURRENCIES,
    unit_price=AMOUNTS,
    ordered=st.integers(1, 12),
    discounts=st.lists(AMOUNTS, max_size=3),
    tax=AMOUNTS,
    data=st.data(),
)
def test_credits_add_up_to_what_was_charged(currency, unit_price, ordered, discounts, tax, data):
    unit = MINOR_UNITS[currency]
    [line] = priced(
        [str(unit_price * ordered * unit)],
        *(("discount", str(amount * unit), None) for amount in discounts),
        ("tax", str(tax * unit), None),
        currency=currency,
    ).lines
    credited, credits, remainder = 0, Decimal(0), line
    while credited < ordered:
        units = data.draw(st.integers(1, ordered - credited))
        amount, remainder = credit(
            line, credited=credited, units=units, ordered=ordered, currency=currency
        )
        credited += units
        credits += amount
        assert amount >= 0
        assert line.cost - credits == remainder.cost
        # The rest adds up as printed, and no share is negative.
        assert (
            remainder.list_value - sum(share.amount for share in remainder.discounts)
            == remainder.net
        )
        assert all(share.amount >= 0 for share in remainder.discounts)
    assert credits == line.cost
    assert remainder.list_value == remainder.discount == remainder.cost == 0
    assert rest(line, credited=0, ordered=ordered, currency=currency) == line
