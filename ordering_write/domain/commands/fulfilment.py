"""Commands about the shipments and returns of an order."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from config.fields.text import Text
from ordering_write.domain.commands.base import Command, FactTime, OptionalText, Reason
from ordering_write.domain.commands.order import Lines, PricedItem
from ordering_write.domain.events import DeliveryFailure, ReturnReason
from ordering_write.domain.values import ADDED, Quantity, Value

# Reads a URL as browsers do, which take a backslash for a slash.
_WEB_URL = TypeAdapter(AnyHttpUrl)


def _check_url(url: str) -> str:
    if not url:
        return url
    try:
        parsed = _WEB_URL.validate_python(url)
    except ValidationError as error:
        raise PydanticCustomError("url", "A URL begins with https:// or http://") from error
    if parsed.username is not None or parsed.password is not None:
        # The text before the @ looks like the host, and may be a secret.
        raise PydanticCustomError("url", "A URL has neither a user name nor a password")
    return url


Carrier = Annotated[OptionalText, Field(examples=["Example Parcels"])]
TrackingNumber = Annotated[str, Text(max_length=100, min_length=0), Field(examples=["1Z999"])]
TrackingUrl = Annotated[
    str,
    Text(max_length=500, min_length=0),
    AfterValidator(_check_url),
    WithJsonSchema(
        {"type": "string", "maxLength": 500, "examples": ["https://carrier.example/1Z999"]}
    ),
]


# --- Shipments -----------------------------------------------------------------------------------
class CreateShipment(Command):
    """Pack units that travel together."""

    order_id: UUID
    items: Lines
    carrier: Carrier = ""
    service: OptionalText = ""


class HandOverItems(Command):
    """Hand units that require no shipping to the customer: picked up, or downloaded."""

    order_id: UUID
    items: Lines


class DispatchShipment(Command):
    """Hand a packed shipment to its carrier."""

    order_id: UUID
    shipment_id: UUID
    carrier: Carrier = ""
    tracking_number: TrackingNumber = ""
    tracking_url: TrackingUrl = ""
    dispatched_at: FactTime | None = None


class UpdateTracking(Command):
    """Change the carrier or the tracking of a shipment."""

    order_id: UUID
    shipment_id: UUID
    carrier: Carrier = ""
    tracking_number: TrackingNumber = ""
    tracking_url: TrackingUrl = ""


class VoidShipment(Command):
    """Unpack a shipment that hasn't left; its units can be packed again."""

    order_id: UUID
    shipment_id: UUID


class ConfirmDelivery(Command):
    """Record that a shipment has arrived."""

    order_id: UUID
    shipment_id: UUID
    delivered_at: FactTime | None = None


class FailDelivery(Command):
    """Record that a shipment was lost or came back; units that came back return to stock.

    With ``resend`` the units are reserved again, to be packed again at the same price. Otherwise
    they are credited.
    """

    order_id: UUID
    shipment_id: UUID
    outcome: DeliveryFailure
    failed_at: FactTime | None = None
    resend: Annotated[bool, Field(strict=True), ADDED] = False


# --- Returns -------------------------------------------------------------------------------------
class ReturnedLine(Value):
    """Units of one line that the customer wants to send back, with the reason."""

    line_id: UUID
    quantity: Quantity
    reason: ReturnReason


class RequestReturn(Command):
    """Request to send delivered units back, and to get other goods in exchange.

    The new lines in ``exchange_for`` become an order of their own once the units are received; the
    credit for the units pays it. The prices are in the order's currency.
    """

    order_id: UUID
    items: Annotated[list[ReturnedLine], Field(min_length=1, max_length=200)]
    exchange_for: Annotated[list[PricedItem], Field(max_length=200), ADDED] = []


class ReceivedLine(Value):
    """Units of one line that came back: units for the stock, and units that can't be sold."""

    line_id: UUID
    restock: Annotated[int, Field(strict=True, ge=0, le=10_000, examples=[1])] = 0
    damaged: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.quantity:
            raise PydanticCustomError("nothing", "Say how many units came back")
        return self

    @property
    def quantity(self) -> int:
        """All units that came back."""
        return self.restock + self.damaged


class ReceiveReturn(Command):
    """Record the units of a return that came back; undamaged units return to stock."""

    order_id: UUID
    return_id: UUID
    items: Annotated[list[ReceivedLine], Field(min_length=1, max_length=200)]


class RejectReturn(Command):
    """Refuse the units of a return that have not come back."""

    order_id: UUID
    return_id: UUID
    reason: Reason


class PlaceExchange(Command):
    """Place the order for the new lines of a return, and pay it with the credit for the return.

    If the order can't be placed, say because the goods are sold out, the exchange has failed and
    the credit is refunded.
    """

    order_id: UUID
    return_id: UUID
