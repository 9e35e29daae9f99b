"""The running total of a new order: the sums of a dry run of the command that would place it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ordering_read.admin.base import money
from ordering_write.client import Preview


class SumRow(NamedTuple):
    """A row of the running total: a label, and an amount as people read it."""

    label: str
    amount: str


class RunningTotal(NamedTuple):
    """The sums of a new order, from the price of the goods to the total to pay.

    ``included`` are the taxes that the prices contain.
    """

    rows: Sequence[SumRow]
    total: str
    included: Sequence[SumRow]


def running_total(preview: Preview, currency: str) -> RunningTotal:
    """Return the sums of an order in ``currency`` that ``preview`` would place."""
    goods, discount = Decimal(0), Decimal(0)
    charges: list[tuple[str, Decimal]] = []
    taxes: defaultdict[tuple[str, bool], Decimal] = defaultdict(Decimal)
    for event in preview.would_emit:
        fields = event.fields
        if event.type == "OrderItemAdded":
            goods += _amount(fields["line_total"])
        elif event.type == "OrderAdjustmentAdded" and fields["kind"] not in ("discount", "tax"):
            charges.append((fields["label"], _amount(fields["amount"])))
        discount += _amount(fields.get("discount_change"))
        for tax in fields.get("tax_changes") or ():
            taxes[tax["label"], tax["included"]] += Decimal(tax["amount"])
    rows = [("Goods", goods), *charges]
    if discount:
        rows.insert(1, ("Discount", -discount))
    rows += [(label, amount) for (label, is_included), amount in taxes.items() if not is_included]
    included = [(label, amount) for (label, is_included), amount in taxes.items() if is_included]
    return RunningTotal(
        [SumRow(label, money(amount, currency)) for label, amount in rows],
        money(preview.total_after or Decimal(0), currency),
        [SumRow(label, money(amount, currency)) for label, amount in included],
    )


def _amount(field: Mapping[str, Any] | None) -> Decimal:
    return Decimal(field["amount"]) if field else Decimal(0)
