"""The parts of an order as queries return them; amounts are in the order's currency."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ordering_read.queries.base import View
from ordering_read.queries.fields import (
    CountryCode,
    MoneyAmount,
    PersonName,
    Price,
    ProductId,
    ProductName,
    Sku,
)
from ordering_write.published import events as e


class OrderLineView(View):
    """A line of an order, and where its units are.

    `quantity` is what was ordered, the cancelled included. Of it, `cancelled`, `packed` and
    `shipped` units are taken, and `open` are left; of those shipped, some were `delivered` and
    some `failed` to arrive; of those delivered, some are to come back and some were `returned`.
    `line_total` is what is still owed. What the price came from is null for customers.
    """

    line_id: UUID
    product_id: ProductId
    sku: Sku
    name: ProductName
    quantity: int
    open: int
    cancelled: int
    packed: int
    shipped: int
    delivered: int
    failed: int
    return_requested: int
    returned: int
    unit_price: Price
    line_total: Decimal
    price_source: str | None
    price_reason: str | None


class AddressView(View):
    """An address as it was given; what was left out is empty."""

    name: PersonName
    line1: Annotated[str, Field(examples=["1 Example Street"])]
    line2: str
    city: Annotated[str, Field(examples=["Sampleton"])]
    region: str
    postal_code: Annotated[str, Field(examples=["12345"])]
    country: CountryCode
    phone: str


class AdjustmentView(View):
    """What is put on the sum of the lines; a discount is taken off it."""

    kind: Literal["shipping", "discount", "tax", "fee"]
    label: str
    amount: MoneyAmount
    rate: Decimal | None


class HoldView(View):
    """Why goods must not move, since when, and who said so."""

    reason: e.HoldReason
    note: str
    placed_by: str
    placed_at: datetime


class UnitsView(View):
    """Units of a line."""

    line_id: UUID
    quantity: int


class ShipmentView(View):
    """Units that travel together. Of what has not happened to it, the time is null."""

    shipment_id: UUID
    status: Literal["packed", "dispatched", "delivered", "failed", "voided"]
    items: tuple[UnitsView, ...]
    carrier: Annotated[str, Field(examples=["Example Parcels"])]
    service: str
    tracking_number: Annotated[str, Field(examples=["1Z999"])]
    tracking_url: Annotated[str, Field(examples=["https://carrier.example/1Z999"])]
    packed_at: datetime
    dispatched_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None
    voided_at: datetime | None
    failure: e.DeliveryFailure | None


class PaymentView(View):
    """A fact about a payment: authorized, captured and voided are told under one `payment_id`."""

    payment_id: Annotated[str, Field(examples=["payment-1"])]
    kind: e.PaymentKind
    amount: MoneyAmount
    method: str
    reference: str
    at: datetime


class RefundView(View):
    """Money that is to go back, or went. Why is null for customers."""

    refund_id: UUID
    status: Literal["requested", "settled", "failed"]
    amount: MoneyAmount
    reason: Annotated[str | None, Field(examples=["The parcel came late"])]
    lines: tuple[UnitsView, ...]
    return_id: UUID | None
    reference: str
    failure: str | None
    requested_at: datetime | None
    settled_at: datetime | None
    failed_at: datetime | None


class ReturnedUnitsView(UnitsView):
    """Units of a line that are to come back: of them, so many were `restocked`, `damaged`, or
    `rejected`, and the others may still come."""

    reason: e.ReturnReason
    restocked: int
    damaged: int
    rejected: int


class ReturnView(View):
    """Units that come back. It is closed when all of them were received or rejected. Why they were
    rejected is null for customers."""

    return_id: UUID
    status: Literal["requested", "received", "rejected"]
    items: tuple[ReturnedUnitsView, ...]
    rejection: str | None
    requested_at: datetime
    closed_at: datetime | None


class NoteView(View):
    """A note. Customers read those that are for them, and not who wrote them."""

    note_id: UUID
    text: Annotated[str, Field(examples=["Call before delivery."])]
    visibility: e.Visibility
    by: str | None
    at: datetime
