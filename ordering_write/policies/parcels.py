"""Policies about parcels: the CarrierPort books them, and says where they are."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.models import Shipment
from ordering_write.policies.base import Occasion, Policy
from ordering_write.ports import carrier_port
from ordering_write.ports.carrier import Parcel


class BookParcels(Policy):
    """A parcel that was packed is booked with the carrier, unless somebody else has done that."""

    name = "book_parcels"
    events = (e.ShipmentCreated,)

    def when(self, event: e.ShipmentCreated) -> datetime:
        return event.timestamp

    def act(self, occasion: Occasion) -> Sequence[c.Command]:
        parcel = _parcel(occasion, Shipment.Status.PACKED)
        if parcel is None or parcel.tracking_number:
            return []
        booking = carrier_port().book(parcel, key=occasion.key)
        if booking is None:
            return []
        return [
            occasion.command(
                c.UpdateTracking,
                shipment_id=occasion.event.shipment_id,
                carrier=booking.carrier,
                tracking_number=booking.tracking_number,
                tracking_url=booking.tracking_url,
            )
        ]


class TrackParcels(Policy):
    """The carrier is asked about a parcel that has left, until it has arrived or is lost."""

    name = "track_parcels"
    events = (e.ShipmentDispatched,)

    def when(self, event: e.ShipmentDispatched) -> datetime:
        return event.timestamp

    def act(self, occasion: Occasion) -> Sequence[c.Command] | timedelta:
        parcel = _parcel(occasion, Shipment.Status.DISPATCHED)
        found = carrier_port().track(parcel, key=occasion.key) if parcel else None
        if found is None:
            return []
        shipment_id = occasion.event.shipment_id
        if found.delivered_at:
            return [
                occasion.command(
                    c.ConfirmDelivery, shipment_id=shipment_id, delivered_at=found.delivered_at
                )
            ]
        if found.failed_at:
            return [
                occasion.command(
                    c.FailDelivery,
                    shipment_id=shipment_id,
                    outcome=found.failure,
                    failed_at=found.failed_at,
                )
            ]
        return found.ask_again_in or []


def _parcel(occasion: Occasion, status: Shipment.Status) -> Parcel | None:
    """The parcel of the event as it is now; None when it isn't in this state any more."""
    shipment = Shipment.objects.filter(pk=occasion.event.shipment_id, status=status).first()
    if shipment is None:
        return None
    return Parcel(
        order_id=shipment.order_id,
        shipment_id=shipment.pk,
        to=next(_addresses(occasion.history())),
        items=tuple(shipment.units),
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
    )


def _addresses(history: Sequence[e.OrderEvent]) -> Iterator[e.PostalAddress]:
    """Where the order was to go, the last address first."""
    for event in reversed(history):
        match event:
            case e.ShippingAddressChanged():
                yield event.to_address
            case e.OrderCreated():
                yield event.shipping_address
