"""Reading stock."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.errors import PermissionMissingError
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import (
    ProductBody,
    ProductPageBody,
    StockMovementBody,
    StockMovementPageBody,
)
from ordering_read.api.parameters import (
    ID,
    KIND,
    PAGE,
    InventoryParameters,
    MovementParameters,
    documented,
)
from ordering_read.queries import (
    GetInventory,
    GetProduct,
    GetStockLedger,
    ProductNotFoundError,
    ProductView,
)
from ordering_read.queries.inventory import InventoryFilters


class InventoryViewSet(QueryViewSet):
    """The safe methods of /inventory."""

    titles = ("Inventory", "Product")
    needed_permissions = {
        "list": permissions.VIEW_INVENTORY,
        "retrieve": permissions.VIEW_INVENTORY,
        "movements": permissions.VIEW_STOCK_LEVELS,
    }
    reads = {
        "list": ("inventory_level",),
        "retrieve": ("inventory_level",),
        "movements": ("stock_ledger", "inventory_level"),
    }

    @extend_schema(
        operation_id="product_list",
        summary="List products",
        parameters=[*documented(InventoryFilters), *PAGE],
        responses=ProductPageBody,
    )
    def list(self, request: Request) -> Response:
        """The products and how much there is of them, by SKU.

        `low` is for who may see what is on hand and reserved.
        """
        asked = parse_query(request, InventoryParameters)
        if asked.low is not None and not request.user.has_perm(permissions.VIEW_STOCK_LEVELS):
            raise PermissionMissingError(permissions.VIEW_STOCK_LEVELS)
        page = self.ask(GetInventory(**dict(asked)))
        results = [self._body(request, product) for product in page.items]
        return self.answer_page(page, results)

    @extend_schema(
        operation_id="product_get",
        summary="Show a product",
        parameters=[ID],
        responses=ProductBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """A product and how much there is of it."""
        parse_query(request, Parameters)
        product = self.ask(GetProduct(product_id=path_id(pk, ProductNotFoundError)))
        return self.answer_one(self._body(request, product), product)

    @extend_schema(
        operation_id="product_movements",
        summary="List a product's movements",
        parameters=[ID, KIND, *PAGE],
        responses=StockMovementPageBody,
    )
    @action(detail=True)
    def movements(self, request: Request, pk: str) -> Response:
        """What came, went, was set aside and was given back of a product, newest first."""
        asked = parse_query(request, MovementParameters)
        product_id = path_id(pk, ProductNotFoundError)
        page = self.ask(GetStockLedger(product_id=product_id, **dict(asked)))
        results = [StockMovementBody.of(movement, request) for movement in page.items]
        return self.answer_page(page, results)

    def _body(self, request: Request, product: ProductView) -> ProductBody:
        with_levels = request.user.has_perm(permissions.VIEW_STOCK_LEVELS)
        return ProductBody.of(product, request, with_levels=with_levels)
