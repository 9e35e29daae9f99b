"""Policies about parcels: book them with the CarrierPort, and track them there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from config.databases import tables
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.models import Shipment
from ordering_write.policies.base import Policy, Trigger
from ordering_write.ports import carrier_port
from ordering_write.ports.carrier import ManualCarrier, Parcel


class BookParcels(Policy):
    """Books a packed parcel with the carrier, unless it has a tracking number already."""

    name = "book_parcels"
    label = "booking of parcels"
    events = (e.ShipmentCreated,)

    def when(self, event: e.ShipmentCreated) -> datetime | None:
        return None if isinstance(carrier_port(), ManualCarrier) else event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        shipment = _shipment(trigger, Shipment.Status.PACKED)
        if shipment is None or shipment.tracking_number:
            return []
        history = trigger.history()
        parcel = _parcel(shipment, history)
        if parcel is None:
            return []
        booking = carrier_port().book(parcel, key=_key_for_address(trigger.key, history))
        if booking is None:
            return []
        return [
            trigger.command(
                c.UpdateTracking,
                shipment_id=trigger.event.shipment_id,
                carrier=booking.carrier,
                tracking_number=booking.tracking_number,
                tracking_url=booking.tracking_url,
                # The address may change during the call. The policy then books again.
                expected_version=history[-1].recorded.version,
            )
        ]


class TrackParcels(Policy):
    """Asks the carrier about a dispatched parcel until it is delivered or lost."""

    name = "track_parcels"
    label = "tracking of parcels"
    events = (e.ShipmentDispatched,)

    def when(self, event: e.ShipmentDispatched) -> datetime | None:
        return None if isinstance(carrier_port(), ManualCarrier) else event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command] | timedelta:
        shipment = _shipment(trigger, Shipment.Status.DISPATCHED)
        parcel = _parcel(shipment, trigger.history()) if shipment else None
        tracking = carrier_port().track(parcel, key=trigger.key) if parcel else None
        if tracking is None:
            return []
        # The dispatch may be recorded later than it happened.
        shipment_id, earliest = trigger.event.shipment_id, trigger.event.dispatched_at
        if tracking.delivered_at:
            return [
                trigger.command(
                    c.ConfirmDelivery,
                    shipment_id=shipment_id,
                    delivered_at=max(tracking.delivered_at, earliest),
                )
            ]
        if tracking.failed_at:
            return [
                trigger.command(
                    c.FailDelivery,
                    shipment_id=shipment_id,
                    outcome=tracking.failure,
                    failed_at=max(tracking.failed_at, earliest),
                )
            ]
        return tracking.ask_again_in or []


def _key_for_address(key: UUID, history: Sequence[Any]) -> UUID:
    """Return the key of a booking: another address is another booking."""
    changes = [event for event in history if isinstance(event, e.ShippingAddressChanged)]
    return uuid5(key, str(changes[-1].recorded.event_id)) if changes else key


def _shipment(trigger: Trigger, status: Shipment.Status) -> Shipment | None:
    """Return the shipment of the event; None if it isn't in ``status`` any more."""
    condition, parameters = "id = %s AND status = %s", [trigger.event.shipment_id, status]
    return next(iter(tables.find(Shipment, condition, parameters)), None)


def _parcel(shipment: Shipment, history: Sequence[Any]) -> Parcel | None:
    """Return the parcel of ``shipment`` as it is now; None for an order without an address."""
    to = e.shipping_address(history)
    if to is None:
        return None
    return Parcel(
        order_id=shipment.order_id,
        shipment_id=shipment.pk,
        to=to,
        items=tuple(shipment.units),
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
    )
