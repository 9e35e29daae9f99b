"""Commands about the whole order, its lines, and its notes and tags."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from config.fields.pattern import Pattern
from config.fields.text import Text
from ordering_write.domain.commands.amounts import Adjustment, Discount, NewTaxes
from ordering_write.domain.commands.base import Command, Reason
from ordering_write.domain.commands.customer import Email, Name, Phone
from ordering_write.domain.events import HoldReason, OrderStatus, Visibility
from ordering_write.domain.metadata import Metadata, MetadataChanges
from ordering_write.domain.values import (
    ADDED,
    ADDED_TRUE,
    Actor,
    Address,
    Currency,
    CustomerId,
    Price,
    ProductId,
    Quantity,
    Value,
)

Tag = Annotated[
    str,
    Field(strict=True, max_length=40),
    Pattern(
        r"^[a-z0-9]+(-[a-z0-9]+)*$",
        "A tag is lower-case letters and digits, joined by single hyphens, such as gift-wrap",
    ),
]
Note = Annotated[str, Text(max_length=4000, lines=True)]
# The number of the customer's purchase order.
PoNumber = Annotated[str, Text(max_length=100), Field(examples=["PO-4711"])]
PriceReason = Annotated[str, Text(max_length=200)]


class PricedItem(Value):
    """Units of a product, to become a line of an order.

    ``unit_price`` is in the order's currency; ``price_reason`` explains another price than the list
    price. ``discount`` is on the whole line. ``taxes`` replace those that the shop would calculate.
    Units of a product that requires shipping need none if ``requires_shipping`` is False: the
    customer picks the units up, or downloads them.
    """

    product_id: ProductId
    quantity: Quantity
    unit_price: Price
    price_reason: PriceReason | None = None
    discount: Annotated[Discount | None, ADDED] = None
    taxes: Annotated[NewTaxes | None, ADDED] = None
    requires_shipping: Annotated[bool | None, Field(strict=True), ADDED_TRUE] = None


class NewItem(PricedItem):
    """A line of a new order.

    ``unit_price`` is in the order's currency; ``price_reason`` explains another price than the list
    price. ``discount`` is on the whole line. ``taxes`` replace those that the shop would calculate.
    Units of a product that requires shipping need none if ``requires_shipping`` is False: the
    customer picks the units up, or downloads them.
    """

    metadata: Annotated[Metadata, ADDED] = {}

    @model_validator(mode="before")
    @classmethod
    def _of_line(cls, item: Any) -> Any:
        # A program may pass the lines of an order: OrderItem(product_id=…, quantity=2, …).
        if isinstance(item, cls) or not hasattr(item, "unit_price"):
            return item
        return {name: getattr(item, name) for name in ("product_id", "quantity", "unit_price")}


_ADDRESS = {
    "name": "Robin Sample",
    "line1": "1 Example Street",
    "city": "Sampleton",
    "country": "ES",
}


class Guest(Value):
    """A customer by name and e-mail address, who may be new. Only a new one gets the ``phone``."""

    name: Name
    email: Email
    phone: Annotated[Phone, ADDED] = ""


def _id_or_guest(customer_id: UUID | None, info: ValidationInfo) -> UUID | None:
    if "customer" not in info.data:
        # The guest isn't valid, and is refused already.
        return customer_id
    if customer_id is None and info.data["customer"] is None:
        raise PydanticCustomError("missing", "Field required")
    if customer_id is not None and info.data["customer"] is not None:
        raise PydanticCustomError("customer_twice", "Give customer_id or customer, not both")
    return customer_id


class CreateOrder(Command):
    """Place an order: price its lines and reserve their units at once.

    The order names the customer by `customer_id`; or the shop gives `customer`, a name and an
    e-mail address, for the customer with that address, or for a new one if nobody has it. An order
    of which no line requires shipping needs no `shipping_address`.
    """

    customer: Annotated[Guest | None, ADDED] = None
    customer_id: Annotated[
        CustomerId | None, AfterValidator(_id_or_guest), Field(validate_default=True)
    ] = None
    items: Annotated[list[NewItem], Field(min_length=1, max_length=200)]
    shipping_address: Annotated[Address | None, Field(examples=[_ADDRESS])] = None
    currency: Currency | None = None
    billing_address: Address | None = None
    adjustments: Annotated[list[Adjustment], Field(max_length=20)] = []
    external_reference: Annotated[str, Text(max_length=100)] | None = None
    replaces_order_id: UUID | None = None
    note: Note | None = None
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    po_number: Annotated[PoNumber | None, ADDED] = None
    metadata: Annotated[Metadata, ADDED] = {}
    auto_confirm: Annotated[bool, Field(strict=True)] = False
    reserve_for: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=365))] | None = None

    @property
    def by(self) -> Actor:
        """The actor; another actor than the customer acts on behalf of the customer."""
        if self.customer_scope is not None or self.customer_id is None:
            return super().by
        return super().by.model_copy(update={"on_behalf_of": str(self.customer_id)})


# --- Moving the whole order ----------------------------------------------------------------------
class ConfirmOrder(Command):
    """Accept a pending order, so that it can be fulfilled."""

    order_id: UUID


class StartProcessing(Command):
    """Start picking a confirmed order."""

    order_id: UUID


class CompleteOrder(Command):
    """Close an order once no unit is in transit."""

    order_id: UUID


class CancelOrder(Command):
    """Cancel a whole order before any unit has left, and release its stock."""

    order_id: UUID
    reason: Reason
    reason_code: Literal[
        "customer", "declined", "fraud", "inventory", "staff", "expired", "other"
    ] = "other"


class ExpireOrder(Command):
    """Cancel a pending order that wasn't paid in time."""

    order_id: UUID


