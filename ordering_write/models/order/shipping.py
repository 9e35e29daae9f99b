"""Parcels: packed, dispatched, delivered or not: the methods and what their events do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.errors import (
    PaymentRequiredError,
    QuantityExceedsOpenError,
    ShipmentNotFoundError,
    ShipmentStateError,
)
from ordering_write.domain.events import DeliveryFailure, OrderStatus
from ordering_write.models.order.editing import Editing
from ordering_write.models.order.parts import Shipment

_PACKABLE = (OrderStatus.CONFIRMED, OrderStatus.PROCESSING, OrderStatus.PARTIALLY_SHIPPED)


class Shipping(Editing):
    """Units are packed, leave the house and arrive, or don't."""

    class Meta(Editing.Meta):
        abstract = True

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
        self._pack(units, shipment_id, now, carrier=carrier, service=service)

    def may_pack(self, *, payment_required: bool = False) -> None:
        if self.status not in _PACKABLE:
            raise self._refusal(f"Order {self.order_number} is {self.status}; it can't be packed.")
        self._not_on_hold()
        if payment_required and self.authorized + self.captured - self.refunded < self.due:
            raise PaymentRequiredError(
                f"Order {self.order_number} must be paid or authorized before it is packed."
            )
        if not any(line.open for line in self.lines.values()):
            raise QuantityExceedsOpenError(f"No unit of order {self.order_number} is left to pack.")

    def _pack(self, units: list[e.Units], shipment_id: UUID, now: datetime, **told: str) -> None:
        self._tell(
            e.ShipmentCreated,
            now=now,
            shipment_id=shipment_id,
            items=units,
            **{name: text for name, text in told.items() if text},
        )

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
        self._expect(shipment, Shipment.Status.PACKED)
        told = {
            "carrier": carrier or shipment.carrier,
            "tracking_number": tracking_number or shipment.tracking_number,
            "tracking_url": tracking_url or shipment.tracking_url,
        }
        self._dispatch(shipment, dispatched_at or now, **told)

    def may_dispatch_shipment(self) -> None:
        self._any_shipment(Shipment.Status.PACKED)
        self._not_on_hold()

    def _dispatch(self, shipment: Shipment, at: datetime, **told: str) -> None:
        self._tell(
            e.ShipmentDispatched,
            now=at,
            shipment_id=shipment.id,
            items=shipment.units,
            dispatched_at=at,
            **{name: text for name, text in told.items() if text},
        )

    def update_tracking(
        self,
        shipment_id: UUID,
        *,
        carrier: str = "",
        tracking_number: str = "",
        tracking_url: str = "",
        now: datetime,
    ) -> None:
        """Say how a shipment can be followed; what is empty stays as it is."""
        shipment = self._shipment(shipment_id)
        self.may_update_tracking()
        self._expect(shipment, Shipment.Status.PACKED, Shipment.Status.DISPATCHED)
        told = {
            "carrier": carrier,
            "tracking_number": tracking_number,
            "tracking_url": tracking_url,
        }
        new = {
            name: text for name, text in told.items() if text and text != getattr(shipment, name)
        }
        if new:
            self._tell(e.TrackingUpdated, now=now, shipment_id=shipment_id, **new)

    def may_update_tracking(self) -> None:
        self._any_shipment(Shipment.Status.PACKED, Shipment.Status.DISPATCHED)

    def void_shipment(self, shipment_id: UUID, *, now: datetime) -> None:
        """Unpack a shipment that hasn't left."""
        shipment = self._shipment(shipment_id)
        self.may_void_shipment()
        self._expect(shipment, Shipment.Status.PACKED)
        self._tell(e.ShipmentVoided, now=now, shipment_id=shipment_id, items=shipment.units)

    def may_void_shipment(self) -> None:
        self._any_shipment(Shipment.Status.PACKED)

    def deliver(self, shipment_id: UUID, *, at: datetime) -> None:
        """Record that a shipment arrived ``at``."""
        shipment = self._shipment(shipment_id)
        self.may_deliver()
        self._expect(shipment, Shipment.Status.DISPATCHED)
        self._tell(e.ShipmentDelivered, now=at, shipment_id=shipment_id, items=shipment.units)

    def may_deliver(self) -> None:
        self._any_shipment(Shipment.Status.DISPATCHED)

    def fail_delivery(self, shipment_id: UUID, outcome: DeliveryFailure, *, at: datetime) -> None:
        """Record that a shipment was lost or came back; its units are no longer owed."""
        shipment = self._shipment(shipment_id)
        self.may_deliver()
        self._expect(shipment, Shipment.Status.DISPATCHED)
        self._tell(
            e.ShipmentFailed,
            now=at,
            shipment_id=shipment_id,
            outcome=outcome,
            items=[
                self._credited(self.lines[unit.line_id], unit.quantity) for unit in shipment.units
            ],
        )

    # --- The whole order -----------------------------------------------------------------------
    def ship_everything(
        self, *, shipment_id: UUID, payment_required: bool = False, now: datetime
    ) -> None:
        """Pack every open unit as one shipment, and dispatch all that is packed."""
        self._guard(OrderStatus.SHIPPED)
        self._not_on_hold()
        units = [
            e.Units(line_id=line.id, quantity=line.open)
            for line in self.lines.values()
            if line.open
        ]
        if units:
            self.may_pack(payment_required=payment_required)
            self._pack(units, shipment_id, now)
        for shipment in list(self.shipments.values()):
            if shipment.status == Shipment.Status.PACKED:
                self._dispatch(
                    shipment,
                    now,
                    carrier=shipment.carrier,
                    tracking_number=shipment.tracking_number,
                    tracking_url=shipment.tracking_url,
                )

    def deliver_everything(self, *, now: datetime) -> None:
        """Record that every shipment on its way has arrived."""
        self._guard(OrderStatus.DELIVERED)
        self.may_deliver()
        for shipment in list(self.shipments.values()):
            if shipment.status == Shipment.Status.DISPATCHED:
                self.deliver(shipment.id, at=now)

    # --- Guards and events ---------------------------------------------------------------------
    def _any_shipment(self, *wanted: Shipment.Status) -> None:
        if not any(shipment.status in wanted for shipment in self.shipments.values()):
            raise ShipmentStateError(
                f"Order {self.order_number} has no shipment that is {' or '.join(wanted)}."
            )

    def _shipment(self, shipment_id: UUID) -> Shipment:
        if shipment_id not in self.shipments:
            raise ShipmentNotFoundError
        return self.shipments[shipment_id]

    def _expect(self, shipment: Shipment, *wanted: Shipment.Status) -> None:
        if shipment.status not in wanted:
            raise ShipmentStateError(
                f"The shipment is {shipment.status}, not {' or '.join(wanted)}."
            )

    def _change(self, event: e.DomainEvent) -> None:
        match event:
            case e.ShipmentCreated():
                self.shipments[event.shipment_id] = Shipment.of(event)
                self.processing_at = self.processing_at or event.timestamp
                self._count(event.items, packed=1)
                self._changed.add(event.shipment_id)
            case e.ShipmentVoided():
                self._count(event.items, packed=-1)
                self._move(event, Shipment.Status.VOIDED)
            case e.ShipmentDispatched():
                self._count(event.items, packed=-1, shipped=1)
                self._move(event, Shipment.Status.DISPATCHED)
                self._track(event)
            case e.TrackingUpdated():
                self._track(event)
            case e.ShipmentDelivered():
                self._count(event.items, delivered=1)
                self._move(event, Shipment.Status.DELIVERED)
                self.delivered_at = max(self.delivered_at or event.timestamp, event.timestamp)
            case e.ShipmentFailed():
                self._count(event.items, failed=1)
                for item in event.items:
                    self._reprice(self.lines[item.line_id], item.line_total)
                self._move(event, Shipment.Status.FAILED)
            case _:
                super()._change(event)

    def _move(self, event: Any, status: Shipment.Status) -> None:
        self.shipments[event.shipment_id].status = status
        self._changed.add(event.shipment_id)

    def _track(self, event: e.ShipmentDispatched | e.TrackingUpdated) -> None:
        shipment = self.shipments[event.shipment_id]
        shipment.carrier = event.carrier or shipment.carrier
        shipment.tracking_number = event.tracking_number or shipment.tracking_number
        shipment.tracking_url = event.tracking_url or shipment.tracking_url
        self._changed.add(event.shipment_id)
