"""Moves of the whole order."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self, cast, overload
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.drafts import AskTaxes, keep_taxes
from ordering_write.domain.errors import (
    AlreadyOnHoldError,
    InvalidTransitionError,
    NotExpiredError,
    NotOnHoldError,
    OrderAlreadyShippedError,
)
from ordering_write.domain.events import LIVE, HoldReason, OrderStatus
from ordering_write.domain.values import Address
from ordering_write.models.order import in_memory
from ordering_write.models.order.charging import Charging
from ordering_write.models.order.in_memory import present
from ordering_write.models.order.parts import OrderItem, Shipment


class Placing(Charging):
    """Moves that place, confirm, pick, complete, cancel, expire, hold and assign an order."""

    class Meta(Charging.Meta):
        abstract = True

    @overload
    @classmethod
    def create(
        cls,
        *,
        created: e.OrderCreated,
        items: Sequence[e.OrderItemAdded],
        adjustments: Sequence[e.OrderAdjustmentAdded] = (),
        ask_taxes: AskTaxes = keep_taxes,
    ) -> Self: ...

    @overload
    @classmethod
    def create(
        cls, *, customer_id: UUID, items: Sequence[OrderItem], shipping_address: Address
    ) -> Self: ...

    @classmethod
    def create(
        cls,
        *,
        items: Sequence[Any],
        created: e.OrderCreated | None = None,
        adjustments: Sequence[e.OrderAdjustmentAdded] = (),
        ask_taxes: AskTaxes = keep_taxes,
        customer_id: UUID | None = None,
        shipping_address: Address | None = None,
    ) -> Self:
        """Return a new order with these lines and adjustments; the last event prices the order.

        With a ``customer_id`` and an address in place of ``created``, the order is made in memory:
        it has no number, and can't be saved. The command CreateOrder places an order.
        """
        if created is None:
            created, items = in_memory.events_of(
                cast(UUID, customer_id), items, cast(Address, shipping_address), now=present()
            )
        order = cls()
        priced_events: list[e.OrderItemAdded | e.OrderAdjustmentAdded] = [*items, *adjustments]
        last = priced_events.pop()
        for event in (created, *priced_events):
            order._raise_event(event)
        draft = (
            order.draft_with_item(last)
            if isinstance(last, e.OrderItemAdded)
            else order.draft_with_adjustment(last)
        )
        order_price = draft.price(ask_taxes)
        order._raise_event(last.model_copy(update={"price": order_price}))
        return order

    def may_confirm(self) -> None:
        self._refuse_move_unless_allowed(OrderStatus.CONFIRMED)
        self.refuse_if_on_hold()

    def confirm(self, *, reason: str = "", now: datetime) -> None:
        """Accept the order."""
        self.may_confirm()
        self._change_status(OrderStatus.CONFIRMED, reason, now)

    def may_start_processing(self) -> None:
        self._refuse_move_unless_allowed(OrderStatus.PROCESSING)
        self.refuse_if_on_hold()

    def start_processing(self, *, reason: str = "", now: datetime) -> None:
        """Start picking."""
        self.may_start_processing()
        self._change_status(OrderStatus.PROCESSING, reason, now)

    def may_complete(self) -> None:
        self._refuse_move_unless_allowed(OrderStatus.COMPLETED)
        for line in self.lines.values():
            if line.in_transit:
                raise self._invalid_transition(f"Units of {line.sku} are still on their way.")
            if line.return_requested:
                raise self._invalid_transition(f"A return of {line.sku} is still expected.")

    def complete(self, *, reason: str = "", now: datetime) -> None:
        """Close the order."""
        self.may_complete()
        self._change_status(OrderStatus.COMPLETED, reason, now)

    def _change_status(self, status: OrderStatus, reason: str, now: datetime) -> None:
        self._record(
            e.OrderStatusChanged,
            now=now,
            from_status=OrderStatus(self.status),
            to_status=status,
            reason=reason,
        )

    # --- Cancelling ------------------------------------------------------------------------------
    def may_cancel(self, *, by_customer: bool = False) -> None:
        if any(line.shipped for line in self.lines.values()):
            raise OrderAlreadyShippedError(
                "Cannot cancel shipped order", status=self.status, allowed=self.allowed_moves()
            )
        self._refuse_move_unless_allowed(OrderStatus.CANCELLED)
        if by_customer and self.status == OrderStatus.PROCESSING:
            raise InvalidTransitionError(
                f"Order {self.order_number} is being picked; ask the shop to cancel it.",
                status=self.status,
                allowed=[],
            )

    def cancel(
        self,
        reason: str,
        *,
        reason_code: str = "other",
        by_customer: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Cancel every unit, at the present time by default; packed shipments are unpacked first.

        Raises OrderAlreadyShippedError once a unit has been dispatched. Customers can cancel until
        picking starts.
        """
        self.may_cancel(by_customer=by_customer)
        now = now or present()
        for shipment in list(self.shipments.values()):
            if shipment.status == Shipment.Status.PACKED:
                self._record(
                    e.ShipmentVoided, now=now, shipment_id=shipment.id, items=shipment.units
                )
        self._cancel(reason, reason_code, now)

    def may_expire(self, *, now: datetime) -> None:
        if self.status != OrderStatus.PENDING:
            raise self._invalid_transition(
                f"Order {self.order_number} is {self.status_words}; only a pending order expires."
            )
        if self.authorized or self.captured > self.refunded:
            raise NotExpiredError(f"Order {self.order_number} has been paid.")
        if not self.due:
            raise NotExpiredError(f"Order {self.order_number} costs nothing.")
        if self.expires_at is None:
            raise NotExpiredError(f"Order {self.order_number} never expires.")
        if self.expires_at > now:
            raise NotExpiredError(
                f"Order {self.order_number} expires at {self.expires_at:%Y-%m-%d %H:%M} UTC."
            )

    def expire(self, *, now: datetime) -> None:
        """Cancel an order that wasn't paid in time."""
        self.may_expire(now=now)
        self._cancel("not paid in time", "expired", now)

    def _cancel(self, reason: str, reason_code: str, now: datetime) -> None:
        released = [
            e.ReleasedUnits(line_id=line.id, product_id=line.product_id, quantity=line.unshipped)
            for line in self.lines.values()
            if line.unshipped
        ]
        self._record(
            e.OrderCancelled, now=now, reason=reason, reason_code=reason_code, released=released
        )

    # --- Holds -----------------------------------------------------------------------------------
    def may_hold(self) -> None:
        if self.status not in LIVE:
            raise self._invalid_transition(
                f"Order {self.order_number} is {self.status_words}; nothing is left to hold."
            )
        if self.hold_reason:
            raise AlreadyOnHoldError(
                f"Order {self.order_number} is on hold already: {self.hold_words}."
            )

    def hold(self, reason: HoldReason, *, note: str = "", now: datetime) -> None:
        """Keep the goods from moving."""
        self.may_hold()
        self._record(e.OrderHeld, now=now, reason=reason, note=note)

    def may_release_hold(self) -> None:
        if not self.hold_reason:
            raise NotOnHoldError(f"Order {self.order_number} is not on hold.")

    def release_hold(self, *, note: str = "", now: datetime) -> None:
        """Let the goods move again."""
        self.may_release_hold()
        self._record(e.OrderHoldReleased, now=now, reason=HoldReason(self.hold_reason), note=note)

    # --- Responsibility --------------------------------------------------------------------------
    def assign(self, assignee: str, *, now: datetime) -> None:
        """Make the user of this name responsible; an empty name means nobody."""
        if assignee != self.assignee:
            self._record(e.OrderAssigned, now=now, assignee=assignee or None)
