"""What command endpoints read and answer, as pydantic models; the OpenAPI pages show them."""

from collections.abc import Collection
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, create_model

from ordering_write.domain.commands import Command
from ordering_write.domain.events import OrderStatus


@cache
def body_of(command_type: type[Command], in_path: Collection[str] = ()) -> type[BaseModel]:
    """The model of the HTTP body of a command: its payload without what the path says."""
    left_out = {*Command.model_fields, *in_path}
    fields: dict[str, Any] = {
        name: (field.annotation, field)
        for name, field in command_type.model_fields.items()
        if name not in left_out
    }
    return create_model(
        f"{command_type.__name__}Body",
        __config__=ConfigDict(frozen=True, extra="forbid"),
        __doc__=command_type.__doc__,
        **fields,
    )


class RecordedEvent(BaseModel):
    """An event that the command caused."""

    type: str
    version: int
    event_id: UUID


class OrderOutcome(BaseModel):
    """The order after the command."""

    order_id: UUID
    status: OrderStatus
    version: int
    events: list[RecordedEvent]


class PlacedOrder(OrderOutcome):
    """The order that was placed."""

    order_number: str
    links: dict[str, str]


class ProductOutcome(BaseModel):
    """The product after the command."""

    product_id: UUID
    version: int


class CustomerOutcome(BaseModel):
    """The customer after the command."""

    customer_id: UUID
    version: int
