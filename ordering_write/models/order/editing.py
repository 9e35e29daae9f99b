"""Moves that change what was ordered and where it goes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.drafts import AskTaxes, keep_taxes
from ordering_write.domain.errors import (
    AmountTooLargeError,
    LabelledError,
    NotEditableError,
    OrderAlreadyShippedError,
    QuantityExceedsOpenError,
    QuantityTooSmallError,
    TooManyLinesError,
)
from ordering_write.domain.events import LIVE, OrderStatus
from ordering_write.domain.values import TOO_LARGE, quantize
from ordering_write.models.order.charging import Charging

MAX_LINES = 200


class Editing(Charging):
    """Moves that add, change and cancel lines, and that change the shipping address."""

    class Meta(Charging.Meta):
        abstract = True

    def may_edit(self) -> None:
        if self.status not in (OrderStatus.PENDING, OrderStatus.CONFIRMED):
            raise NotEditableError(
                f"Order {self.order_number} is {self.status_words}; its lines can be changed until "
                "picking starts.",
                status=self.status,
                allowed=self.allowed_moves(),
            )

    def add_item(self, added: e.OrderItemAdded, *, ask_taxes: AskTaxes = keep_taxes) -> None:
        """Add a line."""
        self.may_edit()
        if len(self.lines) >= MAX_LINES:
            raise TooManyLinesError
        list_value = added.line_total.amount
        order_price = self.draft_with_item(added).price(ask_taxes)
        total = order_price.total if order_price else self.total + list_value
        refuse_too_large(max(list_value, total + self.paid_out), "#/unit_price")
        owed = self.owed_prices(order_price, {}) if order_price else None
        self._raise_event(added.model_copy(update={"price": order_price, "owed": owed}))

    def change_quantity(
        self,
        line_id: UUID,
        quantity: int,
        *,
        ask_taxes: AskTaxes = keep_taxes,
        now: datetime,
    ) -> None:
        """Set the units ordered of a line to ``quantity``, its cancelled units included."""
        self.may_edit()
        line = self.line(line_id, "#/line_id")
        if quantity == line.ordered:
            return
        if quantity <= line.cancelled:
            raise QuantityTooSmallError(
                f"{line.cancelled} units of this line were cancelled; order more than that.",
                pointer="#/new_quantity",
            )
        list_value = quantize(line.unit_price * quantity, self.currency)
        draft = self.draft()
        changed = replace(draft.lines[line.id], quantity=quantity, list_value=list_value)
        order_price = draft.with_line(line.id, changed).price(ask_taxes)
        if order_price is None:
            line_total = quantize(line.unit_price * (quantity - line.credited), self.currency)
            total, owed = self.total + line_total - line.line_total, None
        else:
            owed = self.owed_prices(order_price, {line.id: quantity})
            prices = {part.line_id: part for part in (*order_price.lines, *(owed or ()))}
            line_total, total = prices[line.id].net, order_price.total
        refuse_too_large(max(list_value, total + self.paid_out), "#/new_quantity")
        self._record(
            e.OrderItemQuantityChanged,
            now=now,
            line_id=line.id,
            product_id=line.product_id,
            from_quantity=line.ordered,
            to_quantity=quantity,
            from_line_total=self.money(line.line_total),
            line_total=self.money(line_total),
            price=order_price,
            owed=owed,
        )

    def may_cancel_items(self) -> None:
        if self.status not in LIVE:
            raise self._invalid_transition(
                f"Order {self.order_number} is {self.status_words}; nothing is left to cancel."
            )
        if not any(line.open for line in self.lines.values()):
            raise QuantityExceedsOpenError(
                f"No unit of order {self.order_number} is left to cancel."
            )

    def cancel_items(self, items: Sequence[LineQuantity], reason: str, *, now: datetime) -> None:
        """Cancel units that aren't packed. Cancelling the last unit cancels the order."""
        self.may_cancel_items()
        self._record(
            e.OrderItemsCancelled,
            now=now,
            reason=reason,
            items=self.credited(self._open_units(items)),
        )

    def may_change_shipping_address(self) -> None:
        if any(line.shipped for line in self.lines.values()):
            raise OrderAlreadyShippedError(
                f"Order {self.order_number} has left; its address can't be changed.",
                status=self.status,
                allowed=self.allowed_moves(),
            )
        if self.status not in LIVE:
            raise self._invalid_transition(
                f"Order {self.order_number} is {self.status_words}; its address can't be changed."
            )
        for shipment in self.shipments.values():
            if shipment.is_labelled:
                raise LabelledError(
                    f"A packed parcel of order {self.order_number} has the label "
                    f"{shipment.tracking_number or shipment.tracking_url} with this address; void "
                    f"the shipment {shipment.id} first, and pack it again."
                )

    def change_shipping_address(
        self,
        to: e.PostalAddress,
        *,
        before: e.PostalAddress | None,
        ask_taxes: AskTaxes = keep_taxes,
        now: datetime,
    ) -> None:
        """Send the order to ``to`` instead of ``before``; the same address changes nothing.

        The order is priced anew if its taxes are others there.
        """
        self.may_change_shipping_address()
        if to == before:
            return
        order_price, owed = self.draft().price(ask_taxes), None
        if order_price == self.present_price:
            order_price = None
        if order_price:
            owed = self.owed_prices(order_price, {})
            refuse_too_large(order_price.total, "#/shipping_address")
        self._record(
            e.ShippingAddressChanged,
            now=now,
            from_address=before,
            to_address=to,
            price=order_price,
            owed=owed,
        )


def refuse_too_large(amount: Decimal, pointer: str) -> None:
    """Raise AmountTooLargeError if an order or a line can't cost ``amount``."""
    if amount >= TOO_LARGE:
        raise AmountTooLargeError(f"The order can't cost {TOO_LARGE} or more.", pointer=pointer)
