"""Moves that change the price of an order after it was placed."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.drafts import AskTaxes, Draft, keep_taxes
from ordering_write.domain.errors import (
    AdjustmentNotFoundError,
    ExceedsTotalError,
    PriceRiseError,
    TooManyAdjustmentsError,
)
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.prices import LinePrice, OrderPrice
from ordering_write.domain.shares import PartlyOwed, discount_shares, surcharge_share
from ordering_write.domain.values import quantize
from ordering_write.models.order.charging import Charging
from ordering_write.models.order.editing import refuse_too_large
from ordering_write.models.order.parts import OrderItem

# Every event about the price says the shares of all adjustments.
MAX_ADJUSTMENTS = 100


class Adjusting(Charging):
    """Moves that add and remove discounts and charges, and that change unit prices.

    The price of a unit that has shipped can fall, and never rise. Payments and refunds stay what
    they are: the balance follows the total.
    """

    class Meta(Charging.Meta):
        abstract = True

    def may_adjust(self) -> None:
        if self.status == OrderStatus.CANCELLED:
            raise self._invalid_transition(
                f"Order {self.order_number} is cancelled; nothing is charged for it."
            )

    # --- Discounts and charges -------------------------------------------------------------------
    def adjust(self, added: e.OrderAdjustmentAdded, *, ask_taxes: AskTaxes = keep_taxes) -> None:
        """Add a discount or a charge; with ``part_id``, the id of a line, on this line."""
        self.may_adjust()
        if len(self.adjustments or ()) >= MAX_ADJUSTMENTS:
            raise TooManyAdjustmentsError
        line = self._owed_line(added.part_id) if added.part_id else None
        if added.kind == "discount":
            self._refuse_discount_above(added.amount.amount, line)
        elif line is not None:
            _refuse_shipped(line)
        added = added.model_copy(update={"shares": self._shares(added, line)})
        order_price, owed = self._changed_price(
            self.draft_with_adjustment(added), ask_taxes, "#/amount"
        )
        self._raise_event(added.model_copy(update={"price": order_price, "owed": owed}))

    def _refuse_discount_above(self, amount: Decimal, line: OrderItem | None) -> None:
        """Raise ExceedsTotalError if ``line``, or the order, costs less than ``amount``."""
        lines, charges = self._parts()
        parts = [lines[line.id]] if line else [*lines.values(), *charges.values()]
        price = sum((part.owed_net(self.currency) for part in parts), Decimal(0))
        if amount > (most := min(price, self.due)):
            raise ExceedsTotalError(
                f"{amount} {self.currency} were to be taken off, "
                f"{line.sku if line else 'the order'} costs {self.money(most).amount}."
            )

    def _shares(
        self, added: e.OrderAdjustmentAdded, line: OrderItem | None
    ) -> dict[UUID, Decimal] | None:
        """Return the shares of an adjustment; None as long as all units are owed and no line has a
        charge, which discounts without shares aren't on."""
        lines, charges = self._parts()
        has_surcharges = any(item.is_surcharge for item in self.adjustments_by_id.values())
        if not has_surcharges and not any(part.credited for part in lines.values()):
            return None
        amount = added.amount.amount
        if added.kind == "discount":
            if line is not None:
                lines, charges = {line.id: lines[line.id]}, {}
            return discount_shares(amount, lines, charges, self.currency)
        if line is not None:
            return {line.id: surcharge_share(amount, lines[line.id], self.currency)}
        return None

    def _parts(self) -> tuple[dict[UUID, PartlyOwed], dict[UUID, PartlyOwed]]:
        """Return the lines and the charges, by their ids."""
        prices = {price.line_id: price for price in self.present_price.lines}
        lines = {
            line.id: PartlyOwed(prices[line.id].net, line.ordered, line.credited)
            for line in self.lines.values()
        }
        charges = {
            charge_id: PartlyOwed(charge.net) for charge_id, charge in self.charges_by_id().items()
        }
        return lines, charges

    def may_remove_adjustment(self) -> None:
        self.may_adjust()
        if not self.adjustments:
            raise AdjustmentNotFoundError(f"Order {self.order_number} has no adjustment.")

    def remove_adjustment(
        self, adjustment_id: UUID, *, ask_taxes: AskTaxes = keep_taxes, now: datetime
    ) -> None:
        """Remove an adjustment, with the discounts on it."""
        self.may_remove_adjustment()
        removed = self.adjustment(adjustment_id)
        if removed.kind == "goodwill":
            # Goodwill isn't a part of the price of a line, and lowers that of all.
            for line in self.lines.values():
                _refuse_shipped(line)
        order_price, owed = self._changed_price(
            self.draft_without_adjustment(adjustment_id), ask_taxes, "#/adjustment_id"
        )
        self._record(
            e.OrderAdjustmentRemoved,
            now=now,
            adjustment_id=adjustment_id,
            kind=removed.kind,
            label=removed.label,
            amount=self.money(removed.amount),
            price=order_price,
            owed=owed,
        )

    # --- Unit prices -----------------------------------------------------------------------------
    def change_price(
        self,
        line_id: UUID,
        unit_price: Decimal,
        reason: str,
        *,
        ask_taxes: AskTaxes = keep_taxes,
        now: datetime,
    ) -> None:
        """Change the unit price of a line; the same price changes nothing."""
        self.may_adjust()
        line = self._owed_line(line_id)
        if unit_price == line.unit_price:
            return
        if unit_price > line.unit_price:
            _refuse_shipped(line)
        draft = self.draft()
        list_value = quantize(unit_price * line.ordered, self.currency)
        changed = replace(draft.lines[line.id], list_value=list_value)
        order_price, owed = self._changed_price(
            draft.with_line(line.id, changed), ask_taxes, "#/unit_price"
        )
        refuse_too_large(list_value, "#/unit_price")
        prices = {price.line_id: price for price in (*order_price.lines, *(owed or ()))}
        self._record(
            e.OrderItemPriceChanged,
            now=now,
            line_id=line.id,
            product_id=line.product_id,
            owed_units=line.owed,
            from_unit_price=self.money(line.unit_price),
            unit_price=self.money(unit_price),
            from_line_total=self.money(line.line_total),
            line_total=self.money(prices[line.id].net),
            reason=reason,
            price=order_price,
            owed=owed,
        )

    # --- Shared by these moves -------------------------------------------------------------------
    def _owed_line(self, line_id: UUID) -> OrderItem:
        """Return the line; raise ExceedsTotalError if none of its units is owed."""
        line = self.line(line_id, "#/line_id")
        if not line.owed:
            raise ExceedsTotalError(f"Nothing is charged for {line.sku} any more.")
        return line

    def _changed_price(
        self, draft: Draft, ask_taxes: AskTaxes, pointer: str
    ) -> tuple[OrderPrice, tuple[LinePrice, ...] | None]:
        """Return the price of ``draft``, and the prices of its lines that are partly owed.

        Raises PriceRiseError if a unit that has shipped would cost more, before added taxes.
        """
        order_price = draft.price_anew(ask_taxes)
        present = {price.line_id: price for price in self.present_price.lines}
        for price in order_price.lines:
            line = self.lines[price.line_id]
            before = self.rest(present[line.id], line.ordered)
            after = self.rest(price, line.ordered)
            if line.shipped and after.net > before.net:
                raise PriceRiseError(
                    f"Units of {line.sku} have shipped. Their price can't rise from {before.net} "
                    f"to {after.net}."
                )
        refuse_too_large(order_price.total + self.paid_out, pointer)
        return order_price, self.owed_prices(order_price, {})


def _refuse_shipped(line: OrderItem) -> None:
    """Raise PriceRiseError if a unit of ``line`` has shipped."""
    if line.shipped:
        raise PriceRiseError(f"Units of {line.sku} have shipped. Their price can't rise.")
