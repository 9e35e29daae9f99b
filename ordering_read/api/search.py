"""Finding orders, customers and products by a few words."""

from typing import Annotated

from drf_spectacular.utils import extend_schema
from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.fields.text import Text
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import CustomerBody, OrderBody, ProductBody
from ordering_read.api.parameters import documented
from ordering_read.queries import SearchOrders, View
from ordering_read.queries.search import Hit

_ROUTES = {"order": "order-detail", "customer": "customer-detail", "product": "product-detail"}


class SearchParameters(Parameters):
    """What is looked for."""

    q: Annotated[str, Text(max_length=200, min_length=0)] = Field(
        "", description="Words, or the beginnings of words; without one, nothing is found."
    )


class SearchBody(View):
    """What was found of each kind, ten of each at most; nothing of a kind that you may not see.

    `redirect` is where the one thing is that has just this number, reference, e-mail address or
    SKU; null when there is none or more than one.
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
        parameters=documented(SearchParameters),
        responses=SearchBody,
    )
    def list(self, request: Request) -> Response:
        """Orders by relevance, customers and products that these words find.

        Each word may be the beginning of one; all of them must be there. Those who may not see
        personal data find nothing by it.
        """
        asked = parse_query(request, SearchParameters)
        if not asked.q:
            return self.answer(SearchBody(orders=[], customers=[], products=[], redirect=None))
        may = request.user.has_perm
        found = self.ask(
            SearchOrders(
                q=asked.q,
                customers=may(permissions.VIEW_CUSTOMERS),
                products=may(permissions.VIEW_INVENTORY),
            )
        )
        with_email = may(permissions.VIEW_PII)
        with_levels = may(permissions.VIEW_STOCK_LEVELS)
        body = SearchBody(
            orders=[OrderBody.of(order, request) for order in found.orders],
            customers=[
                CustomerBody.of(customer, request, with_email=with_email)
                for customer in found.customers
            ],
            products=[
                ProductBody.of(product, request, with_levels=with_levels)
                for product in found.products
            ],
            redirect=found.exact and _address(found.exact, request),
        )
        return self.answer(body)


def _address(hit: Hit, request: Request) -> str:
    return reverse(_ROUTES[hit.kind], kwargs={"pk": hit.id}, request=request)
