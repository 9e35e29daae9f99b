"""Moves of shipments: packed, dispatched, tracked, delivered or failed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.errors import (
    PaymentRequiredError,
    QuantityExceedsOpenError,
    RequiresShippingError,
    ShipmentNotFoundError,
    ShipmentStateError,
)
from ordering_write.domain.events import DeliveryFailure, OrderStatus
from ordering_write.models.order.charging import Charging
from ordering_write.models.order.parts import Shipment

_PACKABLE = (OrderStatus.CONFIRMED, OrderStatus.PROCESSING, OrderStatus.PARTIALLY_SHIPPED)
_PACKED, _DISPATCHED = Shipment.Status.PACKED, Shipment.Status.DISPATCHED


class Shipping(Charging):
    """Moves that pack units, and that dispatch, track, deliver, fail or void their shipments."""

    class Meta(Charging.Meta):
        abstract = True

    def may_pack(self, *, payment_required: bool = False) -> None:
        self._refuse_to_part_with_units("packed", payment_required=payment_required)
        if not any(line.to_pack for line in self.lines.values()):
            raise QuantityExceedsOpenError(f"No unit of order {self.order_number} is left to pack.")

    def pack(
        self,
        items: Sequence[LineQuantity],
        *,
        shipment_id: UUID,
        carrier: str = "",
        service: str = "",
        payment_required: bool = False,
        now: datetime,
    ) -> None:
        """Pack units that travel together."""
        self.may_pack(payment_required=payment_required)
        units = [
            e.Units(line_id=line_id, quantity=quantity)
            for line_id, quantity in self._open_units(items).items()
        ]
        for unit in units:
            line = self.lines[unit.line_id]
            if not line.requires_shipping:
                raise RequiresShippingError(
                    f"{line.sku} requires no shipping; hand the units over instead."
                )
        self._pack(units, shipment_id, now, carrier=carrier, service=service)

    def _pack(self, units: list[e.Units], shipment_id: UUID, now: datetime, **texts: str) -> None:
        self._record(
            e.ShipmentCreated, now=now, shipment_id=shipment_id, items=units, **_not_empty(texts)
        )

    def may_hand_over(self, *, payment_required: bool = False) -> None:
        self._refuse_to_part_with_units("handed over", payment_required=payment_required)
        if not any(line.to_hand_over for line in self.lines.values()):
            raise QuantityExceedsOpenError(
                f"No unit of order {self.order_number} is left to hand over."
            )

    def hand_over(
        self, items: Sequence[LineQuantity], *, payment_required: bool = False, now: datetime
    ) -> None:
        """Hand units that require no shipping to the customer, who then has them."""
        self.may_hand_over(payment_required=payment_required)
        units = [
            e.Units(line_id=line_id, quantity=quantity)
            for line_id, quantity in self._open_units(items).items()
        ]
        for unit in units:
            line = self.lines[unit.line_id]
            if line.requires_shipping:
                raise RequiresShippingError(
                    f"{line.sku} requires shipping; pack the units instead."
                )
        self._record(e.ItemsHandedOver, now=now, items=units)

    def may_dispatch_shipment(self) -> None:
        self._refuse_without_shipment(_PACKED)
        self.refuse_if_on_hold()

    def dispatch_shipment(
        self,
        shipment_id: UUID,
        *,
        carrier: str = "",
        tracking_number: str = "",
        tracking_url: str = "",
        dispatched_at: datetime | None = None,
        now: datetime,
    ) -> None:
        """Hand a packed shipment to its carrier."""
        shipment = self._shipment(shipment_id)
        self.may_dispatch_shipment()
        _refuse_unless(shipment, _PACKED)
        self._dispatch(
            shipment,
            dispatched_at or now,
            carrier=carrier,
            tracking_number=tracking_number,
            tracking_url=tracking_url,
        )

    def _dispatch(
        self,
        shipment: Shipment,
        dispatched_at: datetime,
        *,
        carrier: str = "",
        tracking_number: str = "",
        tracking_url: str = "",
    ) -> None:
        texts = {
            "carrier": carrier or shipment.carrier,
            "tracking_number": tracking_number or shipment.tracking_number,
            "tracking_url": tracking_url or shipment.tracking_url,
        }
        self._record(
            e.ShipmentDispatched,
            now=dispatched_at,
            shipment_id=shipment.id,
            items=shipment.units,
            dispatched_at=dispatched_at,
            **_not_empty(texts),
        )

    def may_update_tracking(self) -> None:
        self._refuse_without_shipment(_PACKED, _DISPATCHED)

    def update_tracking(
        self,
        shipment_id: UUID,
        *,
        carrier: str = "",
        tracking_number: str = "",
        tracking_url: str = "",
        now: datetime,
    ) -> None:
        """Change the carrier and the tracking of a shipment; empty texts change nothing."""
        shipment = self._shipment(shipment_id)
        self.may_update_tracking()
        _refuse_unless(shipment, _PACKED, _DISPATCHED)
        texts = {
            "carrier": carrier,
            "tracking_number": tracking_number,
            "tracking_url": tracking_url,
        }
        changes = {
            name: text
            for name, text in _not_empty(texts).items()
            if text != getattr(shipment, name)
        }
        if changes:
            self._record(e.TrackingUpdated, now=now, shipment_id=shipment_id, **changes)

    def may_void_shipment(self) -> None:
        self._refuse_without_shipment(_PACKED)

    def void_shipment(self, shipment_id: UUID, *, now: datetime) -> None:
        """Unpack a shipment that hasn't left."""
        shipment = self._shipment(shipment_id)
        self.may_void_shipment()
        _refuse_unless(shipment, _PACKED)
        self._record(e.ShipmentVoided, now=now, shipment_id=shipment_id, items=shipment.units)

    def may_deliver(self) -> None:
        self._refuse_without_shipment(_DISPATCHED)

    def deliver(self, shipment_id: UUID, *, at: datetime) -> None:
        """Record that a shipment arrived ``at``."""
        shipment = self._shipment(shipment_id)
        self.may_deliver()
        _refuse_unless(shipment, _DISPATCHED)
        self._record(e.ShipmentDelivered, now=at, shipment_id=shipment_id, items=shipment.units)

    def fail_delivery(
        self, shipment_id: UUID, outcome: DeliveryFailure, *, resend: bool = False, at: datetime
    ) -> None:
        """Record that a shipment was lost or came back.

        Its units are no longer owed, or with ``resend`` open again at the same price.
        """
        shipment = self._shipment(shipment_id)
        self.may_deliver()
        _refuse_unless(shipment, _DISPATCHED)
        units = {unit.line_id: unit.quantity for unit in shipment.units}
        self._record(
            e.ShipmentFailed,
            now=at,
            shipment_id=shipment_id,
            outcome=outcome,
            items=self.credited(units, still_owed=resend),
            resend=resend or None,
        )

    # --- The whole order -------------------------------------------------------------------------
    def ship_everything(
        self, *, shipment_id: UUID, payment_required: bool = False, now: datetime
    ) -> None:
        """Pack every open unit as one shipment, and dispatch all packed shipments.

        Units that require no shipping are handed over.
        """
        self._refuse_move_unless_allowed(OrderStatus.SHIPPED)
        self.refuse_if_on_hold()
        to_hand_over = self._units("to_hand_over")
        if to_hand_over:
            self.may_hand_over(payment_required=payment_required)
        to_pack = self._units("to_pack")
        if to_pack:
            self.may_pack(payment_required=payment_required)
            self._pack(to_pack, shipment_id, now)
        if to_hand_over:
            self._record(e.ItemsHandedOver, now=now, items=to_hand_over)
        for shipment in list(self.shipments.values()):
            if shipment.status == _PACKED:
                self._dispatch(shipment, now)

    def deliver_everything(self, *, now: datetime) -> None:
        """Record that every dispatched shipment has arrived."""
        self._refuse_move_unless_allowed(OrderStatus.DELIVERED)
        self.may_deliver()
        for shipment in list(self.shipments.values()):
            if shipment.status == _DISPATCHED:
                self.deliver(shipment.id, at=now)

    def _units(self, counter: Literal["to_pack", "to_hand_over"]) -> list[e.Units]:
        """Return the units that the lines have in ``counter``."""
        return [
            e.Units(line_id=line.id, quantity=units)
            for line in self.lines.values()
            if (units := getattr(line, counter))
        ]

    # --- Guards ----------------------------------------------------------------------------------
    def _refuse_to_part_with_units(self, move: str, *, payment_required: bool) -> None:
        if self.status not in _PACKABLE:
            raise self._invalid_transition(
                f"Order {self.order_number} is {self.status_words}; it can't be {move}."
            )
        self.refuse_if_on_hold()
        if payment_required and self.authorized + self.captured - self.refunded < self.due:
            raise PaymentRequiredError(
                f"Order {self.order_number} must be paid or authorized before it is {move}."
            )

    def _refuse_without_shipment(self, *statuses: Shipment.Status) -> None:
        if not any(shipment.status in statuses for shipment in self.shipments.values()):
            raise ShipmentStateError(
                f"Order {self.order_number} has no shipment that is {' or '.join(statuses)}."
            )

    def _shipment(self, shipment_id: UUID) -> Shipment:
        if shipment_id not in self.shipments:
            raise ShipmentNotFoundError
        return self.shipments[shipment_id]


def _refuse_unless(shipment: Shipment, *statuses: Shipment.Status) -> None:
    if shipment.status not in statuses:
        raise ShipmentStateError(f"The shipment is {shipment.status}, not {' or '.join(statuses)}.")


def _not_empty(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}
