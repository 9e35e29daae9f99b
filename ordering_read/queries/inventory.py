"""The questions about stock."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ordering_read.models import InventoryLevel
from ordering_read.queries.base import ListQuery, Page, Query, QueryHandler, View
from ordering_write.published import NotFoundError, quantize


class ProductNotFoundError(NotFoundError):
    """Product not found"""


class AvailabilityView(View):
    """A product and how much of it can be promised: what everybody may know."""

    product_id: UUID
    sku: str
    name: str
    available: int
    list_price: Decimal | None
    currency: str | None
    updated_at: datetime
    version: int
    position: int


class ProductView(AvailabilityView):
    """A product and how much there is of it."""

    on_hand: int
    reserved: int
    reorder_point: int


class GetProduct(Query[ProductView]):
    """One product."""

    product_id: UUID


class GetInventory(ListQuery[ProductView]):
    """The products, by SKU."""


class GetProductHandler(QueryHandler[GetProduct, ProductView]):
    """Reads one row."""

    def handle(self, query: GetProduct) -> ProductView:
        row = InventoryLevel.live.filter(product_id=query.product_id).first()
        if row is None:
            raise ProductNotFoundError
        return _view(row)


class GetInventoryHandler(QueryHandler[GetInventory, Page[ProductView]]):
    """Reads a page, in two statements."""

    def handle(self, query: GetInventory) -> Page[ProductView]:
        return query.page_of(InventoryLevel.live.order_by("sku"), _view)


def _view(row: InventoryLevel) -> ProductView:
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
        updated_at=row.updated_at,
        version=row.version,
        position=row.position,
    )
