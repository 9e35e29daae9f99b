"""The carrier that takes parcels to customers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.events import DeliveryFailure, PostalAddress, Units
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One shipment of an order. ``carrier`` and ``tracking_number`` are empty where not known."""

    order_id: UUID
    shipment_id: UUID
    to: PostalAddress
    items: tuple[Units, ...]
    carrier: str = ""
    tracking_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """How a parcel that was booked can be followed."""

    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Where a parcel is: ``delivered_at`` or ``failed_at`` (aware, with the ``failure``) says that
    its way has ended, ``ask_again_in`` when to ask again while it hasn't."""

    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    failure: DeliveryFailure = DeliveryFailure.LOST
    ask_again_in: timedelta | None = None


@runtime_checkable
class CarrierPort(Protocol):
    """Takes parcels.

    A method may be called again with the same ``key``, after a crash or an exception: it happens
    at least once, and a booking with the same key must be the same booking. It answers within ten
    seconds, or raises: then it is tried again later.
    """

    def book(self, parcel: Parcel, *, key: UUID) -> Booking | None:
        """Book a parcel that is packed; None when that is done elsewhere."""
        ...

    def track(self, parcel: Parcel, *, key: UUID) -> Tracking | None:
        """Say where a parcel is; None when that is told elsewhere, as ConfirmDelivery."""
        ...


class ManualCarrier:
    """People take parcels to the carrier, and record how to follow them and that they arrived."""

    def book(self, parcel: Parcel, *, key: UUID) -> None:
        return None

    def track(self, parcel: Parcel, *, key: UUID) -> None:
        return None


def carrier_port() -> CarrierPort:
    """The adapter that settings.PORTS names."""
    return cast(CarrierPort, adapter("carrier"))
