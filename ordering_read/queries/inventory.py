"""The questions about stock."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django_filters import BooleanFilter, CharFilter
from pydantic import BaseModel, Field

from ordering_read.fields import CurrencyCode, Price, ProductId, ProductName, Sku, Version
from ordering_read.models import InventoryLevel
from ordering_read.models.inventory import with_oldest_reservation
from ordering_read.models.search import ProductSearch
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.queries.base import ListQuery, Page, Query, QueryHandler, View, shop_wide
from ordering_read.queries.filters import QueryFilterSet, Search, SearchText
from ordering_write.published import NotFoundError, quantize

Kind = StockMovement.Kind


class ProductNotFoundError(NotFoundError):
    """Product not found"""


class AvailabilityView(View):
    """A product and how much of it can be promised: what everybody may know."""

    product_id: ProductId
    sku: Sku
    name: ProductName
    available: int
    list_price: Price | None
    currency: CurrencyCode | None
    updated_at: datetime
    version: Version
    position: int


class ProductView(AvailabilityView):
    """A product and how much there is of it.

    It is low when no more is available than the reorder point. The oldest reservation is of those
    whose units haven't left.
    """

    on_hand: int
    reserved: int
    reorder_point: int
    backorderable: bool
    is_low: bool
    last_movement_at: datetime | None
    oldest_reservation_at: datetime | None


class StockMovementView(View):
    """Units of a product that came, went, were set aside or given back, or were found missing.

    `delta` is the change of `on_hand` and `reserved_delta` that of `reserved`; the levels are those
    after it.
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
    """One product."""

    product_id: UUID


class InventoryFilters(BaseModel):
    """What lists of products can be narrowed down by."""

    low: bool | None = Field(None, description="Whether the product is to be reordered.")
    sku: str | None = Field(None, max_length=64, description="Of this SKU only.")
    q: SearchText | None = Field(
        None, description="Words, or the beginnings of words, of a SKU or a name."
    )


class GetInventory(InventoryFilters, ListQuery[ProductView]):
    """The products, by SKU."""


class InventoryFilterSet(QueryFilterSet):
    """How each of them is asked of the rows."""

    low = BooleanFilter("is_low")
    sku = CharFilter()
    q = Search("product_id", ProductSearch)


class GetStockLedger(ListQuery[StockMovementView]):
    """The movements of a product, newest first; perhaps of one kind only."""

    product_id: UUID
    kind: Kind | None = None


class GetProductHandler(QueryHandler[GetProduct, ProductView]):
    """Reads one row."""

    def handle(self, query: GetProduct) -> ProductView:
        products = with_oldest_reservation(InventoryLevel.live.all())
        row = products.filter(product_id=query.product_id).first()
        if row is None:
            raise ProductNotFoundError
        return _view(row)


class GetInventoryHandler(QueryHandler[GetInventory, Page[ProductView]]):
    """Reads a page, in one statement."""

    def handle(self, query: GetInventory) -> Page[ProductView]:
        products = with_oldest_reservation(InventoryLevel.live.all())
        rows = InventoryFilterSet(query, products).qs
        return query.page_of(rows.order_by("sku"), _view)


class GetStockLedgerHandler(QueryHandler[GetStockLedger, Page[StockMovementView]]):
    """Reads a page, in one statement, and looks further when it has found nothing."""

    def handle(self, query: GetStockLedger) -> Page[StockMovementView]:
        rows = shop_wide(query, StockMovement.live.filter(product_id=query.product_id))
        if query.kind is not None:
            rows = rows.filter(kind=query.kind)
        page = query.page_of(rows.order_by("-version"), _movement_view)
        known = InventoryLevel.live.filter(product_id=query.product_id)
        if not page.items and not known.exists():
            raise ProductNotFoundError
        return page


def _view(row: Any) -> ProductView:
    price = None if row.list_price is None else quantize(row.list_price, row.currency)
    return ProductView(
        product_id=row.product_id,
        sku=row.sku,
        name=row.name,
        on_hand=row.on_hand,
        reserved=row.reserved,
        available=row.available,
        list_price=price,
        currency=row.currency or None,
        reorder_point=row.reorder_point,
        backorderable=row.backorderable,
        is_low=row.is_low,
        last_movement_at=row.last_movement_at,
        oldest_reservation_at=row.oldest_reservation_at,
        updated_at=row.updated_at,
        version=row.version,
        position=row.position,
    )


def _movement_view(row: StockMovement) -> StockMovementView:
    return StockMovementView(
        at=row.at,
        kind=Kind(row.kind),
        delta=row.delta,
        reserved_delta=row.reserved_delta,
        on_hand=row.on_hand,
        reserved=row.reserved,
        available=row.available,
        reference=row.reference,
        reason=row.reason,
        comment=row.comment,
        order_id=row.order_id,
        actor=row.actor,
        event_id=row.event_id,
        version=row.version,
        position=row.position,
    )
