"""What people ask for, in the imperative: the payload they give and the envelope we add."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from config.http.money import Amount
from config.http.text import Text
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Actor, Address, Channel, Currency, Quantity, Value

Reason = Annotated[str, Text(max_length=500, lines=True)]
Tag = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Email = Annotated[
    str,
    Text(max_length=254),
    Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", examples=["ada@example.com"]),
]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Command(BaseModel):
    """The base of all commands: its fields are the envelope, those of a subclass the payload.

    ``command_id`` is also the idempotency key. ``timestamp`` is when it was asked for (UTC).
    ``customer_scope`` is the one customer whose things the command may touch, None for all.
    The defaults belong to whoever makes a command by hand; no rule reads a clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The right that it needs, for commands that stand for more than one it depends on the payload.
    permissions: ClassVar[dict[str, str]] = {}

    command_id: UUID = Field(default_factory=uuid7)
    timestamp: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    user_id: UUID
    actor: Actor | None = None
    channel: Channel = "python"
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    expected_version: int | None = None
    customer_scope: UUID | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "permissions" not in cls.__dict__:
            name = _snake(cls.__name__)
            cls.permissions = {name: f"Can {name.replace('_', ' ')}"}

    @property
    def by(self) -> Actor:
        """Who asks."""
        return self.actor or Actor.user(self.user_id)

    def needed_permission(self) -> str:
        """The permission that this very command needs, as Django writes it."""
        return f"ordering_write.{next(iter(self.permissions))}"

    def payload(self) -> dict[str, Any]:
        """What the caller asked for, without who, when and by which key; JSON types only."""
        return self.model_dump(mode="json", exclude=set(Command.model_fields))


# --- Order -------------------------------------------------------------------------------------
class NewItem(Value):
    """A line as it is ordered. ``unit_price`` is in the order's currency."""

    product_id: UUID
    quantity: Quantity
    unit_price: Amount


class Adjustment(Value):
    """What is added to the sum of the lines. A discount counts as less, the others as more."""

    kind: Literal["shipping", "discount", "tax", "fee"]
    label: Annotated[str, Text(max_length=100)]
    amount: Amount
    rate: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=4)] | None = None


class CreateOrder(Command):
    """Place an order: its lines are priced and reserved in the same moment."""

    customer_id: UUID
    items: Annotated[list[NewItem], Field(min_length=1, max_length=200)]
    shipping_address: Address
    currency: Currency | None = None
    billing_address: Address | None = None
    adjustments: Annotated[list[Adjustment], Field(max_length=20)] = []
    external_reference: Annotated[str, Text(max_length=100)] | None = None
    note: Annotated[str, Text(max_length=4000, lines=True)] | None = None
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    auto_confirm: Annotated[bool, Field(strict=True)] = False
    reserve_for: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=365))] | None = None


class CancelOrder(Command):
    """Cancel a whole order of which nothing has left yet; its stock goes back."""

    order_id: UUID
    reason: Reason
    reason_code: Literal[
        "customer", "declined", "fraud", "inventory", "staff", "expired", "other"
    ] = "other"


# The permission that each settable status asks for.
MOVES = {
    OrderStatus.CONFIRMED: "confirm_order",
    OrderStatus.PROCESSING: "process_order",
    OrderStatus.SHIPPED: "ship_order",
    OrderStatus.DELIVERED: "deliver_order",
    OrderStatus.COMPLETED: "complete_order",
    OrderStatus.CANCELLED: "cancel_order",
}


class UpdateOrderStatus(Command):
    """Move a whole order: confirm, start processing, ship, deliver, complete or cancel it."""

    # Who may move orders at all, and which way.
    permissions = {
        codename: f"Can {codename.replace('_', ' ')}"
        for codename in ("update_order_status", *MOVES.values())
        if codename != "cancel_order"
    }

    order_id: UUID
    status: OrderStatus
    reason: Reason | None = None

    def needed_permission(self) -> str:
        # A status that can't be set is refused by the aggregate; any mover may hear that.
        return f"ordering_write.{MOVES.get(self.status, 'confirm_order')}"


# --- Stock -------------------------------------------------------------------------------------
class RegisterStockItem(Command):
    """Make a product known, with what is in stock of it."""

    sku: Annotated[str, Text(max_length=64)]
    name: Annotated[str, Text(max_length=200)]
    on_hand: Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
    product_id: UUID | None = None
    list_price: Amount | None = None
    currency: Currency | None = None
    reorder_point: Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)] = 0
    backorderable: Annotated[bool, Field(strict=True)] = False


class ReceiveStock(Command):
    """Add units that came in."""

    product_id: UUID
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    reference: Annotated[str, Text(max_length=100, min_length=0)] = ""


# --- Customer ----------------------------------------------------------------------------------
class RegisterCustomer(Command):
    """Make a customer known."""

    name: Annotated[str, Text(max_length=200)]
    email: Email
    phone: Annotated[str, Text(max_length=40, min_length=0)] = ""
    customer_id: UUID | None = None
