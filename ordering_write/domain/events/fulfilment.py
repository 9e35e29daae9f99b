"""Events of shipments and returns."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from ordering_write.domain.events.order import CreditedUnits, OrderEvent, Units
from ordering_write.domain.events.states import DeliveryFailure, ReturnReason
from ordering_write.domain.prices import Tax
from ordering_write.domain.values import Money, Value


# --- Shipments -----------------------------------------------------------------------------------
class ShipmentCreated(OrderEvent):
    shipment_id: UUID
    items: list[Units]
    carrier: str | None = None
    service: str | None = None


class ItemsHandedOver(OrderEvent):
    """The customer has units that require no shipping: picked up, or downloaded."""

    items: list[Units]


class ShipmentVoided(OrderEvent):
    shipment_id: UUID
    items: list[Units]


class ShipmentDispatched(OrderEvent):
    shipment_id: UUID
    items: list[Units]
    dispatched_at: AwareDatetime
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None


class TrackingUpdated(OrderEvent):
    shipment_id: UUID
    carrier: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None


class ShipmentDelivered(OrderEvent):
    """``timestamp`` is the time of arrival."""

    shipment_id: UUID
    items: list[Units]


class ShipmentFailed(OrderEvent):
    """Units that were lost or came back to us.

    They are no longer owed, or to be sent again if ``resend`` is True; their credit is zero then.
    """

    shipment_id: UUID
    outcome: DeliveryFailure
    items: list[CreditedUnits]
    resend: bool | None = None


# --- Returns -------------------------------------------------------------------------------------
class RequestedUnits(Units):
    """Units that the customer wants to send back, with the reason."""

    reason: ReturnReason


class ReceivedUnits(CreditedUnits):
    """Units that came back: units for the stock, and units that can't be sold."""

    restock: int
    damaged: int


class ExchangeLine(Value):
    """A line of the order that is to be placed in exchange for a return, at the price agreed."""

    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Money
    price_source: Literal["client", "list", "override"]
    price_reason: str | None = None
    discount: Money | None = None
    taxes: tuple[Tax, ...] | None = None
    requires_shipping: bool | None = None


class ReturnRequested(OrderEvent):
    """Units are to come back; ``exchange_for`` is None unless the customer wants other goods."""

    return_id: UUID
    items: list[RequestedUnits]
    exchange_for: list[ExchangeLine] | None = None


class ReturnReceived(OrderEvent):
    return_id: UUID
    items: list[ReceivedUnits]


class ReturnRejected(OrderEvent):
    """The shop refuses the units of the return that have not come back."""

    return_id: UUID
    items: list[Units]
    reason: str


class ExchangeFailed(OrderEvent):
    """The order for the new lines of a return can't be placed; the credit is refunded instead."""

    return_id: UUID
    reason: str
