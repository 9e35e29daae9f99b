"""Policies about parcels: book them with the CarrierPort, and track them there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.models import Shipment
from ordering_write.policies.base import Policy, Trigger
from ordering_write.ports import carrier_port
from ordering_write.ports.carrier import Parcel


class BookParcels(Policy):
    """Books a packed parcel with the carrier, unless it has a tracking number already."""

    name = "book_parcels"
    events = (e.ShipmentCreated,)

    def when(self, event: e.ShipmentCreated) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command]:
        history = trigger.history()
        parcel = _parcel(trigger, Shipment.Status.PACKED, history)
        if parcel is None or parcel.tracking_number:
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
    events = (e.ShipmentDispatched,)

    def when(self, event: e.ShipmentDispatched) -> datetime:
        return event.timestamp

    def act(self, trigger: Trigger) -> Sequence[c.Command] | timedelta:
        parcel = _parcel(trigger, Shipment.Status.DISPATCHED, trigger.history())
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


def _parcel(trigger: Trigger, status: Shipment.Status, history: Sequence[Any]) -> Parcel | None:
    """Return the parcel of the event as it is now; None if it isn't in ``status`` any more."""
    shipment = Shipment.objects.filter(pk=trigger.event.shipment_id, status=status).first()
    to = e.shipping_address(history)
    if shipment is None or to is None:
        return None
    return Parcel(
        order_id=shipment.order_id,
        shipment_id=shipment.pk,
        to=to,
        items=tuple(shipment.units),
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
    )
