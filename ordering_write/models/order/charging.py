"""The prices of an order's lines and charges, and the credits for units that aren't owed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.drafts import Draft, DraftLine, taxes_as_priced
from ordering_write.domain.errors import AdjustmentNotFoundError
from ordering_write.domain.prices import (
    ChargePrice,
    LinePrice,
    OrderAdjustment,
    OrderPrice,
    Tax,
    adjustment_id,
    part_discount,
)
from ordering_write.domain.pricing import (
    credit,
    own_taxes_with_bases,
    price,
    rest,
    with_bases,
)
from ordering_write.domain.values import quantize
from ordering_write.models.order.parts import OrderItem
from ordering_write.models.order.state import OrderState


class Charging(OrderState):
    """Prices the order, and credits units.

    The shares of discounts and taxes are those that the events say. Earlier releases stored none:
    such an order is priced by the same function whenever its shares are asked for.
    """

    class Meta(OrderState.Meta):
        abstract = True

    @property
    def goodwill(self) -> Decimal:
        """The sum of the goodwill that was granted."""
        goodwill = (item.amount for item in self._given_adjustments() if item.kind == "goodwill")
        return sum(goodwill, Decimal(0))

    # --- Asking for prices -----------------------------------------------------------------------
    def draft(self) -> Draft:
        """Return the draft of the order as it is."""
        adjustments = self._given_adjustments()
        return Draft(
            currency=self.currency,
            lines={line.id: _draft_line(line, self.currency) for line in self.lines.values()},
            adjustments=adjustments,
            was_priced=self.charges is not None,
            former_taxes=self._former_taxes(adjustments),
        )

    def draft_with_item(self, added: e.OrderItemAdded) -> Draft:
        """Return the draft of the order with one more line."""
        line = DraftLine(
            product_id=added.product_id,
            quantity=added.quantity,
            list_value=added.line_total.amount,
            tax_class=added.tax_class or "",
            taxes=added.taxes,
        )
        draft = self.draft()
        return draft.with_line(added.line_id, line).with_adjustments(
            [*draft.adjustments, *line_discounts(added)]
        )

    def draft_with_adjustment(self, added: e.OrderAdjustmentAdded) -> Draft:
        """Return the draft of the order with one more adjustment."""
        return self.draft().with_adjustments(self._adjustments_with(added))

    def draft_without_adjustment(self, removed_id: UUID) -> Draft:
        """Return the draft of the order without an adjustment and the discounts on it."""
        return self.draft().with_adjustments(self._adjustments_without(removed_id))

    @property
    def adjustments_by_id(self) -> dict[UUID, OrderAdjustment]:
        """The adjustments as they were given, by their ids."""
        return {
            item.adjustment_id: item for item in self._given_adjustments() if item.adjustment_id
        }

    def adjustment(self, adjustment_id: UUID) -> OrderAdjustment:
        """Return the adjustment of this id. Raises AdjustmentNotFoundError."""
        if adjustment_id not in self.adjustments_by_id:
            raise AdjustmentNotFoundError
        return self.adjustments_by_id[adjustment_id]

    def charges_by_id(self) -> dict[UUID, ChargePrice]:
        """Return the prices of the charges by their adjustment ids."""
        ids = (item.adjustment_id for item in self._given_adjustments() if item.is_charge)
        return {
            charge_id: charge
            for charge_id, charge in zip(ids, self._charge_prices(), strict=True)
            if charge_id is not None
        }

    @property
    def present_price(self) -> OrderPrice:
        """The price of all ordered units and of the charges, as it is now."""
        return OrderPrice(
            lines=tuple(self._line_prices().values()), charges=tuple(self._charge_prices())
        )

    def credited(
        self, units: Mapping[UUID, int], *, still_owed: bool = False
    ) -> list[dict[str, Any]]:
        """Return the fields of CreditedUnits for ``units`` no longer owed, by their lines.

        If they are ``still_owed``, the credit is zero.
        """
        prices = self._line_prices()
        items = []
        for line_id, quantity in units.items():
            line = self.lines[line_id]
            amount, remainder = credit(
                prices[line_id],
                credited=line.credited,
                units=0 if still_owed else quantity,
                ordered=line.ordered,
                currency=self.currency,
            )
            items.append(
                {
                    "line_id": line.id,
                    "product_id": line.product_id,
                    "quantity": quantity,
                    "amount": self.money(amount),
                    "line_total": self.money(remainder.net),
                    "price": remainder,
                }
            )
        return items

    def owed_prices(
        self, order_price: OrderPrice, ordered: Mapping[UUID, int]
    ) -> tuple[LinePrice, ...] | None:
        """Return the prices of the owed units of the lines of which some units aren't owed.

        ``order_price`` is that of all ordered units; ``ordered`` replaces the ordered units of
        lines, by their ids. None if there is no such line.
        """
        prices = {line.line_id: line for line in order_price.lines}
        owed = tuple(
            self.rest(prices[line.id], ordered.get(line.id, line.ordered))
            for line in self.lines.values()
            if line.credited
        )
        return owed or None

    def rest(self, line: LinePrice, ordered: int) -> LinePrice:
        """Return the price of the owed units of a line with ``ordered`` units."""
        credited = self.lines[line.line_id].credited
        return rest(line, credited=credited, ordered=ordered, currency=self.currency)

    # --- Changing prices, for the state machine --------------------------------------------------
    def _add_line(self, event: e.OrderItemAdded) -> None:
        line = OrderItem.of(event, number=len(self.lines) + 1)
        self.lines[line.id] = line
        self._changed.add(line.id)
        self.total += line.line_total
        for discount in line_discounts(event):
            self.total -= discount.amount
            self._set_adjustments([*self._given_adjustments(), discount])
        self._assign_prices(event.price)

    def _add_adjustment(self, event: e.OrderAdjustmentAdded) -> None:
        self._set_adjustments(self._adjustments_with(event))
        if event.kind == "goodwill":
            self.total -= min(event.amount.amount, self.total)
        elif event.price is None:
            sign = -1 if event.kind == "discount" else 1
            discount = event.discount.amount if event.discount else Decimal(0)
            self.total += sign * (event.amount.amount - discount)
        else:
            self._assign_prices(event.price)

    def _remove_adjustment(self, event: e.OrderAdjustmentRemoved) -> None:
        self._set_adjustments(self._adjustments_without(event.adjustment_id))
        self._assign_prices(event.price)

    def _change_unit_price(self, event: e.OrderItemPriceChanged) -> None:
        self.lines[event.line_id].unit_price = event.unit_price.amount
        self._assign_prices(event.price)

    def _assign_prices(self, order_price: OrderPrice | None) -> None:
        """Set the prices of the ordered units of all lines to those of an event."""
        if order_price is None:
            self._keep_taxes()
            return
        for line_price in order_price.lines:
            line = self.lines[line_price.line_id]
            line.price = line_price.model_dump(mode="json", exclude={"line_id"})
            line.line_total = self.rest(line_price, line.ordered).net
            if line.taxes:
                own_taxes = own_taxes_with_bases(_taxes_of(line) or (), line_price)
                line.taxes = [tax.model_dump(mode="json") for tax in own_taxes]
            self._changed.add(line.id)
        self.charges = [charge.model_dump(mode="json") for charge in order_price.charges]
        self._keep_bases_of_charges(order_price)
        self.total = self._total()

    def _keep_bases_of_charges(self, order_price: OrderPrice) -> None:
        """Store the price of each charge with the charge's own taxes whose amounts were given."""
        adjustments = self._given_adjustments()
        if not any(item.taxes for item in adjustments):
            return
        prices = iter(order_price.charges)
        self._set_adjustments(
            item.model_copy(update={"taxes": own_taxes_with_bases(item.taxes, charge)})
            if item.is_charge and (charge := next(prices)) and item.taxes
            else item
            for item in adjustments
        )

    def _keep_taxes(self) -> None:
        """Keep the taxes of an edited order as they are: earlier releases didn't change them."""
        if self.adjustments:
            self._set_adjustments(
                with_bases(
                    self.draft().parts_to_price,
                    self._given_adjustments(),
                    self.currency,
                    is_new=False,
                )
            )

    def _set_adjustments(self, adjustments: Iterable[OrderAdjustment]) -> None:
        self.adjustments = [item.model_dump(mode="json", exclude_none=True) for item in adjustments]

    def _lower_total(self) -> None:
        """Set the total to the price of what is owed.

        Never to a higher one: an earlier release may have credited units at too high a price.
        """
        self.total = min(self.total, self._total())

    def _total(self) -> Decimal:
        """Return the price of what is owed, less the goodwill, and never below zero."""
        prices = self._line_prices()
        lines = sum(
            (self.rest(prices[line.id], line.ordered).cost for line in self.lines.values()),
            Decimal(0),
        )
        charges = sum((charge.cost for charge in self._charge_prices()), Decimal(0))
        return max(lines + charges - self.goodwill, Decimal(0))

    # --- The prices of the ordered units ---------------------------------------------------------
    def _line_prices(self) -> dict[UUID, LinePrice]:
        stored = {
            line.id: LinePrice(line_id=line.id, **line.price)
            for line in self.lines.values()
            if line.price is not None
        }
        if len(stored) == len(self.lines):
            return stored
        return {line.line_id: line for line in self._allocated_price().lines} | stored

    def _charge_prices(self) -> Iterator[ChargePrice]:
        if self.charges is None:
            yield from self._allocated_price().charges
        else:
            yield from map(ChargePrice.model_validate, self.charges)

    def _allocated_price(self) -> OrderPrice:
        draft = self.draft()
        return price(draft.parts_to_price, draft.adjustments, self.currency)

    def _former_taxes(self, adjustments: Sequence[OrderAdjustment]) -> dict[UUID, list[Tax]]:
        """Return the taxes that were asked for, by line or charge."""
        if any(item.kind == "tax" for item in adjustments):
            return {}
        taxes = {
            line.id: taxes_as_priced(LinePrice(line_id=line.id, **line.price))
            for line in self.lines.values()
            if line.price is not None and line.price["taxes"]
        }
        charges = (item for item in adjustments if item.is_charge)
        for item, stored in zip(charges, self.charges or (), strict=False):
            if item.adjustment_id and stored["taxes"]:
                taxes[item.adjustment_id] = taxes_as_priced(ChargePrice.model_validate(stored))
        return taxes

    def _given_adjustments(self) -> list[OrderAdjustment]:
        return [
            OrderAdjustment.model_validate(
                {"adjustment_id": adjustment_id(self.id, number), **item}
            )
            for number, item in enumerate(self.adjustments or ())
        ]

    def _adjustments_without(self, removed_id: UUID) -> list[OrderAdjustment]:
        """Return the adjustments without the removed one, its discounts and its shares."""
        return [
            item.without_share(removed_id)
            for item in self._given_adjustments()
            if removed_id not in (item.adjustment_id, item.part_id)
        ]

    def _adjustments_with(self, event: e.OrderAdjustmentAdded) -> list[OrderAdjustment]:
        adjustments = self._given_adjustments()
        added_id = event.adjustment_id or adjustment_id(self.id, len(adjustments))
        adjustments.append(
            OrderAdjustment(
                kind=event.kind,
                label=event.label,
                amount=event.amount.amount,
                rate=event.rate,
                adjustment_id=added_id,
                part_id=event.part_id,
                shares=event.shares,
                taxes=event.taxes,
            )
        )
        if event.discount:
            adjustments.append(part_discount(added_id, event.discount.amount))
        is_taxed = any(item.kind == "tax" for item in adjustments)
        if event.reason is not None or not is_taxed:
            # Only adjustments after the placement have a reason: the taxes were given before.
            return adjustments
        lines = self.draft().parts_to_price
        return with_bases(lines, adjustments, self.currency, is_new=True)


def line_discounts(added: e.OrderItemAdded) -> list[OrderAdjustment]:
    """Return the discount that a line was added with, as an adjustment of the order."""
    return [part_discount(added.line_id, added.discount.amount)] if added.discount else []


def _draft_line(line: OrderItem, currency: str) -> DraftLine:
    return DraftLine(
        product_id=line.product_id,
        quantity=line.ordered,
        list_value=quantize(line.unit_price * line.ordered, currency),
        tax_class=line.tax_class,
        taxes=_taxes_of(line),
    )


def _taxes_of(line: OrderItem) -> list[Tax] | None:
    """Return the taxes that the client gave for a line."""
    return None if line.taxes is None else [Tax.model_validate(tax) for tax in line.taxes]
