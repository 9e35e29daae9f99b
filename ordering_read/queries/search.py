"""The question what a few words find, wherever it is."""

from typing import Any, Literal
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Collate, Upper

from ordering_read.models import CustomerSummary, InventoryLevel
from ordering_read.queries.base import Query, QueryHandler, View
from ordering_read.queries.customers import CustomerView, ListCustomers, ListCustomersHandler
from ordering_read.queries.filters import SearchText
from ordering_read.queries.inventory import GetInventory, GetInventoryHandler, ProductView
from ordering_read.queries.order_lists import ListOrders, ListOrdersHandler
from ordering_read.queries.orders import OrderView, visible_orders

# Of each kind, how many are told.
_SHOWN = 10


class Hit(View):
    """Something that was named by what names it alone."""

    kind: Literal["order", "customer", "product"]
    id: UUID


class SearchView(View):
    """What was found of each kind, some of each: orders by relevance, customers newest first,
    products by SKU.

    `exact` is the one thing that has just this number, reference, e-mail address or SKU.
    """

    orders: tuple[OrderView, ...]
    customers: tuple[CustomerView, ...]
    products: tuple[ProductView, ...]
    exact: Hit | None


class SearchOrders(Query[SearchView]):
    """What ``q`` finds: orders, and those of customers and products that are asked for too."""

    q: SearchText
    customers: bool = True
    products: bool = True


class SearchOrdersHandler(QueryHandler[SearchOrders, SearchView]):
    """Asks for each kind."""

    def handle(self, query: SearchOrders) -> SearchView:
        asked = {
            "q": query.q,
            "page_size": _SHOWN,
            "customer_scope": query.customer_scope,
            "with_personal": query.with_personal,
        }
        orders = ListOrdersHandler().handle(ListOrders(**asked, ordering="relevance"))
        customers = query.customers and ListCustomersHandler().handle(ListCustomers(**asked))
        products = query.products and GetInventoryHandler().handle(GetInventory(**asked))
        hits = exact_hits(query)
        return SearchView(
            orders=orders.items,
            customers=customers.items if customers else (),
            products=products.items if products else (),
            exact=hits[0] if len(hits) == 1 else None,
        )


def exact_hits(query: SearchOrders) -> list[Hit]:
    """What has just the number, reference, e-mail address or SKU that ``query`` asks for."""
    return [*_orders(query), *_customers(query), *_products(query)]


def _orders(query: SearchOrders) -> list[Hit]:
    named = Q(order_number=query.q) | Q(external_reference=query.q)
    rows = visible_orders(query).filter(named)[:2]
    return [Hit(kind="order", id=row_id) for row_id in rows.values_list("order_id", flat=True)]


def _customers(query: SearchOrders) -> list[Hit]:
    if not (query.customers and query.with_personal and "@" in query.q):
        return []
    rows = _spelled(CustomerSummary.live.all(), email=query.q)
    if query.customer_scope is not None:
        rows = rows.filter(customer_id=query.customer_scope)
    ids = rows.values_list("customer_id", flat=True)[:2]
    return [Hit(kind="customer", id=row_id) for row_id in ids]


def _products(query: SearchOrders) -> list[Hit]:
    if not query.products:
        return []
    rows = _spelled(InventoryLevel.live.all(), sku=query.q)
    ids = rows.values_list("product_id", flat=True)[:2]
    return [Hit(kind="product", id=row_id) for row_id in ids]


def _spelled(rows: QuerySet[Any], **wanted: str) -> QuerySet[Any]:
    """The ``rows`` of which a field is what is wanted, in capital or small letters, by an index."""
    [(field, text)] = wanted.items()
    return rows.alias(spelled=Collate(Upper(field), "C")).filter(spelled=text.upper())
