"""Request and response bodies of the command endpoints; the OpenAPI pages show them."""

from collections.abc import Collection
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model

from ordering_write.domain.commands import Command
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import CustomerId, ProductId, Version


@cache
def body_of(
    command_type: type[Command], in_path: Collection[str] = (), *, name: str = ""
) -> type[BaseModel]:
    """Return the model of a command's request body: the payload without the fields ``in_path``.

    ``name`` replaces the command's name, for its second route.
    """
    excluded = {*Command.model_fields, *in_path}
    fields: dict[str, Any] = {
        field_name: (field.annotation, field)
        for field_name, field in command_type.model_fields.items()
        if field_name not in excluded
    }
    return create_model(
        f"{name or command_type.__name__}Body",
        __config__=ConfigDict(frozen=True, extra="forbid", defer_build=True),
        __doc__=command_type.__doc__,
        **fields,
    )


class RecordedEvent(BaseModel):
    """An event that the command caused."""

    type: Annotated[str, Field(examples=["OrderConfirmed"])]
    version: Version
    event_id: UUID


class OrderOutcome(BaseModel):
    """The order after the command."""

    order_id: UUID
    status: OrderStatus
    version: Version
    events: list[RecordedEvent]


class ProductOutcome(BaseModel):
    """The product after the command."""

    product_id: ProductId
    version: Version
    events: list[RecordedEvent]


class CustomerOutcome(BaseModel):
    """The customer after the command."""

    customer_id: CustomerId
    version: Version
    events: list[RecordedEvent]


class New(BaseModel):
    """Links to something new and to the commands about it."""

    links: dict[str, str]


class NewOrder(New, OrderOutcome):
    """The order that was placed."""

    order_id: UUID
    order_number: Annotated[str, Field(examples=["2026-000123"])]


class NewShipment(New, OrderOutcome):
    """The order with the shipment that was packed."""

    shipment_id: UUID


class NewPayment(New, OrderOutcome):
    """The order with the payment that was recorded."""

    payment_id: Annotated[str, Field(examples=["payment-1"])]


class NewCapture(New, OrderOutcome):
    """The order with the capture that was requested."""

    capture_id: UUID


class NewRefund(New, OrderOutcome):
    """The order with the refund that was requested or recorded."""

    refund_id: UUID


class NewReturn(New, OrderOutcome):
    """The order with the return that was requested."""

    return_id: UUID


class NewAdjustment(New, OrderOutcome):
    """The order with the discount or charge that was added."""

    adjustment_id: UUID


class NewNote(New, OrderOutcome):
    """The order with the note that was added."""

    note_id: UUID


class NewProduct(New, ProductOutcome):
    """The product that was registered."""

    product_id: ProductId


class NewCustomer(New, CustomerOutcome):
    """The customer who was registered."""

    customer_id: CustomerId
