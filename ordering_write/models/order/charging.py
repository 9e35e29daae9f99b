"""The prices of an order's lines and charges, and the credits for units that aren't owed."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.pricing import (
    ChargePrice,
    LinePrice,
    OrderAdjustment,
    OrderPrice,
    credit,
    price,
    rest,
    with_bases,
)
from ordering_write.domain.values import quantize
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
    def price_with_line(self, line_id: UUID, list_value: Decimal) -> OrderPrice | None:
        """Return the price of the order with a line of this list value, a new one or another value.

        None if the order has no adjustments, since nothing is allocated then.
        """
        adjustments = self._given_adjustments()
        if not adjustments:
            return None
        return price({**self._list_values(), line_id: list_value}, adjustments, self.currency)

    def price_with_adjustment(self, added: e.OrderAdjustmentAdded) -> OrderPrice:
        """Return the price of the order with one more adjustment."""
        return price(self._list_values(), self._adjustments_with(added), self.currency)

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
            self._rest(prices[line.id], ordered.get(line.id, line.ordered))
            for line in self.lines.values()
            if line.credited
        )
        return owed or None

    def _rest(self, line: LinePrice, ordered: int) -> LinePrice:
        """Return the price of the owed units of a line with ``ordered`` units."""
        credited = self.lines[line.line_id].credited
        return rest(line, credited=credited, ordered=ordered, currency=self.currency)

    # --- Changing prices, for the state machine --------------------------------------------------
    def _add_adjustment(self, event: e.OrderAdjustmentAdded) -> None:
        adjustments = self._adjustments_with(event)
        self.adjustments = [item.model_dump(mode="json") for item in adjustments]
        if event.kind == "goodwill":
            self.total -= min(event.amount.amount, self.total)
        elif event.price is None:
            sign = -1 if event.kind == "discount" else 1
            self.total += sign * event.amount.amount
        else:
            self._assign_prices(event.price)

    def _assign_prices(self, order_price: OrderPrice | None) -> None:
        """Take over the prices that an event says, for the ordered units of all lines."""
        if order_price is None:
            self._keep_taxes()
            return
        for line_price in order_price.lines:
            line = self.lines[line_price.line_id]
            line.price = line_price.model_dump(mode="json", exclude={"line_id"})
            line.line_total = self._rest(line_price, line.ordered).net
            self._changed.add(line.id)
        self.charges = [charge.model_dump(mode="json") for charge in order_price.charges]
        self.total = self._total()

    def _keep_taxes(self) -> None:
        """Keep the taxes of an edited order as they are: earlier releases didn't change them."""
        if self.adjustments:
            adjustments = with_bases(
                self._list_sum(),
                self._given_adjustments(),
                is_new=False,
            )
            self.adjustments = [item.model_dump(mode="json") for item in adjustments]

    def _lower_total(self) -> None:
        """Set the total to the price of what is owed.

        Never to a higher one: an earlier release may have credited units at too high a price.
        """
        self.total = min(self.total, self._total())

    def _total(self) -> Decimal:
        """Return the price of what is owed, less the goodwill, and never below zero."""
        prices = self._line_prices()
        lines = sum(
            (self._rest(prices[line.id], line.ordered).cost for line in self.lines.values()),
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
        return {line.line_id: line for line in self._price_now().lines} | stored

    def _charge_prices(self) -> Iterator[ChargePrice]:
        if self.charges is None:
            yield from self._price_now().charges
        else:
            yield from map(ChargePrice.model_validate, self.charges)

    def _price_now(self) -> OrderPrice:
        return price(self._list_values(), self._given_adjustments(), self.currency)

    def _list_values(self) -> dict[UUID, Decimal]:
        return {
            line.id: quantize(line.unit_price * line.ordered, self.currency)
            for line in self.lines.values()
        }

    def _list_sum(self) -> Decimal:
        return sum(self._list_values().values(), Decimal(0))

    def _given_adjustments(self) -> list[OrderAdjustment]:
        return [OrderAdjustment.model_validate(item) for item in self.adjustments or ()]

    def _adjustments_with(self, event: e.OrderAdjustmentAdded) -> list[OrderAdjustment]:
        added = OrderAdjustment(
            kind=event.kind, label=event.label, amount=event.amount.amount, rate=event.rate
        )
        adjustments = [*self._given_adjustments(), added]
        if event.kind == "goodwill":
            return adjustments
        return with_bases(self._list_sum(), adjustments, is_new=True)
