"""The taxes and discounts of single lines and charges, in the price of an order."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from ordering_write.domain.drafts import Draft, DraftLine, PartToTax
from ordering_write.domain.prices import OrderAdjustment, OrderPrice, Tax
from ordering_write.domain.pricing import PartToPrice, price, rest

LINE, OTHER, CHARGE = UUID(int=0), UUID(int=1), UUID(int=2)


def tax(rate: str | None = None, *, included: bool = False, **amounts: str) -> Tax:
    fields = {name: Decimal(amount) for name, amount in amounts.items()}
    return Tax(label="Tax", rate=rate and Decimal(rate), included=included, **fields)


def priced(
    value: str, *taxes: Tax, adjustments: Sequence[OrderAdjustment] = (), currency: str = "EUR"
) -> OrderPrice:
    """Return the price of an order of one line with these taxes."""
    return price({LINE: PartToPrice(Decimal(value), taxes)}, adjustments, currency)


def adjustment(kind: Any, amount: str, **fields: Any) -> OrderAdjustment:
    return OrderAdjustment(kind=kind, label=kind, amount=Decimal(amount), **fields)


@pytest.mark.parametrize(
    ("currency", "value", "taxes", "amounts", "base", "cost"),
    [
        # 21 % in a price, and 21 % on a price.
        ("EUR", "121.00", [tax("21", included=True)], ["21.00"], "100.00", "121.00"),
        ("EUR", "100.00", [tax("21")], ["21.00"], "100.00", "121.00"),
        # Half a unit is rounded up: 0.105, 0.0105, 10.5.
        ("EUR", "0.50", [tax("21")], ["0.11"], "0.50", "0.61"),
        ("KWD", "0.050", [tax("21")], ["0.011"], "0.050", "0.061"),
        ("JPY", "50", [tax("21")], ["11"], "50", "61"),
        # Two included taxes are shares of one price, and added taxes are on the rest of it.
        (
            "EUR",
            "115.00",
            [tax("10", included=True), tax("5", included=True), tax("20")],
            ["10.00", "5.00", "20.00"],
            "100.00",
            "135.00",
        ),
        # Canadian taxes stand side by side.
        ("EUR", "100.00", [tax("5"), tax("9.975")], ["5.00", "9.98"], "100.00", "114.98"),
        # A given amount comes before the rates, and its own rate says nothing.
        (
            "EUR",
            "12.10",
            [tax("21", included=True), tax(included=True, amount="1.10")],
            ["1.10", "1.91"],
            "9.09",
            "12.10",
        ),
        ("EUR", "10.00", [tax("21", amount="2.05")], ["2.05"], "10.00", "12.05"),
        # Included taxes never exceed the price.
        ("EUR", "1.00", [tax(included=True, amount="1.50")], ["1.00"], "0.00", "1.00"),
    ],
)
def test_a_tax_is_in_a_price_or_added_to_it(currency, value, taxes, amounts, base, cost):
    [line] = priced(value, *taxes, currency=currency).lines

    assert [str(tax_line.amount) for tax_line in line.taxes] == amounts
    assert {str(tax_line.base) for tax_line in line.taxes} == {base}
    assert (str(line.net), str(line.cost)) == (value, cost)


def test_a_given_amount_follows_the_price_it_was_given_for():
    for included in (True, False):
        given = tax(included=included, amount="2.10", base="10.00")

        [line] = priced("30.00", given).lines

        assert [str(tax_line.amount) for tax_line in line.taxes] == ["6.30"]


def test_the_discount_of_a_line_comes_before_those_of_the_order():
    discounts = [
        adjustment("discount", "5.00"),
        adjustment("discount", "8.00", part_id=LINE),
        adjustment("shipping", "4.00", adjustment_id=CHARGE),
        adjustment("discount", "1.00", part_id=CHARGE),
    ]
    order_price = price(
        {LINE: PartToPrice(Decimal("10.00")), OTHER: PartToPrice(Decimal("8.00"))},
        discounts,
        "EUR",
    )

    nets = [str(part.net) for part in (*order_price.lines, *order_price.charges)]
    # The discount of the order is divided 2 : 8.
    assert nets == ["1.00", "4.00", "3.00"]


def test_a_charge_has_taxes_of_its_own():
    shipping = adjustment("shipping", "6.05", taxes=(tax("21", included=True),))

    order_price = priced("10.00", tax("10"), adjustments=[shipping])

    [charge] = order_price.charges
    assert [str(tax_line.amount) for tax_line in charge.taxes] == ["1.05"]
    assert order_price.total == Decimal("17.05")


def test_a_tax_of_the_order_is_divided_by_the_prices_without_taxes():
    lines = {
        LINE: PartToPrice(Decimal("12.10"), [tax("21", included=True)]),
        OTHER: PartToPrice(Decimal("10.00")),
    }

    order_price = price(lines, [adjustment("tax", "2.00")], "EUR")

    assert [str(line.taxes[-1].amount) for line in order_price.lines] == ["1.00", "1.00"]


def test_the_rest_of_a_line_has_the_rest_of_its_taxes():
    [line] = priced("10.00", tax("21", included=True), tax("10")).lines

    rests = [rest(line, credited=units, ordered=3, currency="EUR") for units in range(4)]

    assert [[str(tax_line.amount) for tax_line in part.taxes] for part in rests] == [
        ["1.74", "0.83"],
        ["1.16", "0.55"],
        ["0.58", "0.28"],
        ["0.00", "0.00"],
    ]
    for part in rests:
        assert all(tax_line.base == part.taxable for tax_line in part.taxes)


def test_taxes_are_asked_for_by_the_price_after_discounts():
    taxed_parts: list[tuple[Any, str]] = []

    def ask(parts: Any) -> dict[UUID, list[Tax]]:
        taxed_parts.extend((part.kind, str(part.value)) for part in parts)
        return {LINE: [tax("10")]}

    draft = Draft(
        currency="EUR",
        lines={LINE: DraftLine(product_id=OTHER, quantity=1, list_value=Decimal("10.00"))},
        adjustments=[
            adjustment("discount", "12.00"),
            adjustment("tip", "3.00", adjustment_id=CHARGE),
        ],
    )

    order_price = draft.price(ask)

    assert taxed_parts == [("line", "0.00"), ("tip", "1.00")]
    assert order_price is not None
    assert [part.taxes for part in order_price.charges] == [()]


def test_nobody_asks_for_taxes_when_one_was_given_for_the_order():
    def refuse(parts: Any) -> None:
        raise AssertionError([*parts])

    line = DraftLine(product_id=OTHER, quantity=1, list_value=Decimal("10.00"))
    draft = Draft(currency="EUR", lines={LINE: line}, adjustments=[adjustment("tax", "2.10")])

    order_price = draft.price(refuse)

    assert order_price is not None
    assert order_price.total == Decimal("12.10")


def test_a_charge_has_its_kind_as_tax_class():
    tip = PartToTax(part_id=CHARGE, kind="tip", tax_class="tip", value=Decimal("1.00"))
    draft = Draft(
        currency="EUR",
        lines={},
        adjustments=[adjustment("tip", "1.00", adjustment_id=CHARGE)],
    )
    taxed_parts: list[PartToTax] = []

    draft.price(lambda parts: taxed_parts.extend(parts))

    assert taxed_parts == [tip]
