"""The query that searches orders, customers and products."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db.models import F, Q, QuerySet, Value
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
MAX_RESULTS = 10


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
            "page_size": MAX_RESULTS,
            # A page by cursor has no count, which takes as long as the search.
            "cursor": "",
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
    """Return the exact matches: the text of ``query`` is their number, reference, e-mail or SKU.

    By one statement, at most two of each kind.
    """
    first, *others = _rows_of_matches(query)
    rows: Any = first.union(*others, all=True) if others else first
    return [ExactMatch(**row) for row in rows]


def _rows_of_matches(query: SearchOrders) -> Iterator[QuerySet[Any, Any]]:
    names = Q(order_number=spelled_order_number(query.q))
    names |= is_identifier("external_reference", query.q)
    # No row of a former release has a number of a purchase order, so each row has its key.
    names |= Q(po_number_key=identity_key(query.q))
    yield _matches(visible_orders(query).filter(names), "order", "order_id")
    if query.customers and query.with_personal and "@" in identity(query.q):
        customers = CustomerSummary.live.filter(is_identifier("email", query.q))
        if query.customer_scope is not None:
            customers = customers.filter(customer_id=query.customer_scope)
        yield _matches(customers, "customer", "customer_id")
    if query.products:
        products = InventoryLevel.live.filter(is_identifier("sku", query.q))
        yield _matches(products, "product", "product_id")


def _matches(rows: QuerySet[Any], kind: str, identity: str) -> QuerySet[Any, Any]:
    return rows.order_by().values(kind=Value(kind), id=F(identity))[:2]
