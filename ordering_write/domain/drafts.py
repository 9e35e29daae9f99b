"""The draft of an order that is to be priced: what is ordered, and the taxes to ask for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

from ordering_write.domain.prices import (
    ChargeKind,
    OrderAdjustment,
    OrderPrice,
    Price,
    Tax,
)
from ordering_write.domain.pricing import PartToPrice, price


@dataclass(frozen=True, slots=True, kw_only=True)
class PartToTax:
    """A line or a charge whose taxes are asked for; ``value`` is its price after all discounts.

    ``part_id`` is the id of the line or the adjustment id of the charge. A charge has its kind as
    tax class.
    """

    part_id: UUID
    kind: Literal["line"] | ChargeKind
    tax_class: str
    value: Decimal
    quantity: int = 1
    product_id: UUID | None = None


# Returns the taxes of lines and charges, by their part_id; None if the taxes are to stay.
AskTaxes = Callable[[Iterable[PartToTax]], Mapping[UUID, Sequence[Tax]] | None]


def keep_taxes(_parts: Iterable[PartToTax]) -> None:
    """Answer that the taxes stay as they were given, in proportion to the prices."""
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """A line of a draft.

    ``taxes`` are those that the client gave; without them the taxes are asked for.
    """

    product_id: UUID
    quantity: int
    list_value: Decimal
    tax_class: str = ""
    taxes: Sequence[Tax] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order to be priced.

    ``was_priced`` is True if an event of the order has prices; ``former_taxes`` are the taxes that
    were asked for then, by part.
    """

    currency: str
    lines: Mapping[UUID, DraftLine]
    adjustments: Sequence[OrderAdjustment]
    was_priced: bool = False
    former_taxes: Mapping[UUID, Sequence[Tax]] = field(default_factory=dict)

    def with_line(self, line_id: UUID, line: DraftLine) -> Self:
        """Return the draft with ``line`` added, or in place of its line ``line_id``."""
        return replace(self, lines={**self.lines, line_id: line})

    def with_adjustments(self, adjustments: Sequence[OrderAdjustment]) -> Self:
        """Return the draft with these adjustments instead of its own."""
        return replace(self, adjustments=adjustments)

    @property
    def parts_to_price(self) -> dict[UUID, PartToPrice]:
        """The lines by their ids, with the taxes that the client gave."""
        return self._parts_with({})

    def price(self, ask_taxes: AskTaxes) -> OrderPrice | None:
        """Return the price, with the taxes of ``ask_taxes`` on parts without given taxes.

        None if the order has no adjustments and no taxes, and never had any. No taxes are asked for
        an order with a tax on the whole order.
        """
        asked_taxes = self._asked_taxes(ask_taxes)
        has_taxes = any(asked_taxes.values()) or any(line.taxes for line in self.lines.values())
        if not (self.was_priced or self.adjustments or has_taxes):
            return None
        return self._price_with(asked_taxes)

    def price_anew(self, ask_taxes: AskTaxes) -> OrderPrice:
        """Return the price as ``price`` does, even if nothing is to be allocated."""
        return self._price_with(self._asked_taxes(ask_taxes))

    def _price_with(self, asked_taxes: Mapping[UUID, Sequence[Tax]]) -> OrderPrice:
        adjustments = [
            item.model_copy(update={"taxes": tuple(asked_taxes.get(item.adjustment_id, ()))})
            if item.is_charge and item.taxes is None and item.adjustment_id
            else item
            for item in self.adjustments
        ]
        return price(self._parts_with(asked_taxes), adjustments, self.currency)

    def _asked_taxes(self, ask_taxes: AskTaxes) -> Mapping[UUID, Sequence[Tax]]:
        if any(item.kind == "tax" for item in self.adjustments):
            return {}
        answer = ask_taxes(self._parts_to_tax())
        return self.former_taxes if answer is None else answer

    def _parts_with(self, asked_taxes: Mapping[UUID, Sequence[Tax]]) -> dict[UUID, PartToPrice]:
        return {
            line_id: PartToPrice(
                line.list_value, asked_taxes.get(line_id, ()) if line.taxes is None else line.taxes
            )
            for line_id, line in self.lines.items()
        }

    def _parts_to_tax(self) -> Iterator[PartToTax]:
        untaxed = price(
            {line_id: PartToPrice(line.list_value) for line_id, line in self.lines.items()},
            [item.model_copy(update={"taxes": None}) for item in self.adjustments],
            self.currency,
        )
        for (line_id, line), line_price in zip(self.lines.items(), untaxed.lines, strict=True):
            yield PartToTax(
                part_id=line_id,
                kind="line",
                tax_class=line.tax_class,
                value=line_price.net,
                quantity=line.quantity,
                product_id=line.product_id,
            )
        charges = (item for item in self.adjustments if item.is_charge)
        for item, charge in zip(charges, untaxed.charges, strict=True):
            if item.adjustment_id:
                yield PartToTax(
                    part_id=item.adjustment_id,
                    kind=charge.kind,
                    tax_class=charge.kind,
                    value=charge.net,
                )


def taxes_as_priced(part: Price) -> list[Tax]:
    """Return the taxes on a part as taxes to price the part with again."""
    return [
        Tax(
            label=tax.label,
            jurisdiction=tax.jurisdiction,
            rate=tax.rate,
            included=tax.included,
            # A rate says the amount for another price; an amount alone follows in proportion.
            amount=tax.amount if tax.rate is None else None,
            base=(part.net if tax.included else tax.base) if tax.rate is None else None,
        )
        for tax in part.taxes
    ]
