"""The sums of an order, as a receipt prints them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ordering_read.documents import TaxView
from ordering_read.fields import CurrencyAmount
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.queries.views import View
from ordering_write.published import prices


class OrderSums(View):
    """The sums of an order, in its currency.

    `list_value` minus `discount` plus `charges` plus `tax` minus `goodwill` is the total of the
    order. `tax` is added to the prices, `included_tax` is in them. `goodwill` is what was granted
    and lowers the total now. `charges` has those on lines too.
    """

    list_value: CurrencyAmount
    discount: CurrencyAmount
    charges: CurrencyAmount
    tax: CurrencyAmount
    included_tax: CurrencyAmount
    goodwill: CurrencyAmount


def sums_of(row: OrderSummary, lines: Sequence[OrderLine]) -> dict[str, Decimal]:
    """Return the fields of OrderSums for an order and its lines."""
    list_value = _sum(line.list_value for line in lines)
    taxes = _tax_lines(row, lines)
    if row.charges is None:
        # No amount was allocated to lines: the adjustments apply as they were given.
        discount, tax = _given(row, "discount"), _given(row, "tax")
        charges = _given(row, *prices.CHARGES)
    else:
        discount = _sum(line.discount for line in lines) + _amounts(row.charges, "discount")
        tax = _sum(tax.amount for tax in taxes if not tax.included)
        charges = _amounts(row.charges, "list_value") + _sum(line.surcharge for line in lines)
    total = list_value - discount + charges + tax
    return {
        "list_value": list_value,
        "discount": discount,
        "charges": charges,
        "tax": tax,
        "included_tax": _sum(tax.amount for tax in taxes if tax.included),
        "goodwill": total - row.total_amount,
    }


def taxes_of(row: OrderSummary, lines: Sequence[OrderLine]) -> list[TaxView]:
    """Return the sums of the taxes on the lines and charges, one for each name and rate."""
    sums: dict[tuple[Any, ...], TaxView] = {}
    for tax in _tax_lines(row, lines):
        key = (tax.label, tax.jurisdiction, tax.rate, tax.included)
        sum_so_far = sums.get(key)
        sums[key] = tax.model_copy(
            update={
                "base": tax.base + (sum_so_far.base if sum_so_far else 0),
                "amount": tax.amount + (sum_so_far.amount if sum_so_far else 0),
            }
        )
    return list(sums.values())


def _tax_lines(row: OrderSummary, lines: Sequence[OrderLine]) -> list[TaxView]:
    parts = [*(line.taxes for line in lines), *(item["taxes"] for item in row.charges or ())]
    return [TaxView.model_validate(tax) for taxes in parts for tax in taxes]


def _given(row: OrderSummary, *kinds: str) -> Decimal:
    return _amounts((item for item in row.adjustments if item["kind"] in kinds), "amount")


def _amounts(documents: Iterable[dict[str, Any]], field: str) -> Decimal:
    return _sum(Decimal(document[field]) for document in documents)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
