"""Queries for stock."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.db.models import QuerySet
from pydantic import Field

from config.http.input.ids import PathId
from ordering_read.documents import ExpectationView, PriceView
from ordering_read.fields import (
    BLANK_AS_NONE,
    CurrencyCode,
    OptionalText,
    Price,
    ProductId,
    ProductName,
    Sku,
    Version,
)
from ordering_read.models import InventoryLevel
from ordering_read.models.inventory import with_oldest_reservation
from ordering_read.models.search import ProductSearch
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import SearchText, SkuText, search, spelled, where
from ordering_read.queries.lists import ListQuery, shop_wide
from ordering_read.queries.views import Page, View
from ordering_write.published import NotFoundError

Kind = StockMovement.Kind


class ProductNotFoundError(NotFoundError):
    """Product not found"""


class AvailabilityView(View):
    """A product and the number of available units; every user may see these fields.

    `list_price` is the price in the first currency of the product, and `prices` has all of them. No
    orders are taken since `discontinued_at`, null for a product that is sold. Units that don't
    `requires_shipping` are picked up or downloaded.
    """

    product_id: ProductId
    sku: Sku
    name: ProductName
    available: int
    list_price: Price | None
    currency: Annotated[CurrencyCode | None, BLANK_AS_NONE]
    prices: tuple[PriceView, ...]
    discontinued_at: datetime | None
    requires_shipping: bool
    tax_class: OptionalText
    updated_at: datetime
    version: Version
    position: int


class ProductView(AvailabilityView):
    """A product and its stock.

    `backordered` are the reserved units that no stock backs yet, and `expected` are the units that
    are expected to come in. `is_low` is true when the available units are at or below the reorder
    point.
    `oldest_reservation_at` is the time of the oldest reservation whose units aren't dispatched.
    """

    on_hand: int
    reserved: int
    reorder_point: int
    backorderable: bool
    backordered: int
    expected: tuple[ExpectationView, ...]
    is_low: bool
    last_movement_at: datetime | None
    oldest_reservation_at: datetime | None


class StockMovementView(View):
    """A change of the stock of a product.

    `delta` is the change of `on_hand`, and `reserved_delta` the change of `reserved`. `on_hand`,
    `reserved` and `available` are the levels after the movement.
    """

    at: datetime
    kind: Kind
    delta: int
    reserved_delta: int
    on_hand: int
    reserved: int
    available: int
    reference: str
    reason: Annotated[str, Field(examples=["damage"])]
    comment: str
    order_id: UUID | None
    actor: str
    event_id: UUID
    version: Version
    position: int


class GetProduct(Query[ProductView]):
    """Get one product."""

    product_id: PathId


class GetInventory(ListQuery[ProductView]):
    """List the products, by SKU."""

    low: Annotated[bool | None, where("is_low")] = Field(
        None, description="True for products to reorder, false for the others."
    )
    sku: Annotated[SkuText | None, spelled("sku")] = Field(
        None, description="The product with this SKU only, in any spelling."
    )
    q: Annotated[SearchText | None, search("product_id", ProductSearch)] = Field(
        None, description="Words, or the beginnings of words, of a SKU or a name."
    )

    def rows(self) -> QuerySet[InventoryLevel]:
        return self.select(with_oldest_reservation(InventoryLevel.live.all())).order_by("sku")


class GetStockLedger(ListQuery[StockMovementView]):
    """List the movements of a product, newest first."""

    product_id: Annotated[PathId, where("product_id")]
    kind: Annotated[Kind | None, where("kind")] = Field(
        None, description="Movements of this kind only."
    )

    def rows(self) -> QuerySet[StockMovement]:
        return self.select(shop_wide(self, StockMovement.live.all())).order_by("-version")


@handles(GetProduct)
class GetProductHandler(QueryHandler[GetProduct, ProductView]):
    """Reads one row."""

    def handle(self, query: GetProduct) -> ProductView:
        products = with_oldest_reservation(InventoryLevel.live.all())
        row = products.filter(product_id=query.product_id).first()
        if row is None:
            raise ProductNotFoundError
        return ProductView.of_row(row)


@handles(GetInventory)
class GetInventoryHandler(QueryHandler[GetInventory, Page[ProductView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetInventory) -> Page[ProductView]:
        return query.page_of(query.rows(), ProductView.of_row)


@handles(GetStockLedger)
class GetStockLedgerHandler(QueryHandler[GetStockLedger, Page[StockMovementView]]):
    """Reads a page, in one statement; for an empty page, checks that the product exists."""

    def handle(self, query: GetStockLedger) -> Page[StockMovementView]:
        page = query.page_of(query.rows(), StockMovementView.of_row)
        product = InventoryLevel.live.filter(product_id=query.product_id)
        if not page.items and not product.exists():
            raise ProductNotFoundError
        return page
