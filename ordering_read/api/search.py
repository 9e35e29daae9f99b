"""The address /search: finds orders, customers and products by words."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import Row, address
from ordering_read.api.customers import CustomerBody, customer_body
from ordering_read.api.inventory import ProductBody, product_body
from ordering_read.api.order_bodies import OrderBody, order_body
from ordering_read.api.parameters import parameters_of
from ordering_read.queries.search import SearchOrders


class SearchBody(Row):
    """The first ten orders, customers and products; lists that the user may not see are empty.

    `redirect` is the address of the order, customer or product whose number, reference, PO number,
    e-mail address or SKU is the whole text, in any spelling; null without such a match, and with
    more than one. `projection_gap` says why a match may be missing, and `projection_gaps` counts
    the results that lack events.
    """

    orders: list[OrderBody]
    customers: list[CustomerBody]
    products: list[ProductBody]
    redirect: str | None
    projection_gaps: int = 0


class SearchViewSet(QueryViewSet):
    """Orders, customers and products that match a text."""

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
        """Finds orders, the best matches first, and customers and products.

        A result has all words of the text, or words that begin with them. Users who may not see
        personal data can't search by personal data.
        """
        query = self.query(
            SearchOrders,
            customers=request.user.has_perm(permissions.VIEW_CUSTOMERS),
            products=request.user.has_perm(permissions.VIEW_INVENTORY),
        )
        result = self.ask(query)
        match = result.exact
        rows = self.with_gaps(
            [
                *(order_body(order, request) for order in result.orders),
                *(customer_body(customer, request) for customer in result.customers),
                *(product_body(product, request) for product in result.products),
            ]
        )
        body = SearchBody(
            orders=[row for row in rows if isinstance(row, OrderBody)],
            customers=[row for row in rows if isinstance(row, CustomerBody)],
            products=[row for row in rows if isinstance(row, ProductBody)],
            projection_gaps=sum(row.projection_gap is not None for row in rows),
            redirect=match and address(f"{match.kind}-detail", match.id, request),
        )
        return self.answer_whole(body)
