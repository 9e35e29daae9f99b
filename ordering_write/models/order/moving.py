"""Placing an order, and moving it as a whole: the methods and what their events do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    AlreadyOnHoldError,
    InvalidTransitionError,
    NotExpiredError,
    NotOnHoldError,
    OrderAlreadyShippedError,
    OrderOnHoldError,
)
from ordering_write.domain.events import LIVE, WHOLE_ORDER_MOVES, HoldReason, OrderStatus
from ordering_write.models.order.parts import OrderItem, Shipment
from ordering_write.models.order.state import OrderState


class Moving(OrderState):
    """An order is placed, confirmed, picked, completed, cancelled, and held meanwhile."""

    class Meta(OrderState.Meta):
        abstract = True

    @classmethod
    def create(
        cls,
        *,
        created: e.OrderCreated,
        items: Sequence[e.OrderItemAdded],
        adjustments: Sequence[e.OrderAdjustmentAdded] = (),
    ) -> Self:
        """A new order: what was placed, then a line for each item, then what is added to them."""
        order = cls()
        for event in (created, *items, *adjustments):
            order._raise_event(event)
        return order

    def confirm(self, *, reason: str = "", now: datetime) -> None:
        """Accept the order."""
        self.may_confirm()
        self._change_status(OrderStatus.CONFIRMED, reason, now)

    def may_confirm(self) -> None:
        """Raise why it can't be confirmed now, if so; as all of its kind."""
        self._guard(OrderStatus.CONFIRMED)
        self._not_on_hold()

    def start_processing(self, *, reason: str = "", now: datetime) -> None:
        """Start picking."""
        self.may_start_processing()
        self._change_status(OrderStatus.PROCESSING, reason, now)

    def may_start_processing(self) -> None:
        self._guard(OrderStatus.PROCESSING)
        self._not_on_hold()

    def complete(self, *, reason: str = "", now: datetime) -> None:
        """Close the order."""
        self.may_complete()
        self._change_status(OrderStatus.COMPLETED, reason, now)

    def may_complete(self) -> None:
        self._guard(OrderStatus.COMPLETED)
        for line in self.lines.values():
            if line.in_transit:
                raise self._refusal(f"Units of {line.sku} are still on their way.")
            if line.return_requested:
                raise self._refusal(f"A return of {line.sku} is still expected.")

    def cancel(
        self, reason: str, *, reason_code: str = "other", by_customer: bool = False, now: datetime
    ) -> None:
        """Cancel every unit. Once a unit has been dispatched it is OrderAlreadyShippedError.

        What is packed is unpacked first. Customers can cancel until picking starts.
        """
        self.may_cancel(by_customer=by_customer)
        for shipment in list(self.shipments.values()):
            if shipment.status == Shipment.Status.PACKED:
                self._tell(e.ShipmentVoided, now=now, shipment_id=shipment.id, items=shipment.units)
        self._cancel(reason, reason_code, now)

    def may_cancel(self, *, by_customer: bool = False) -> None:
        if any(line.shipped for line in self.lines.values()):
            raise OrderAlreadyShippedError(
                "Cannot cancel shipped order", status=self.status, allowed=self.allowed_moves()
            )
        self._guard(OrderStatus.CANCELLED)
        if by_customer and self.status == OrderStatus.PROCESSING:
            raise InvalidTransitionError(
                f"Order {self.order_number} is being picked; ask the shop to cancel it.",
                status=self.status,
                allowed=[],
            )

    def expire(self, *, now: datetime) -> None:
        """Cancel an order that wasn't paid in time."""
        self.may_expire(now=now)
        self._cancel("not paid in time", "expired", now)

    def may_expire(self, *, now: datetime) -> None:
        if self.status != OrderStatus.PENDING:
            raise self._refusal(
                f"Order {self.order_number} is {self.status}; only a pending one expires."
            )
        if self.authorized or self.captured > self.refunded:
            raise NotExpiredError(f"Order {self.order_number} has been paid.")
        if self.expires_at is None:
            raise NotExpiredError(f"Order {self.order_number} never expires.")
        if self.expires_at > now:
            raise NotExpiredError(
                f"Order {self.order_number} expires at {self.expires_at:%Y-%m-%d %H:%M} UTC."
            )

    def _cancel(self, reason: str, reason_code: str, now: datetime) -> None:
        released = [
            e.ReleasedUnits(line_id=line.id, product_id=line.product_id, quantity=line.unshipped)
            for line in self.lines.values()
            if line.unshipped
        ]
        self._tell(
            e.OrderCancelled,
            now=now,
            reason=reason,
            reason_code=reason_code,
            released=released,
        )

    # --- Holds ---------------------------------------------------------------------------------
    def hold(self, reason: HoldReason, *, note: str = "", now: datetime) -> None:
        """Keep its goods from moving."""
        self.may_hold()
        self._tell(e.OrderHeld, now=now, reason=reason, note=note)

    def may_hold(self) -> None:
        if self.status not in LIVE:
            raise self._refusal(
                f"Order {self.order_number} is {self.status}; nothing is left to hold."
            )
        if self.hold_reason:
            raise AlreadyOnHoldError(
                f"Order {self.order_number} is on hold already: {self.hold_reason}."
            )

    def release_hold(self, *, note: str = "", now: datetime) -> None:
        """Let it go on."""
        self.may_release_hold()
        self._tell(e.OrderHoldReleased, now=now, reason=HoldReason(self.hold_reason), note=note)

    def may_release_hold(self) -> None:
        if not self.hold_reason:
            raise NotOnHoldError(f"Order {self.order_number} is not on hold.")

    # --- Guards --------------------------------------------------------------------------------
    def allowed_moves(self) -> list[OrderStatus]:
        """The statuses that this order can be moved to, unless it is on hold."""
        if self.status == OrderStatus.SHIPPED:
            # What is on its way arrives; when all of it is lost, nothing will.
            in_transit = any(line.in_transit for line in self.lines.values())
            return [OrderStatus.DELIVERED if in_transit else OrderStatus.COMPLETED]
        return list(WHOLE_ORDER_MOVES[OrderStatus(self.status)])

    def _guard(self, target: OrderStatus) -> None:
        if target in self.allowed_moves():
            return
        if self.status == target:
            raise self._refusal(f"Order {self.order_number} is {target} already.")
        raise self._refusal(
            f"Order {self.order_number} is {self.status}; it can't become {target}."
        )

    def _refusal(self, message: str) -> InvalidTransitionError:
        return InvalidTransitionError(message, status=self.status, allowed=self.allowed_moves())

    def _not_on_hold(self) -> None:
        if self.hold_reason:
            raise OrderOnHoldError(
                f"Order {self.order_number} is on hold ({self.hold_reason}); release it first.",
                status=self.status,
                allowed=[],
            )

    # --- Events --------------------------------------------------------------------------------
    def _change_status(self, to: OrderStatus, reason: str, now: datetime) -> None:
        self._tell(
            e.OrderStatusChanged,
            now=now,
            from_status=OrderStatus(self.status),
            to_status=to,
            reason=reason,
        )

    def _change(self, event: e.DomainEvent) -> None:
        match event:
            case e.OrderCreated():
                self._place(event)
            case e.OrderItemAdded():
                line = OrderItem.of(event, number=len(self.lines) + 1)
                self.lines[line.id] = line
                self._changed.add(line.id)
                self.total += line.line_total
            case e.OrderAdjustmentAdded(kind="discount"):
                self.total -= event.amount.amount
            case e.OrderAdjustmentAdded():
                self.total += event.amount.amount
            case e.OrderStatusChanged(to_status=OrderStatus.CONFIRMED):
                self.confirmed_at = event.timestamp
            case e.OrderStatusChanged(to_status=OrderStatus.PROCESSING):
                self.processing_at = event.timestamp
            case e.OrderStatusChanged(to_status=OrderStatus.COMPLETED):
                self.completed_at = event.timestamp
            case e.OrderCancelled():
                for line in self.lines.values():
                    line.cancelled, line.packed = line.ordered, 0
                    self._changed.add(line.id)
            case e.OrderHeld():
                self.hold_reason = event.reason
            case e.OrderHoldReleased():
                self.hold_reason = ""
            case _:
                super()._change(event)

    def _place(self, event: e.OrderCreated) -> None:
        self.id = event.order_id
        self.order_number = event.order_number
        self.customer_id = event.customer_id
        self.currency = event.currency
        self.placed_at = event.placed_at
        self.expires_at = event.expires_at
        self.source = event.source
        self.external_reference = event.external_reference
