"""The carrier that takes parcels to customers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.events import DeliveryFailure, PostalAddress, Units
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One shipment of an order; ``carrier`` and ``tracking_number`` are empty while unknown."""

    order_id: UUID
    shipment_id: UUID
    to: PostalAddress
    items: tuple[Units, ...]
    carrier: str = ""
    tracking_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """The data by which a booked parcel is tracked."""

    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """The state of a parcel.

    ``delivered_at`` or ``failed_at`` (aware times, the latter with the ``failure``) are the end;
    until then ``ask_again_in`` is the time to the next question.
    """

    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    failure: DeliveryFailure = DeliveryFailure.LOST
    ask_again_in: timedelta | None = None


@runtime_checkable
class CarrierPort(Protocol):
    """Takes parcels to customers.

    After a crash or an exception a method is called again with the same ``key``: a booking with the
    same key must be the same booking. A call returns within ten seconds or raises; after an
    exception it is retried later.
    """

    def book(self, parcel: Parcel, *, key: UUID) -> Booking | None:
        """Book a packed parcel; None if parcels are booked elsewhere."""
        ...

    def track(self, parcel: Parcel, *, key: UUID) -> Tracking | None:
        """Return the state of a parcel; None if it is reported elsewhere, by ConfirmDelivery."""
        ...


class ManualCarrier:
    """Leaves booking and tracking to people, who record the tracking number and the delivery."""

    def book(self, parcel: Parcel, *, key: UUID) -> None:
        return None

    def track(self, parcel: Parcel, *, key: UUID) -> None:
        return None


def carrier_port() -> CarrierPort:
    """Return the adapter that settings.PORTS names."""
    return cast(CarrierPort, adapter("carrier"))
