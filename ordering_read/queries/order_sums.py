"""The sums of an order, as a receipt prints them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ordering_read.fields import CurrencyAmount
from ordering_read.models import OrderLine, OrderSummary
from ordering_read.queries.views import View


class OrderSums(View):
    """The sums of an order, in its currency.

    `list_value` minus `discount` plus `charges` plus `tax` minus `goodwill` is the total of the
    order. `goodwill` is what was granted and lowers the total now.
    """

    list_value: CurrencyAmount
    discount: CurrencyAmount
    charges: CurrencyAmount
    tax: CurrencyAmount
    goodwill: CurrencyAmount


def sums_of(row: OrderSummary, lines: Sequence[OrderLine]) -> dict[str, Decimal]:
    """Return the fields of OrderSums for an order and its lines."""
    list_value = _sum(line.list_value for line in lines)
    charges = _given(row, "shipping", "fee")
    if row.charges is None:
        # No amount was allocated to lines: the adjustments apply as they were given.
        discount, tax = _given(row, "discount"), _given(row, "tax")
    else:
        discount = _sum(line.discount for line in lines) + _amounts(row.charges, "discount")
        taxes = [*(line.taxes for line in lines), *(charge["taxes"] for charge in row.charges)]
        tax = _sum(_amounts(tax_lines, "amount") for tax_lines in taxes)
    total = list_value - discount + charges + tax
    return {
        "list_value": list_value,
        "discount": discount,
        "charges": charges,
        "tax": tax,
        "goodwill": total - row.total_amount,
    }


def _given(row: OrderSummary, *kinds: str) -> Decimal:
    return _amounts((item for item in row.adjustments if item["kind"] in kinds), "amount")


def _amounts(documents: Iterable[dict[str, Any]], field: str) -> Decimal:
    return _sum(Decimal(document[field]) for document in documents)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
