"""The command that imports an order of the past, with everything that happened to it."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from config.fields.text import Text
from ordering_write.domain.commands.amounts import Adjustment, Discount, NewTaxes
from ordering_write.domain.commands.base import Command, OptionalText, PastTime, Reason
from ordering_write.domain.commands.fulfilment import Carrier, TrackingNumber, TrackingUrl
from ordering_write.domain.commands.money import PositiveAmount
from ordering_write.domain.commands.order import Guest, Note, PoNumber, Tag
from ordering_write.domain.commands.stock import Sku
from ordering_write.domain.events import DeliveryFailure, OrderStatus, PaymentKind, ReturnReason
from ordering_write.domain.metadata import Metadata
from ordering_write.domain.values import IMPORT, Address, Channel, Currency, Price, Quantity, Value

_MOST_FACTS = 200


class ImportedItem(Value):
    """A line of an imported order. The product has its present name unless ``name`` is given.

    ``discount`` is on the whole line.
    """

    sku: Sku
    name: Annotated[str, Text(max_length=200)] | None = None
    quantity: Quantity
    unit_price: Price
    discount: Discount | None = None
    taxes: NewTaxes | None = None
    metadata: Metadata = {}


class ImportedUnits(Value):
    """Units of a line; ``line`` is the number of the line, from 1."""

    line: Annotated[int, Field(strict=True, ge=1, le=200)]
    quantity: Quantity


class ReturnedUnits(ImportedUnits):
    """Units of a line that came back; ``damaged`` units of them couldn't be sold."""

    damaged: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0


_Units = Annotated[list[ImportedUnits], Field(min_length=1, max_length=200)]


class ImportedPayment(Value):
    """A fact about a payment. Without ``payment_id``, each fact has a payment of its own."""

    payment_id: Annotated[str, Text(max_length=100)] | None = None
    kind: PaymentKind = PaymentKind.CAPTURED
    amount: PositiveAmount
    method: OptionalText = ""
    reference: OptionalText = ""
    happened_at: PastTime


class ImportedCancellation(Value):
    """Cancelled units; without ``items``, the whole order was cancelled."""

    items: _Units | None = None
    reason: Reason = "Not given"
    happened_at: PastTime


class ImportedShipment(Value):
    """A dispatched parcel; without ``items``, the parcel has all open units of the order.

    ``failed_at`` is the time at which the parcel was lost or came back, as ``outcome`` says.
    """

    items: _Units | None = None
    carrier: Carrier = ""
    tracking_number: TrackingNumber = ""
    tracking_url: TrackingUrl = ""
    dispatched_at: PastTime
    delivered_at: PastTime | None = None
    failed_at: PastTime | None = None
    outcome: DeliveryFailure = DeliveryFailure.LOST


class ImportedReturn(Value):
    """Units that were sent back and received."""

    items: Annotated[list[ReturnedUnits], Field(min_length=1, max_length=200)]
    reason: ReturnReason = ReturnReason.OTHER
    received_at: PastTime


class ImportedRefund(Value):
    """A refund that reached the customer."""

    amount: PositiveAmount
    reason: Reason = "Not given"
    reference: OptionalText = ""
    happened_at: PastTime


class ImportOrder(Command):
    """Import an order of the past, with its number and everything that happened to it.

    No policy acts, and dispatched units move no stock; units still to be sent are reserved. Events
    have the times of the facts. The facts must lead to ``status``. They also date a confirmation or
    completion without a time. An order without a ``number`` gets one of our own, and needs an
    ``external_reference``.
    """

    channel: Annotated[Channel, Field(validate_default=True)] = IMPORT

    number: Annotated[str, Text(max_length=20), Field(examples=["2024-17"])] | None = None
    external_reference: Annotated[str, Text(max_length=100)] | None = None
    customer: Guest
    placed_at: PastTime
    currency: Currency | None = None
    items: Annotated[list[ImportedItem], Field(min_length=1, max_length=200)]
    adjustments: Annotated[list[Adjustment], Field(max_length=20)] = []
    shipping_address: Address
    billing_address: Address | None = None
    status: OrderStatus
    confirmed_at: PastTime | None = None
    payments: Annotated[list[ImportedPayment], Field(max_length=_MOST_FACTS)] = []
    cancellations: Annotated[list[ImportedCancellation], Field(max_length=_MOST_FACTS)] = []
    shipments: Annotated[list[ImportedShipment], Field(max_length=_MOST_FACTS)] = []
    returns: Annotated[list[ImportedReturn], Field(max_length=_MOST_FACTS)] = []
    refunds: Annotated[list[ImportedRefund], Field(max_length=_MOST_FACTS)] = []
    completed_at: PastTime | None = None
    note: Note | None = None
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    po_number: PoNumber | None = None
    metadata: Metadata = {}

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if self.number is None and self.external_reference is None:
            raise PydanticCustomError("missing", "Give number or external_reference")
        return self

    @field_validator("channel")
    @classmethod
    def _always_import(cls, _channel: Channel) -> Channel:
        # Policies know events of the past by their channel.
        return IMPORT
