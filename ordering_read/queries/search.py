"""The query that searches orders, customers and products."""

from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import Q
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from config.fields.text import Text, identity, identity_key
from ordering_read.models import CustomerSummary, InventoryLevel
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.customers import CustomerView, ListCustomers, ListCustomersHandler
from ordering_read.queries.filters import is_identifier
from ordering_read.queries.inventory import GetInventory, GetInventoryHandler, ProductView
from ordering_read.queries.order_lists import ListOrders, ListOrdersHandler
from ordering_read.queries.orders import OrderView, visible_orders
from ordering_read.queries.views import View
from ordering_write.published import spelled_order_number

# The largest number of orders, customers and products in a result.
_MAX_RESULTS = 10


class ExactMatch(View):
    """An order, customer or product whose number, reference, PO number, e-mail or SKU is the text,
    in any spelling."""

    kind: Literal["order", "customer", "product"]
    id: UUID


class SearchView(View):
    """The first orders by relevance, the newest customers, and the first products by SKU.

    ``exact`` is the exact match; None without a match, and with more than one.
    """

    orders: tuple[OrderView, ...]
    customers: tuple[CustomerView, ...]
    products: tuple[ProductView, ...]
    exact: ExactMatch | None


class SearchOrders(Query[SearchView]):
    """Search orders, and customers and products unless ``customers`` or ``products`` is False."""

    q: Annotated[str, Text(max_length=200, min_length=0)] = Field(
        "", description="Words, or the beginnings of words; an empty text finds nothing."
    )
    customers: SkipJsonSchema[bool] = True
    products: SkipJsonSchema[bool] = True


@handles(SearchOrders)
class SearchOrdersHandler(QueryHandler[SearchOrders, SearchView]):
    """Searches orders, customers and products, and looks for an exact match."""

    def handle(self, query: SearchOrders) -> SearchView:
        if not query.q:
            return SearchView(orders=(), customers=(), products=(), exact=None)
        parameters: dict[str, Any] = {
            "q": query.q,
            "page_size": _MAX_RESULTS,
            "customer_scope": query.customer_scope,
            "with_personal": query.with_personal,
        }
        orders = ListOrdersHandler().handle(ListOrders(**parameters, ordering="relevance"))
        customers = query.customers and ListCustomersHandler().handle(ListCustomers(**parameters))
        products = query.products and GetInventoryHandler().handle(GetInventory(**parameters))
        matches = exact_matches(query)
        return SearchView(
            orders=orders.items,
            customers=customers.items if customers else (),
            products=products.items if products else (),
            exact=matches[0] if len(matches) == 1 else None,
        )


def exact_matches(query: SearchOrders) -> list[ExactMatch]:
    """Return the exact matches: the text of ``query`` is their number, reference, e-mail or SKU."""
    return [*_orders(query), *_customers(query), *_products(query)]


def _orders(query: SearchOrders) -> list[ExactMatch]:
    names = Q(order_number=spelled_order_number(query.q))
    names |= is_identifier("external_reference", query.q)
    # No row of a former release has a number of a purchase order, so each row has its key.
    names |= Q(po_number_key=identity_key(query.q))
    ids = visible_orders(query).filter(names).values_list("order_id", flat=True)[:2]
    return [ExactMatch(kind="order", id=order_id) for order_id in ids]


def _customers(query: SearchOrders) -> list[ExactMatch]:
    if not (query.customers and query.with_personal and "@" in identity(query.q)):
        return []
    rows = CustomerSummary.live.filter(is_identifier("email", query.q))
    if query.customer_scope is not None:
        rows = rows.filter(customer_id=query.customer_scope)
    ids = rows.values_list("customer_id", flat=True)[:2]
    return [ExactMatch(kind="customer", id=customer_id) for customer_id in ids]


def _products(query: SearchOrders) -> list[ExactMatch]:
    if not query.products:
        return []
    rows = InventoryLevel.live.filter(is_identifier("sku", query.q))
    ids = rows.values_list("product_id", flat=True)[:2]
    return [ExactMatch(kind="product", id=product_id) for product_id in ids]
