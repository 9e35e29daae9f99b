"""What has happened, in the past tense: the only thing that the write side tells the world.

An event's own fields are facts; ``timestamp`` says when they became true (UTC). The envelope (who,
by which command, at which place in the log) is added when the aggregate is saved. Fields named in
``personal`` are kept beside the log, so that they can be erased.

What was stored is never rewritten. An event type whose fields change gets the next
``schema_version``, and an upcaster that turns the payloads of the version before into its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SkipValidation

from ordering_write.domain.values import ERASED, Actor, Channel, Money, Value


class OrderStatus(StrEnum):
    """Where an order is on its way; derived from the ledger of its lines, never set."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    PROCESSING = "processing"
    PARTIALLY_SHIPPED = "partially_shipped"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


# From each status, the statuses that a whole order can be moved to.
WHOLE_ORDER_MOVES: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    OrderStatus.PENDING: (OrderStatus.CONFIRMED, OrderStatus.CANCELLED),
    OrderStatus.CONFIRMED: (OrderStatus.PROCESSING, OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.PROCESSING: (OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.PARTIALLY_SHIPPED: (OrderStatus.SHIPPED,),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED,),
    OrderStatus.DELIVERED: (OrderStatus.COMPLETED,),
    OrderStatus.COMPLETED: (),
    OrderStatus.CANCELLED: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the log knows about an event beside the event itself. ``position`` is None until the
    sequencer has given one."""

    event_id: UUID
    stream: str
    version: int
    actor: Actor
    channel: Channel
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    recorded_at: datetime
    position: int | None = None


# Makes of the payload of one schema version that of the next: a new mapping, the old one unchanged.
Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class UnknownSchemaVersionError(Exception):
    """An event was stored with a schema version that this code doesn't know."""


class DomainEvent(BaseModel):
    """The base of all events. Subclasses are found by their class name, which is their type; not
    those that are defined with ``stored=False``, since no event of exactly these is ever stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: ClassVar[int] = 1
    # By the version that each one begins with: 1, 2 and so on up to the one before schema_version.
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    personal: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[dict[str, type["DomainEvent"]]] = {}

    timestamp: AwareDatetime
    envelope: SkipValidation[Envelope | None] = Field(default=None, exclude=True, repr=False)

    def __init_subclass__(cls, *, stored: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if stored:
            DomainEvent.types[cls.__name__] = cls

    @property
    def type(self) -> str:
        return type(self).__name__

    @property
    def recorded(self) -> Envelope:
        """The envelope of an event that was saved; an error for one that wasn't."""
        if self.envelope is None:
            raise ValueError(f"{self.type} has not been saved.")
        return self.envelope

    @classmethod
    def erased_fields(cls) -> dict[str, Any]:
        """What stands for the personal fields once they have been erased."""
        return {}

    def encode(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its payload as it is stored: the fields for the log, and the personal ones beside it."""
        # exclude_none keeps a payload to what the event says; what it doesn't say has a default.
        fields = self.model_dump(mode="json", exclude={"timestamp"}, exclude_none=True)
        return fields, {name: fields.pop(name) for name in self.personal if name in fields}

    @classmethod
    def decode(
        cls,
        *,
        schema_version: int,
        timestamp: datetime,
        fields: Mapping[str, Any],
        personal: Mapping[str, Any] | None,
        envelope: Envelope | None = None,
    ) -> Self:
        """The event that was stored with this ``schema_version``, as the present one tells it.

        ``personal`` is None when it has been erased. Raises UnknownSchemaVersionError, pydantic's
        ValidationError when the payload isn't one of this event, and what an upcaster raises.
        """
        if not 1 <= schema_version <= cls.schema_version:
            raise UnknownSchemaVersionError(
                f"schema version {schema_version} is unknown, the newest is {cls.schema_version}"
            )
        payload = {**fields, **personal} if personal else fields
        for version in range(schema_version, cls.schema_version):
            payload = cls.upcasters[version](payload)
        beside = cls.erased_fields() if personal is None else {}
        return cls.model_validate(
            {**payload, **beside, "timestamp": timestamp, "envelope": envelope}
        )


class UndecodableEvent(DomainEvent, stored=False):
    """Stands for an event of the log that this code can't read, so that the others still can be."""

    stored_type: str
    reason: str

    @property
    def type(self) -> str:
        return self.stored_type


# --- Values inside events ----------------------------------------------------------------------
class Person(Value):
    """A customer as the log remembers one: personal."""

    name: str
    email: str


class PostalAddress(Value):
    """An address as the log remembers one: personal, and checked when the command came in."""

    name: str
    line1: str
    line2: str = ""
    city: str
    region: str = ""
    postal_code: str = ""
    country: str
    phone: str = ""


ERASED_PERSON = {"name": ERASED, "email": ERASED}
ERASED_ADDRESS = {"name": ERASED, "line1": ERASED, "city": ERASED, "country": ERASED}


class Units(Value):
    """Some units of one line."""

    line_id: UUID
    quantity: int


class ReleasedUnits(Units):
    """Units of a line that went back to stock."""

    product_id: UUID


# --- Order -------------------------------------------------------------------------------------
class OrderEvent(DomainEvent, stored=False):
    """The base of an order's events. Each says whose order it is and its ``status`` after it.

    ``status_before``, ``total``, ``balance`` and ``item_count`` are given when the event changed
    them, so that a reader assigns and counts without knowing the rules.
    """

    order_id: UUID
    customer_id: UUID | None = None
    status: OrderStatus | None = None
    status_before: OrderStatus | None = None
    total: Money | None = None
    balance: Money | None = None
    item_count: int | None = None


class OrderCreated(OrderEvent):
    personal = frozenset({"customer", "shipping_address", "billing_address"})

    customer_id: UUID
    order_number: str
    customer: Person
    shipping_address: PostalAddress
    billing_address: PostalAddress | None = None
    currency: str
    placed_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    # Who gave the external reference, which is unique for each source.
    source: str
    external_reference: str | None = None

    @classmethod
    def erased_fields(cls) -> dict[str, Any]:
        return {"customer": ERASED_PERSON, "shipping_address": ERASED_ADDRESS}


class OrderItemAdded(OrderEvent):
    line_id: UUID
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Money
    line_total: Money
    price_source: Literal["client", "list"]


class OrderAdjustmentAdded(OrderEvent):
    kind: Literal["shipping", "discount", "tax", "fee"]
    label: str
    amount: Money
    rate: Decimal | None = None


class OrderTagged(OrderEvent):
    tag: str


class NoteAdded(OrderEvent):
    personal = frozenset({"text"})

    note_id: UUID
    text: str
    visibility: Literal["internal", "customer"]

    @classmethod
    def erased_fields(cls) -> dict[str, Any]:
        return {"text": ERASED}


class OrderStatusChanged(OrderEvent):
    """A move that carries nothing else: confirmed, processing started, completed."""

    from_status: OrderStatus
    to_status: OrderStatus
    reason: str = ""


class OrderCancelled(OrderEvent):
    reason: str
    reason_code: str
    released: list[ReleasedUnits]


class ShipmentCreated(OrderEvent):
    shipment_id: UUID
    items: list[Units]


class ShipmentDispatched(OrderEvent):
    shipment_id: UUID
    items: list[Units]
    dispatched_at: AwareDatetime


class ShipmentDelivered(OrderEvent):
    shipment_id: UUID
    items: list[Units]


# --- Stock -------------------------------------------------------------------------------------
class StockEvent(DomainEvent, stored=False):
    """The base of a product's events; the three counters are those after it."""

    product_id: UUID
    on_hand: int = 0
    reserved: int = 0
    available: int = 0


class StockItemRegistered(StockEvent):
    sku: str
    name: str
    list_price: Money | None = None
    reorder_point: int = 0
    backorderable: bool = False


class StockReceived(StockEvent):
    quantity: int
    reference: str = ""


class StockReserved(StockEvent):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockReleased(StockEvent):
    order_id: UUID
    line_id: UUID
    quantity: int


class StockDispatched(StockEvent):
    order_id: UUID
    line_id: UUID
    quantity: int


# --- Customer ----------------------------------------------------------------------------------
class CustomerRegistered(DomainEvent):
    personal = frozenset({"name", "email", "phone"})

    customer_id: UUID
    name: str
    email: str
    phone: str = ""

    @classmethod
    def erased_fields(cls) -> dict[str, Any]:
        return {"name": ERASED, "email": ERASED}
