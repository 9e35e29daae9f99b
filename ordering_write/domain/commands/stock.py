"""Commands about products in stock."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from config.fields.amount import Amount
from config.fields.pattern import Pattern
from config.fields.text import Text
from ordering_write.domain.commands.base import Command, PlannedTime
from ordering_write.domain.events import AdjustmentReason
from ordering_write.domain.values import ADDED, ADDED_TRUE, Currency, ProductId

TaxClass = Annotated[
    str,
    Field(strict=True, max_length=40, examples=["food"]),
    Pattern(
        r"^[a-z0-9]+([-_][a-z0-9]+)*$",
        "A tax class is lower-case letters and digits, joined by hyphens or underscores, "
        "such as food",
    ),
]
Level = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Sku = Annotated[str, Text(max_length=64), Field(examples=["LAMP-1"])]
ProductName = Annotated[str, Text(max_length=200), Field(examples=["Lamp"])]
ReorderPoint = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
# Marks a field that a release has added, as ADDED does, and that can be False.
_IF_GIVEN = Field(exclude_if=lambda value: value is None)


def _not_zero(delta: int) -> int:
    if delta == 0:
        raise PydanticCustomError("not_zero", "An adjustment by 0 changes nothing")
    return delta


class RegisterStockItem(Command):
    """Register a product with its opening stock."""

    sku: Sku
    name: ProductName
    on_hand: Level
    product_id: ProductId | None = None
    list_price: Annotated[Amount | None, Field(examples=["39.90"])] = None
    currency: Currency | None = None
    reorder_point: ReorderPoint = 0
    backorderable: Annotated[bool, Field(strict=True)] = False
    tax_class: Annotated[TaxClass | None, ADDED] = None
    requires_shipping: Annotated[bool, Field(strict=True), ADDED_TRUE] = True


class ReceiveStock(Command):
    """Add units that came in to the stock."""

    product_id: UUID
    quantity: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    reference: Annotated[str, Text(max_length=100, min_length=0)] = ""


class ExpectStock(Command):
    """Expect units of a product to come in at a time; 0 units withdraw the expectation.

    The number replaces the number that was expected at this time. Units that come in are taken from
    the earliest expectation.
    """

    product_id: UUID
    quantity: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
    at: Annotated[PlannedTime, Field(examples=["2099-03-01T12:00:00Z"])]


class AdjustStock(Command):
    """Correct the stock by ``delta`` units, which is negative for fewer units."""

    product_id: UUID
    delta: Annotated[
        int, Field(strict=True, ge=-1_000_000, le=1_000_000), AfterValidator(_not_zero)
    ]
    reason: AdjustmentReason
    comment: Annotated[str, Text(max_length=500, min_length=0, lines=True)] = ""


class RenameStockItem(Command):
    """Give a product another name; existing orders keep the name that they were placed with."""

    product_id: UUID
    name: ProductName


class DiscontinueStockItem(Command):
    """Take no more orders of a product; reserved units are still sent."""

    product_id: UUID


class ReinstateStockItem(Command):
    """Take orders of a discontinued product again."""

    product_id: UUID


class SetListPrice(Command):
    """Set or remove the list price of a unit in one currency; existing orders keep their prices.

    Without ``currency``, the price is in the first currency of the product.
    """

    product_id: UUID
    list_price: Annotated[Amount | None, Field(examples=["39.90"])]
    currency: Currency | None = None


class SetTaxClass(Command):
    """Set or remove the tax class of a product; existing orders keep theirs."""

    product_id: UUID
    tax_class: TaxClass | None


class SetStockPolicy(Command):
    """Set the reorder point of a product, and whether it can be oversold and requires shipping.

    Existing orders are shipped, or handed over, as before.
    """

    product_id: UUID
    reorder_point: ReorderPoint | None = None
    backorderable: Annotated[bool, Field(strict=True)] | None = None
    requires_shipping: Annotated[bool | None, Field(strict=True), _IF_GIVEN] = None
