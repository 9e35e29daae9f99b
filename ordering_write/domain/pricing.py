"""The price of an order: what its lines, charges and taxes cost, and what a credit is.

``price`` prices a whole draft, ``credit`` some units of a priced line. Both are pure, and count in
minor units (cents): shares add up to the amount that they divide, exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal
from uuid import UUID

from ordering_write.domain.values import MINOR_UNITS, Value

AdjustmentKind = Literal["shipping", "discount", "tax", "fee", "goodwill"]
CHARGES = frozenset({"shipping", "fee"})


class OrderAdjustment(Value):
    """An amount beside the lines of an order, as it was given.

    A tax was given for a ``base``: the price of the lines, and of the charges if ``on_charges``.
    """

    kind: AdjustmentKind
    label: str
    amount: Decimal
    rate: Decimal | None = None
    base: Decimal | None = None
    on_charges: bool = False


class DiscountShare(Value):
    """The share of a line or a charge in a discount of the order."""

    label: str
    amount: Decimal


class TaxLine(Value):
    """A tax on one line or charge. ``rate`` is as it was given; ``base`` is the price it is on."""

    label: str
    rate: Decimal | None = None
    base: Decimal
    amount: Decimal


class Price(Value):
    """The price of a line or charge: ``list_value`` minus the ``discounts``, and added ``taxes``.

    ``net`` is the amount between the discounts and the taxes.
    """

    list_value: Decimal
    discounts: tuple[DiscountShare, ...] = ()
    net: Decimal
    taxes: tuple[TaxLine, ...] = ()

    @property
    def discount(self) -> Decimal:
        """The sum of the discounts."""
        return self.list_value - self.net

    @property
    def cost(self) -> Decimal:
        """The amount to pay, taxes included."""
        return self.net + sum(tax.amount for tax in self.taxes)


class LinePrice(Price):
    """The price of a line."""

    line_id: UUID


class ChargePrice(Price):
    """The price of a charge beside the lines, such as shipping."""

    kind: Literal["shipping", "fee"]
    label: str


class OrderPrice(Value):
    """The prices of all lines and charges of an order."""

    lines: tuple[LinePrice, ...]
    charges: tuple[ChargePrice, ...]

    @property
    def total(self) -> Decimal:
        """The amount to pay for everything."""
        return sum((part.cost for part in (*self.lines, *self.charges)), Decimal(0))


def price(
    list_values: Mapping[UUID, Decimal], adjustments: Sequence[OrderAdjustment], currency: str
) -> OrderPrice:
    """Return the price of lines with these list values, by their ids, in an order of ``currency``.

    A discount is allocated to the lines in proportion to their prices; what exceeds the lines is
    allocated to the charges, and what exceeds both has no effect. A tax keeps the proportion to its
    base, and is allocated in proportion to the prices after all discounts. Goodwill isn't
    allocated.
    """
    unit = MINOR_UNITS[currency]
    given = [adjustment for adjustment in adjustments if adjustment.kind in CHARGES]
    amounts = [*list_values.values(), *(charge.amount for charge in given)]
    discounts: list[list[DiscountShare]] = [[] for _ in amounts]
    taxes: list[list[TaxLine]] = [[] for _ in amounts]
    nets = [_count(amount, unit) for amount in amounts]
    lines, charges = range(len(list_values)), range(len(list_values), len(amounts))

    for discount in (adjustment for adjustment in adjustments if adjustment.kind == "discount"):
        undivided = _count(discount.amount, unit)
        for parts in (lines, charges):
            shares = _allocate(
                min(undivided, sum(nets[i] for i in parts)), [nets[i] for i in parts]
            )
            undivided -= sum(shares)
            for i, share in zip(parts, shares, strict=True):
                nets[i] -= share
                if share:
                    discounts[i].append(DiscountShare(label=discount.label, amount=share * unit))

    for tax in (adjustment for adjustment in adjustments if adjustment.kind == "tax"):
        parts = range(len(amounts)) if tax.on_charges else lines
        amount, base = _count(tax.amount, unit), _count(tax.base or Decimal(0), unit)
        if base:
            amount = _round(amount * sum(nets[i] for i in parts), base)
        for i, share in zip(parts, _allocate(amount, [nets[i] for i in parts]), strict=True):
            tax_line = TaxLine(
                label=tax.label, rate=tax.rate, base=nets[i] * unit, amount=share * unit
            )
            taxes[i].append(tax_line)

    parts_of = [
        {
            "list_value": amounts[i],
            "discounts": tuple(discounts[i]),
            "net": nets[i] * unit,
            "taxes": tuple(taxes[i]),
        }
        for i in range(len(amounts))
    ]
    return OrderPrice(
        lines=tuple(
            LinePrice(line_id=line_id, **parts_of[i])
            for i, line_id in zip(lines, list_values, strict=True)
        ),
        charges=tuple(
            ChargePrice(kind=charge.kind, label=charge.label, **parts_of[i])
            for i, charge in zip(charges, given, strict=True)
        ),
    )


def with_bases(
    list_value: Decimal, adjustments: Iterable[OrderAdjustment], *, is_new: bool
) -> list[OrderAdjustment]:
    """Return ``adjustments``, their taxes for lines of ``list_value`` in all.

    A new tax is on the charges too if its rate says so; the rate is a fraction or per cent.
    """
    adjustments = list(adjustments)
    discount = _sum(adjustments, {"discount"})
    lines = max(list_value - discount, Decimal(0))
    both = max(list_value + _sum(adjustments, CHARGES) - discount, Decimal(0))
    result = []
    for adjustment in adjustments:
        if adjustment.kind == "tax":
            on_charges = adjustment.on_charges
            if is_new:
                on_charges = _distance(adjustment, both) < _distance(adjustment, lines)
            base = both if on_charges else lines
            adjustment = adjustment.model_copy(update={"base": base, "on_charges": on_charges})
        result.append(adjustment)
    return result


def rest(line: LinePrice, *, credited: int, ordered: int, currency: str) -> LinePrice:
    """Return the price of a line whose ``line`` is the price of ``ordered`` units, of which
    ``credited`` are no longer owed.

    The credit for k of n units is k/n of an amount, rounded once: whatever the portions and their
    order, all credits add up to the amount.
    """
    unit = MINOR_UNITS[currency]

    def remaining(amount: Decimal) -> int:
        units = _count(amount, unit)
        return units - _round(units * credited, ordered)

    list_value, net = remaining(line.list_value), remaining(line.net)
    shares = _allocate(list_value - net, [_count(share.amount, unit) for share in line.discounts])
    return line.model_copy(
        update={
            "list_value": list_value * unit,
            "discounts": tuple(
                DiscountShare(label=share.label, amount=amount * unit)
                for share, amount in zip(line.discounts, shares, strict=True)
            ),
            "net": net * unit,
            "taxes": tuple(
                tax.model_copy(update={"base": net * unit, "amount": remaining(tax.amount) * unit})
                for tax in line.taxes
            ),
        }
    )


def credit(
    line: LinePrice, *, credited: int, units: int, ordered: int, currency: str
) -> tuple[Decimal, LinePrice]:
    """Return the credit for ``units`` more units of a line, and the price of the rest."""
    before = rest(line, credited=credited, ordered=ordered, currency=currency)
    after = rest(line, credited=credited + units, ordered=ordered, currency=currency)
    return before.cost - after.cost, after


def _allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide ``amount`` in proportion to ``weights``, by largest remainder, ties to the first.

    Without any weight the first part gets everything.
    """
    if not weights:
        return []
    total = sum(weights)
    if not total:
        return [amount, *[0] * (len(weights) - 1)]
    shares = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(amount * weights[i] % total))
    for i in by_remainder[: amount - sum(shares)]:
        shares[i] += 1
    return shares


def _round(dividend: int, divisor: int) -> int:
    """Return the quotient of two amounts that aren't negative, rounded half up."""
    return (2 * dividend + divisor) // (2 * divisor)


def _count(amount: Decimal, unit: Decimal) -> int:
    return int(amount / unit)


def _sum(adjustments: Iterable[OrderAdjustment], kinds: Iterable[str]) -> Decimal:
    kinds = frozenset(kinds)
    return sum((item.amount for item in adjustments if item.kind in kinds), Decimal(0))


def _distance(tax: OrderAdjustment, base: Decimal) -> Decimal:
    """Return how far the amount of ``tax`` is from its rate on ``base``; 0 without a rate."""
    if tax.rate is None:
        return Decimal(0)
    return min(abs(tax.amount - base * tax.rate / percent) for percent in (1, 100))
