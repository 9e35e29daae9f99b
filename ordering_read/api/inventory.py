"""Addresses below /inventory: products and the movements of their stock."""

from datetime import datetime
from typing import Annotated

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.errors import PermissionMissingError
from ordering_read import permissions
from ordering_read.api.bodies import Linked, Links, LinkTo, PageBody, Row
from ordering_read.api.headers import FILE_NAME
from ordering_read.api.list_files import FileViewSet, documented
from ordering_read.api.parameters import parameters_of
from ordering_read.documents import ExpectationView
from ordering_read.engine.gaps import Streams
from ordering_read.queries.inventory import (
    AvailabilityView,
    GetInventory,
    GetProduct,
    GetStockLedger,
    ProductView,
    StockMovementView,
)

_LEVELS = ProductView.model_fields.keys() - AvailabilityView.model_fields.keys()


class ProductLinks(Links):
    """The address of the product."""

    self: Annotated[str, LinkTo("product-detail", "product_id")]


class ProductBody(Linked, AvailabilityView, Row):
    """A product. Users who may see only `available` get null for all other levels."""

    on_hand: int | None
    reserved: int | None
    reorder_point: int | None
    backorderable: bool | None
    backordered: int | None
    expected: tuple[ExpectationView, ...] | None
    is_low: bool | None
    last_movement_at: datetime | None
    oldest_reservation_at: datetime | None
    links: ProductLinks

    def streams(self) -> Streams:
        return {"inventory_level": [f"stock-{self.product_id}"]}


class MovementLinks(Links):
    """The address of the order that the units are for."""

    order: Annotated[str | None, LinkTo("order-detail", "order_id")]


class StockMovementBody(Linked, StockMovementView, Row):
    """A change of the stock of a product: `delta` is the change of the units on hand,
    `reserved_delta` the change of the reserved units."""

    links: MovementLinks


def product_body(product: ProductView, request: Request) -> ProductBody:
    """Return the body of ``product``, with null for levels that the user may not see."""
    sees_levels = request.user.has_perm(permissions.VIEW_STOCK_LEVELS)
    return ProductBody.of(product, request, **({} if sees_levels else dict.fromkeys(_LEVELS)))


class InventoryViewSet(FileViewSet):
    """The safe methods of /inventory."""

    titles = ("Inventory", "Product")
    stream_prefix = "stock"
    impersonal_actions = frozenset({"list", "retrieve"})
    needed_permissions = {
        "list": permissions.VIEW_INVENTORY,
        "retrieve": permissions.VIEW_INVENTORY,
        "movements": permissions.VIEW_STOCK_LEVELS,
    }
    files = {"list": "stock", "movements": "stock-movements"}
    reads = {
        "list": ("inventory_level",),
        "retrieve": ("inventory_level",),
        "movements": ("stock_ledger", "inventory_level"),
    }

    @extend_schema(
        operation_id="product_list",
        summary="List products",
        parameters=[*parameters_of(GetInventory), FILE_NAME],
        responses=documented(PageBody[ProductBody]),
    )
    def list(self, request: Request) -> Response:
        """Lists the products with their stock, by SKU.

        `low` is for users who may see the units on hand and reserved.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.view_stock_levels`.
        """
        query = self.query(GetInventory)
        if query.low is not None and not request.user.has_perm(permissions.VIEW_STOCK_LEVELS):
            raise PermissionMissingError(permissions.VIEW_STOCK_LEVELS)
        return self.answer_list(query, product_body)

    @extend_schema(
        operation_id="product_get",
        summary="Show a product",
        responses=ProductBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows a product with its stock."""
        product = self.ask(self.query(GetProduct, product_id=pk))
        return self.answer_one(product_body(product, request), product)

    @extend_schema(
        operation_id="product_movements",
        summary="List a product's movements",
        parameters=[*parameters_of(GetStockLedger), FILE_NAME],
        responses=documented(PageBody[StockMovementBody]),
    )
    @action(detail=True)
    def movements(self, request: Request, pk: str) -> Response:
        """Lists the changes of a product's stock, newest first.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.view_stock_levels`.
        """
        query = self.query(GetStockLedger, product_id=pk)
        streams = {"stock_ledger": [f"stock-{query.product_id}"]}
        return self.answer_list(query, StockMovementBody.of, streams=streams)
