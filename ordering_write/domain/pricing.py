"""The price of an order: what its lines, charges and taxes cost, and what a credit is.

``price`` prices a whole draft, ``credit`` some units of a priced line. Both are pure, and count in
minor units (cents): shares add up to the amount that they divide, exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from ordering_write.domain.prices import (
    ChargePrice,
    DiscountShare,
    LinePrice,
    OrderAdjustment,
    OrderPrice,
    Price,
    Surcharge,
    Tax,
    TaxLine,
)
from ordering_write.domain.values import MINOR_UNITS

# Rates are in per cent, with four decimals.
_RATE_UNIT = Decimal("0.0001")
_WHOLE = int(100 / _RATE_UNIT)


Share = TypeVar("Share", DiscountShare, Surcharge)


@dataclass(frozen=True, slots=True)
class PartToPrice:
    """The list value of a line or charge, and its own taxes."""

    list_value: Decimal
    taxes: Sequence[Tax] = ()


def price(
    lines: Mapping[UUID, PartToPrice], adjustments: Sequence[OrderAdjustment], currency: str
) -> OrderPrice:
    """Return the price of ``lines``, by their ids, in an order of ``currency``.

    A discount of a part lowers the price of the part, at most to zero. Then a discount of the order
    is allocated to the lines in proportion to their prices; what exceeds the lines is allocated to
    the charges, and what exceeds both has no effect. Adjustments with shares and the charges on
    lines come last: they change no other share. A tax of the order keeps the proportion to its
    base, and is allocated in proportion to the prices without taxes. Goodwill isn't allocated.
    """
    unit = MINOR_UNITS[currency]
    line_parts, charge_parts = _discounted(lines, adjustments, unit)
    for tax in (item for item in adjustments if item.kind == "tax"):
        parts = [*line_parts, *charge_parts] if tax.on_charges else line_parts
        weights = [part.taxable for part in parts]
        amount = _in_proportion(tax.amount, tax.base, sum(weights), unit)
        for part, share in zip(parts, allocate(amount, weights), strict=True):
            part.tax_lines.append((tax, share))
    charges = [item for item in adjustments if item.is_charge]
    return OrderPrice(
        lines=tuple(
            LinePrice(line_id=line_id, **part.price(unit))
            for line_id, part in zip(lines, line_parts, strict=True)
        ),
        charges=tuple(
            ChargePrice(kind=charge.kind, label=charge.label, **part.price(unit))
            for charge, part in zip(charges, charge_parts, strict=True)
        ),
    )


def with_bases(
    lines: Mapping[UUID, PartToPrice],
    adjustments: Sequence[OrderAdjustment],
    currency: str,
    *,
    is_new: bool,
) -> list[OrderAdjustment]:
    """Return ``adjustments``, with the price that each tax of the order is on as its base.

    A new tax is on the charges too if its rate says so; the rate is a fraction or per cent.
    """
    if not any(item.kind == "tax" for item in adjustments):
        return list(adjustments)
    unit = MINOR_UNITS[currency]
    line_parts, charge_parts = _discounted(lines, adjustments, unit)
    on_lines = sum(part.taxable for part in line_parts) * unit
    on_all = on_lines + sum(part.taxable for part in charge_parts) * unit
    result = []
    for item in adjustments:
        if item.kind == "tax":
            on_charges = item.on_charges
            if is_new:
                on_charges = _distance(item, on_all) < _distance(item, on_lines)
            base = on_all if on_charges else on_lines
            item = item.model_copy(update={"base": base, "on_charges": on_charges})
        result.append(item)
    return result


def own_taxes_with_bases(taxes: Iterable[Tax], part: Price) -> tuple[Tax, ...]:
    """Return the own ``taxes`` of a part, amounts without a base given for its price ``part``."""
    return tuple(
        tax.model_copy(update={"base": part.net if tax.included else part.taxable})
        if tax.amount is not None and tax.base is None
        else tax
        for tax in taxes
    )


@dataclass(slots=True)
class _Part:
    """A line or a charge that is being priced, in minor units."""

    list_value: int
    net: int
    included: int = 0
    discounts: list[tuple[str, int]] = field(default_factory=list)
    surcharges: list[tuple[str, int]] = field(default_factory=list)
    tax_lines: list[tuple[Tax | OrderAdjustment, int]] = field(default_factory=list)

    @property
    def taxable(self) -> int:
        """The price without any tax."""
        return self.net - self.included

    def take_off(self, label: str, amount: int) -> None:
        """Subtract ``amount`` from the price as a discount."""
        self.net -= amount
        if amount:
            self.discounts.append((label, amount))

    def change(self, item: OrderAdjustment, amount: int) -> None:
        """Subtract a discount, at most the price, or add a charge."""
        if item.kind == "discount":
            self.take_off(item.label, min(amount, self.net))
        else:
            self.net += amount
            self.surcharges.append((item.label, amount))

    def add_taxes(self, taxes: Sequence[Tax], unit: Decimal) -> None:
        """Add the own taxes of the part.

        The included ones come first, because the added ones are on the price without them.
        """
        included = [tax for tax in taxes if tax.included]
        rates = sum(_rate(tax) for tax in included if tax.amount is None)
        with_rates = self.net
        # Given amounts come first: the rates are on the rest of the price.
        for tax in sorted(included, key=lambda tax: tax.amount is None):
            if tax.amount is None:
                amount = _round(with_rates * _rate(tax), _WHOLE + rates)
            else:
                amount = _in_proportion(tax.amount, tax.base, self.net, unit)
                with_rates = max(with_rates - amount, 0)
            amount = min(amount, self.taxable)
            self.included += amount
            self.tax_lines.append((tax, amount))
        for tax in taxes:
            if not tax.included:
                if tax.amount is None:
                    amount = _round(self.taxable * _rate(tax), _WHOLE)
                else:
                    amount = _in_proportion(tax.amount, tax.base, self.taxable, unit)
                self.tax_lines.append((tax, amount))

    def price(self, unit: Decimal) -> dict[str, Any]:
        """Return the fields of Price."""
        return {
            "list_value": self.list_value * unit,
            "discounts": tuple(
                DiscountShare(label=label, amount=amount * unit) for label, amount in self.discounts
            ),
            "surcharges": tuple(
                Surcharge(label=label, amount=amount * unit) for label, amount in self.surcharges
            )
            or None,
            "net": self.net * unit,
            "taxes": tuple(
                TaxLine(
                    label=tax.label,
                    jurisdiction=tax.jurisdiction if isinstance(tax, Tax) else None,
                    rate=tax.rate,
                    included=isinstance(tax, Tax) and tax.included,
                    base=self.taxable * unit,
                    amount=amount * unit,
                )
                for tax, amount in self.tax_lines
            ),
        }


def _discounted(
    lines: Mapping[UUID, PartToPrice], adjustments: Sequence[OrderAdjustment], unit: Decimal
) -> tuple[list[_Part], list[_Part]]:
    """Return the lines and the charges after all discounts, with their own taxes."""
    charges = [item for item in adjustments if item.is_charge]
    discounts = [item for item in adjustments if item.kind == "discount" and item.shares is None]
    inputs = [*lines.values(), *(PartToPrice(item.amount, item.taxes or ()) for item in charges)]
    parts = [
        _Part(list_value=value, net=value)
        for value in (count(part.list_value, unit) for part in inputs)
    ]
    line_parts, charge_parts = parts[: len(lines)], parts[len(lines) :]
    parts_by_id = dict(zip((*lines, *(item.adjustment_id for item in charges)), parts, strict=True))
    for discount in discounts:
        if discount.part_id is not None:
            part = parts_by_id[discount.part_id]
            part.take_off(discount.label, min(count(discount.amount, unit), part.net))
    for discount in discounts:
        undivided = count(discount.amount, unit) if discount.part_id is None else 0
        for group in (line_parts, charge_parts):
            nets = [part.net for part in group]
            shares = allocate(min(undivided, sum(nets)), nets)
            undivided -= sum(shares)
            for part, share in zip(group, shares, strict=True):
                part.take_off(discount.label, share)
    for item in adjustments:
        if item.is_surcharge or item.shares is not None:
            for part_id, amount in item.amounts_by_part.items():
                parts_by_id[part_id].change(item, count(amount, unit))
    for part, part_to_price in zip(parts, inputs, strict=True):
        part.add_taxes(part_to_price.taxes, unit)
    return line_parts, charge_parts


def rest(line: LinePrice, *, credited: int, ordered: int, currency: str) -> LinePrice:
    """Return the price of a line whose ``line`` is the price of ``ordered`` units, of which
    ``credited`` are no longer owed.

    The credit for k of n units is k/n of an amount, rounded once: whatever the portions and their
    order, all credits add up to the amount.
    """
    if not credited:
        return line
    unit = MINOR_UNITS[currency]

    def remaining(amount: Decimal) -> int:
        return owed_part(count(amount, unit), credited=credited, ordered=ordered)

    list_value, net = remaining(line.list_value), remaining(line.net)
    # Each sum is rounded, and none may fall below zero or no longer add up.
    surcharge = max(net + remaining(line.discount) - list_value, 0) if line.surcharges else 0

    def divided(shares: Sequence[Share], total: int) -> tuple[Share, ...]:
        amounts = allocate(total, [count(share.amount, unit) for share in shares])
        return tuple(
            share.model_copy(update={"amount": amount * unit})
            for share, amount in zip(shares, amounts, strict=True)
        )

    amounts, taxable = [], net
    for tax in line.taxes:
        amount = remaining(tax.amount)
        if tax.included:
            amount = min(amount, taxable)
            taxable -= amount
        amounts.append(amount * unit)
    return line.model_copy(
        update={
            "list_value": list_value * unit,
            "discounts": divided(line.discounts, list_value + surcharge - net),
            "surcharges": divided(line.surcharges or (), surcharge) or None,
            "net": net * unit,
            "taxes": tuple(
                tax.model_copy(update={"base": taxable * unit, "amount": amount})
                for tax, amount in zip(line.taxes, amounts, strict=True)
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


def owed_part(amount: int, *, credited: int, ordered: int) -> int:
    """Return the part of ``amount`` that is for the units not ``credited``, rounded once."""
    return amount - _round(amount * credited, ordered)


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
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


def _in_proportion(amount: Decimal, base: Decimal | None, value: int, unit: Decimal) -> int:
    """Return ``amount``, which was given for the price ``base``, for the price ``value``."""
    units, base_units = count(amount, unit), count(base or Decimal(0), unit)
    return _round(units * value, base_units) if base_units else units


def _rate(tax: Tax) -> int:
    """Return the rate of a tax in units of _RATE_UNIT."""
    return count(tax.rate or Decimal(0), _RATE_UNIT)


def _round(dividend: int, divisor: int) -> int:
    """Return the quotient of two amounts that aren't negative, rounded half up."""
    return (2 * dividend + divisor) // (2 * divisor)


def count(amount: Decimal, unit: Decimal) -> int:
    """Return how many times ``amount`` contains ``unit``."""
    return int(amount / unit)


def _distance(tax: OrderAdjustment, base: Decimal) -> Decimal:
    """Return how far the amount of ``tax`` is from its rate on ``base``; 0 without a rate."""
    if tax.rate is None:
        return Decimal(0)
    return min(abs(tax.amount - base * tax.rate / percent) for percent in (1, 100))
