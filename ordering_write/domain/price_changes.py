"""Changes of the discounts and taxes in what an order costs, for readers that count them."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from ordering_write.domain.prices import Price, TaxLine

# The fields that tell taxes apart.
_TaxName = tuple[str, str | None, Decimal | None, bool]


def discount_change(before: Iterable[Price], after: Iterable[Price]) -> Decimal:
    """Return by how much the discounts on the parts of an order have grown."""
    sums = [sum((part.discount for part in parts), Decimal(0)) for parts in (before, after)]
    return sums[1] - sums[0]


def tax_changes(before: Sequence[Price], after: Sequence[Price]) -> tuple[TaxLine, ...]:
    """Return by how much each tax on the parts of an order has grown; negative for a decrease."""
    sums_before, sums_after = _tax_sums(before), _tax_sums(after)
    changes = []
    for name in dict.fromkeys((*sums_before, *sums_after)):
        base, amount = (
            sums_after.get(name, (Decimal(0),) * 2)[i] - sums_before.get(name, (Decimal(0),) * 2)[i]
            for i in range(2)
        )
        if base or amount:
            changes.append(_tax_line(name, base, amount))
    return tuple(changes)


def _tax_sums(parts: Iterable[Price]) -> Mapping[_TaxName, tuple[Decimal, Decimal]]:
    """Return the base and the amount of each tax."""
    sums: dict[_TaxName, tuple[Decimal, Decimal]] = {}
    for tax in (tax for part in parts for tax in part.taxes):
        name = (tax.label, tax.jurisdiction, tax.rate, tax.included)
        base, amount = sums.get(name, (Decimal(0), Decimal(0)))
        sums[name] = (base + tax.base, amount + tax.amount)
    return sums


def _tax_line(name: _TaxName, base: Decimal, amount: Decimal) -> TaxLine:
    label, jurisdiction, rate, included = name
    return TaxLine(
        label=label,
        jurisdiction=jurisdiction,
        rate=rate,
        included=included,
        base=base,
        amount=amount,
    )
