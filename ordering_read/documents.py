"""The documents that read models embed as JSON, as queries return them.

A row may be older than the code that reads it, so a field that is added later needs a default, and
a projection that changes a stored document must expect it without that field.
Amounts are in the order's currency.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ordering_read.fields import (
    CountryCode,
    CurrencyCode,
    MoneyAmount,
    PersonName,
    ProductId,
    ProductName,
    Sku,
)
from ordering_write.published import events as e
from ordering_write.published import prices


class Document(BaseModel):
    """The base of embedded documents. Fields that this code doesn't know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class AddressView(Document):
    """An address; an optional field without a value is an empty text."""

    name: PersonName
    line1: Annotated[str, Field(examples=["1 Example Street"])]
    line2: str
    city: Annotated[str, Field(examples=["Sampleton"])]
    region: str
    postal_code: Annotated[str, Field(examples=["12345"])]
    country: CountryCode
    phone: str


class AdjustmentView(Document):
    """An amount beside the lines, as it was given; a discount and goodwill are subtracted.

    A discount on one line or charge has its `part_id`, a `line_id` or an `adjustment_id`.
    """

    adjustment_id: UUID | None = None
    kind: prices.AdjustmentKind
    label: str
    amount: MoneyAmount
    rate: Decimal | None
    part_id: UUID | None = None


class TaxView(Document):
    """A tax on a line, a charge or a whole order; `base` is the price without taxes.

    The tax is added to the price, or `included` in the price.
    """

    label: Annotated[str, Field(examples=["IVA 21 %"])]
    jurisdiction: Annotated[str | None, Field(examples=["ES"])] = None
    rate: Annotated[Decimal | None, Field(examples=["21"])]
    included: bool = False
    base: MoneyAmount
    amount: MoneyAmount


class ChargeView(Document):
    """The price of a charge beside the lines: `list_value` minus `discount` is its `total`.

    Some `taxes` are included in `total`, the others are added to it.
    """

    kind: prices.ChargeKind
    label: Annotated[str, Field(examples=["Parcel"])]
    list_value: MoneyAmount
    discount: MoneyAmount
    total: MoneyAmount
    taxes: tuple[TaxView, ...]


class HoldView(Document):
    """A hold: why goods must not move, since when, and who placed it."""

    reason: e.HoldReason
    note: str
    placed_by: str
    placed_at: datetime


class UnitsView(Document):
    """Units of a line."""

    line_id: UUID
    quantity: int


class ShipmentView(Document):
    """Units that travel together. The time of an event that hasn't happened is null."""

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


class PaymentView(Document):
    """A fact about a payment. The facts about one payment share its `payment_id`.

    `reference` is the gateway's name of the fact, `reason` why it failed. A chargeback takes
    captured money back.
    """

    payment_id: Annotated[str, Field(examples=["payment-1"])]
    kind: e.PaymentKind
    amount: MoneyAmount
    method: str
    reference: str
    reason: str = ""
    at: datetime


class RefundView(Document):
    """Money that is to go back or went back, and bounced if it came back to us.

    `reference` is the gateway's name of the refund. The reason is null for customers.
    """

    refund_id: UUID
    status: Literal["requested", "settled", "failed", "bounced"]
    amount: MoneyAmount
    reason: Annotated[str | None, Field(examples=["The parcel came late"])]
    lines: tuple[UnitsView, ...]
    return_id: UUID | None
    reference: str
    failure: str | None
    requested_at: datetime | None
    settled_at: datetime | None
    failed_at: datetime | None
    bounced_at: datetime | None = None


class CreditTransferView(Document):
    """Credit of a returned order that paid the order placed in exchange.

    The amount counts as refunded in the order that it went `out` of, and as captured in the order
    that it came `in` to.
    """

    direction: Literal["out", "in"]
    other_order_id: UUID
    other_order_number: str
    return_id: UUID
    amount: MoneyAmount
    at: datetime


class ReplacementView(Document):
    """An order that was placed in place of this one, or in exchange for a return."""

    order_id: UUID
    order_number: str
    return_id: UUID | None


class ExchangeLineView(Document):
    """A line of the order in exchange for a return, at the price agreed."""

    product_id: ProductId
    sku: Sku
    name: ProductName
    quantity: int
    unit_price: MoneyAmount


class ExchangeView(Document):
    """The goods that the customer gets in exchange for a return.

    `order_id` is the order that was `placed`. An exchange has `failed` if its order couldn't be
    placed, and is `dropped` if all units of the return were rejected. The failure is null for
    customers.
    """

    status: Literal["pending", "placed", "failed", "dropped"]
    items: tuple[ExchangeLineView, ...]
    order_id: UUID | None
    order_number: str | None
    failure: str | None


class ReturnedUnitsView(UnitsView):
    """Units of a line that the customer returns.

    The units that aren't `restocked`, `damaged` or `rejected` yet may still arrive.
    """

    reason: e.ReturnReason
    restocked: int
    damaged: int
    rejected: int


class ReturnView(Document):
    """A return of units by the customer.

    The return is closed when all units were received or rejected. The reason of a rejection is null
    for customers.
    """

    return_id: UUID
    status: Literal["requested", "received", "rejected"]
    items: tuple[ReturnedUnitsView, ...]
    rejection: str | None
    exchange: ExchangeView | None = None
    requested_at: datetime
    closed_at: datetime | None


class NoteView(Document):
    """A note. Customers see the notes that are for them, without the author."""

    note_id: UUID
    text: Annotated[str, Field(examples=["Call before delivery."])]
    visibility: e.Visibility
    by: str | None
    at: datetime


class PriceView(Document):
    """A list price in one currency."""

    amount: MoneyAmount
    currency: CurrencyCode


class ExpectationView(Document):
    """Units of a product that are expected to come in at a time."""

    at: datetime
    quantity: int


class QueuedLine(Document):
    """The units of a line that aren't packed yet, or are packed and not dispatched yet.

    Units that don't `requires_shipping` are handed over instead.
    """

    product_id: ProductId
    sku: Sku
    name: ProductName
    open: int
    packed: int
    requires_shipping: bool = True
