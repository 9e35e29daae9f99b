"""The address /search: orders, customers and products by a few words."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import address
from ordering_read.api.customers import CustomerBody, customer_body
from ordering_read.api.inventory import ProductBody, product_body
from ordering_read.api.order_bodies import OrderBody
from ordering_read.api.parameters import parameters_of
from ordering_read.queries import View
from ordering_read.queries.search import SearchOrders


class SearchBody(View):
    """The first ten results of each kind; none of a kind that the user may not see.

    `redirect` is the address of the only thing with exactly this number, reference, e-mail address
    or SKU; null when there is none or more than one.
    """

    orders: list[OrderBody]
    customers: list[CustomerBody]
    products: list[ProductBody]
    redirect: str | None


class SearchViewSet(QueryViewSet):
    """GET /search."""

    titles = ("Search", "Hit")
    needed_permissions = {"list": permissions.VIEW_ORDERS}
    reads = {"list": ("order_view", "customer_view", "inventory_level")}

    @extend_schema(
        operation_id="search",
        summary="Search orders, customers and products",
        parameters=parameters_of(SearchOrders),
        responses=SearchBody,
    )
    def list(self, request: Request) -> Response:
        """Finds orders, best first, and customers and products.

        Each word may be the beginning of a longer one; a result has all of them. Users who may not
        see personal data find nothing by it.
        """
        query = self.query(
            SearchOrders,
            customers=request.user.has_perm(permissions.VIEW_CUSTOMERS),
            products=request.user.has_perm(permissions.VIEW_INVENTORY),
        )
        result = self.ask(query)
        match = result.exact
        body = SearchBody(
            orders=[OrderBody.of(order, request) for order in result.orders],
            customers=[customer_body(customer, request) for customer in result.customers],
            products=[product_body(product, request) for product in result.products],
            redirect=match and address(f"{match.kind}-detail", match.id, request),
        )
        return self.answer(body)
