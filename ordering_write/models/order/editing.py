"""Changing what was ordered and where it goes: the methods and what their events do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.errors import (
    AmountTooLargeError,
    NotEditableError,
    OrderAlreadyShippedError,
    QuantityExceedsOpenError,
    QuantityTooSmallError,
    TooManyLinesError,
)
from ordering_write.domain.events import LIVE, OrderStatus
from ordering_write.domain.values import TOO_LARGE, quantize
from ordering_write.models.order.moving import Moving
from ordering_write.models.order.parts import OrderItem

MAX_LINES = 200


class Editing(Moving):
    """Lines are added, changed and cancelled; the parcel goes elsewhere."""

    class Meta(Moving.Meta):
        abstract = True

    def add_item(self, added: e.OrderItemAdded) -> None:
        """Add a line."""
        self.may_edit()
        if len(self.lines) >= MAX_LINES:
            raise TooManyLinesError
        if self.total + added.line_total.amount >= TOO_LARGE:
            raise AmountTooLargeError(
                f"The order can't cost {TOO_LARGE} or more.", pointer="#/unit_price"
            )
        self._raise_event(added)

    def change_quantity(self, line_id: UUID, quantity: int, *, now: datetime) -> None:
        """Let a line ask for ``quantity`` units, those that were cancelled of it included."""
        self.may_edit()
        line = self.line(line_id, "#/line_id")
        if quantity == line.ordered:
            return
        if quantity <= line.cancelled:
            raise QuantityTooSmallError(
                f"{line.cancelled} units of this line were cancelled; it needs more than that.",
                pointer="#/new_quantity",
            )
        owed = line.owed + quantity - line.ordered
        line_total = quantize(line.unit_price * owed, self.currency)
        if self.total + line_total - line.line_total >= TOO_LARGE:
            raise AmountTooLargeError(
                f"The order can't cost {TOO_LARGE} or more.", pointer="#/new_quantity"
            )
        self._tell(
            e.OrderItemQuantityChanged,
            now=now,
            line_id=line.id,
            product_id=line.product_id,
            from_quantity=line.ordered,
            to_quantity=quantity,
            from_line_total=self.money(line.line_total),
            line_total=self.money(line_total),
        )

    def may_edit(self) -> None:
        if self.status not in (OrderStatus.PENDING, OrderStatus.CONFIRMED):
            raise NotEditableError(
                f"Order {self.order_number} is {self.status}; what was ordered can be changed "
                "until picking starts.",
                status=self.status,
                allowed=self.allowed_moves(),
            )

    def cancel_items(self, items: Sequence[LineQuantity], reason: str, *, now: datetime) -> None:
        """Cancel units that aren't packed; with the last unit of all the order is cancelled."""
        self.may_cancel_items()
        self._tell(
            e.OrderItemsCancelled,
            now=now,
            reason=reason,
            items=[
                self._credited(self.lines[line_id], quantity)
                for line_id, quantity in self._open_units(items).items()
            ],
        )

    def may_cancel_items(self) -> None:
        if self.status not in LIVE:
            raise self._refusal(
                f"Order {self.order_number} is {self.status}; nothing is left to cancel."
            )
        if not any(line.open for line in self.lines.values()):
            raise QuantityExceedsOpenError(
                f"No unit of order {self.order_number} is left to cancel."
            )

    def _open_units(self, items: Sequence[LineQuantity]) -> Mapping[UUID, int]:
        """The units asked for, summed by line; QuantityExceedsOpenError when they aren't open."""
        asked = Counter[UUID]()
        for number, item in enumerate(items):
            self.line(item.line_id, f"#/items/{number}/line_id")
            asked[item.line_id] += item.quantity
        for line_id, quantity in asked.items():
            line = self.lines[line_id]
            if quantity > line.open:
                raise QuantityExceedsOpenError(
                    f"{quantity} units of {line.sku} were asked for, {line.open} are open."
                )
        return asked

    def change_shipping_address(
        self, to: e.PostalAddress, *, before: e.PostalAddress, now: datetime
    ) -> None:
        """Send it to ``to`` instead of ``before``; the same address changes nothing."""
        self.may_change_shipping_address()
        if to != before:
            self._tell(e.ShippingAddressChanged, now=now, from_address=before, to_address=to)

    def may_change_shipping_address(self) -> None:
        if any(line.shipped for line in self.lines.values()):
            raise OrderAlreadyShippedError(
                f"Order {self.order_number} has left; its address can't be changed.",
                status=self.status,
                allowed=self.allowed_moves(),
            )
        if self.status not in LIVE:
            raise self._refusal(
                f"Order {self.order_number} is {self.status}; it goes nowhere any more."
            )

    def _change(self, event: e.DomainEvent) -> None:
        match event:
            case e.OrderItemQuantityChanged():
                line: OrderItem = self.lines[event.line_id]
                line.ordered = event.to_quantity
                self._reprice(line, event.line_total)
            case e.OrderItemsCancelled():
                self._count(event.items, cancelled=1)
                for item in event.items:
                    self._reprice(self.lines[item.line_id], item.line_total)
            case _:
                super()._change(event)