class UpdateOrderStatus(Command):
    """Move a whole order: confirm, start processing, ship, deliver, complete or cancel it."""

    order_id: UUID
    status: OrderStatus
    reason: Reason | None = None


class PlaceHold(Command):
    """Keep an order from being confirmed, picked, packed and dispatched until it is released."""

    order_id: UUID
    reason: HoldReason
    note: Annotated[str, Text(max_length=500, min_length=0, lines=True)] = ""


class ReleaseHold(Command):
    """Release the hold of an order."""

    order_id: UUID
    note: Annotated[str, Text(max_length=500, min_length=0, lines=True)] = ""


# --- Editing the order ---------------------------------------------------------------------------
class AddOrderItem(Command):
    """Add a line to an order before picking starts, and reserve its units."""

    needs_expected_version = True

    order_id: UUID
    product_id: ProductId
    quantity: Quantity
    unit_price: Price
    price_reason: PriceReason | None = None
    discount: Annotated[Discount | None, ADDED] = None
    taxes: Annotated[NewTaxes | None, ADDED] = None
    requires_shipping: Annotated[bool | None, Field(strict=True), ADDED_TRUE] = None
    metadata: Annotated[Metadata, ADDED] = {}


class ChangeItemQuantity(Command):
    """Change the units ordered of a line, cancelled units included, before picking starts."""

    needs_expected_version = True

    order_id: UUID
    line_id: UUID
    new_quantity: Quantity


class LineQuantity(Value):
    """Units of one line."""

    line_id: UUID
    quantity: Quantity


Lines = Annotated[list[LineQuantity], Field(min_length=1, max_length=200)]


class CancelOrderItems(Command):
    """Cancel units that aren't packed yet, line by line."""

    order_id: UUID
    items: Lines
    reason: Reason


class ChangeShippingAddress(Command):
    """Change the shipping address before any unit has left."""

    needs_expected_version = True

    order_id: UUID
    shipping_address: Address


# --- Notes, tags, assignee -----------------------------------------------------------------------
class AddNote(Command):
    """Add a note to an order, for the shop only or for the customer too."""

    order_id: UUID
    text: Annotated[Note, Field(examples=["Call before delivery."])]
    visibility: Visibility = Visibility.INTERNAL


class RedactNote(Command):
    """Erase the text of a note for good; the note itself stays."""

    order_id: UUID
    note_id: UUID


class TagOrder(Command):
    """Add a tag to an order."""

    order_id: UUID
    tag: Annotated[Tag, Field(examples=["gift"], description="The tag, one word or a few.")]


class UntagOrder(Command):
    """Remove a tag from an order."""

    order_id: UUID
    tag: Annotated[Tag, Field(examples=["gift"], description="The tag, one word or a few.")]


class SetOrderMetadata(Command):
    """Set or remove pairs of the metadata of an order. Other pairs stay.

    A value of null removes its pair.
    """

    order_id: UUID
    metadata: MetadataChanges


class SetLineMetadata(Command):
    """Set or remove pairs of the metadata of a line. Other pairs stay.

    A value of null removes its pair.
    """

    order_id: UUID
    line_id: UUID
    metadata: MetadataChanges


class SetPoNumber(Command):
    """Set the number of the customer's purchase order, or remove it."""

    order_id: UUID
    po_number: PoNumber | None = None


class AssignOrder(Command):
    """Make a member of staff, or nobody, responsible for an order."""

    order_id: UUID
    assignee: Annotated[str, Text(max_length=150), Field(examples=["clerk"])] | None = None
