"""Queries for lists of orders."""

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.contrib.postgres.search import SearchRank
from django.db.models import F, JSONField, OuterRef, Q, QuerySet, Subquery
from pydantic import Field, ValidationInfo, field_validator

from config.fields.amount import Amount
from config.fields.text import identity_key
from config.http.input.ids import PathId
from ordering_read.models import CustomerSummary, OrderLine, OrderSummary
from ordering_read.models.search import CustomerSearch, OrderSearch
from ordering_read.queries.base import QueryHandler, handles
from ordering_read.queries.customers import CustomerNotFoundError
from ordering_read.queries.filters import (
    Filter,
    MetadataFilter,
    Moment,
    ReferenceText,
    Rows,
    SearchText,
    Several,
    SkuText,
    is_identifier,
    order_by,
    spelled,
    where,
    words,
)
from ordering_read.queries.lists import ListQuery
from ordering_read.queries.orders import OrderView, visible_orders
from ordering_read.queries.views import Page
from ordering_write.published import Currency, OrderStatus
from ordering_write.published import events as e

# A search ranks at most this many matches, the newest ones.
_MAX_RANKED = 1_000
# A search follows at most this many renamed customers to their orders.
_MAX_RENAMED = 100
# The embedded documents, which lists don't show.
DOCUMENTS = [
    field.name
    for field in OrderSummary._meta.concrete_fields
    if isinstance(field, JSONField) and field.name != "metadata"
]

# The columns that lists show.
_SHOWN = list(
    dict.fromkeys(
        str(field.validation_alias or name) for name, field in OrderView.model_fields.items()
    )
)

Ordering = Literal[
    "-placed_at",
    "placed_at",
    "-total_amount",
    "total_amount",
    "-order_number",
    "order_number",
    "-updated_at",
    "updated_at",
    "-status",
    "status",
    "-customer_name",
    "customer_name",
    "relevance",
    "-relevance",
]


# --- Filters -----------------------------------------------------------------------------------
def _with_product(rows: Rows, product_id: UUID, _query: object) -> Rows:
    lines = OrderLine.live.filter(product_id=product_id)
    return rows.filter(order_id__in=lines.values("order_id"))


def _with_sku(rows: Rows, sku: str, _query: object) -> Rows:
    lines = OrderLine.live.filter(is_identifier("sku", sku))
    return rows.filter(order_id__in=lines.values("order_id"))


def _with_po_number(rows: Rows, text: str, _query: object) -> Rows:
    # No former release has stored such numbers, so that each row has its key.
    return rows.filter(po_number_key=identity_key(text))


def _with_tag(rows: Rows, tag: str, _query: object) -> Rows:
    return rows.filter(tags__contains=[tag])


def _on_hold(rows: Rows, on_hold: bool, _query: object) -> Rows:
    return rows.exclude(hold_reason="") if on_hold else rows.filter(hold_reason="")


def _needs_attention(rows: Rows, needs_attention: bool, query: "OrdersQuery") -> Rows:
    if query.customer_scope is not None:
        # Customers don't see the reasons, so none of their orders has one.
        return rows.none() if needs_attention else rows
    return rows.exclude(attention=[]) if needs_attention else rows.filter(attention=[])


def _with_balance(rows: Rows, side: str, _query: object) -> Rows:
    return rows.filter(balance__gt=0) if side == "due" else rows.filter(balance__lt=0)


def _assigned_to(rows: Rows, username: str, query: "OrdersQuery") -> Rows:
    # Customers don't see who is responsible.
    scoped = rows if query.customer_scope is None else rows.none()
    return scoped.filter(assigned_to=username).exclude(assigned_to="")


def _search(rows: Rows, text: str, query: "OrdersQuery") -> Rows:
    matches = Q(document=words(query, text))
    # The row of an order has the customer's old name: find renamed customers by their new name.
    renamed = CustomerSearch.live.filter(matches, version__gt=1)
    if customers := list(renamed.values_list("customer_id", flat=True)[:_MAX_RENAMED]):
        matches |= Q(customer_id__in=customers)
    return rows.filter(order_id__in=OrderSearch.live.filter(matches).values("order_id"))


_COLUMNS = order_by(
    {
        "placed_at": ("created_at", "order_id"),
        "relevance": ("-rank", "-created_at", "-order_id"),
        "total_amount": ("total_amount", "order_id"),
        "order_number": ("order_number", "order_id"),
        "updated_at": ("updated_at", "order_id"),
        "status": ("status", "created_at", "order_id"),
        "customer_name": ("customer_name", "order_id"),
    }
)


def _order(rows: Rows, ordering: Ordering, query: "OrdersQuery") -> Rows:
    if ordering.endswith("relevance") and query.q is not None:
        # Rank few matches: ranking reads the document of each, and a common word has many matches.
        newest = rows.order_by("-created_at", "-order_id")[:_MAX_RANKED]
        documents = OrderSearch.live.filter(order_id=OuterRef("order_id"))
        rank = SearchRank(F("document"), words(query, query.q))
        rows = OrderSummary.objects.filter(pk__in=newest.values("pk"))
        rows = rows.annotate(rank=Subquery(documents.values(rank=rank)))
    return _COLUMNS.apply(rows, ordering, query)


# --- Queries -----------------------------------------------------------------------------------
class OrdersQuery(ListQuery[OrderView]):
    """The base class of the queries for lists of orders: filters and orderings."""

    status: Annotated[Several[OrderStatus] | None, where("status__in")] = Field(
        None, description="Orders with one of these statuses."
    )
    payment_status: Annotated[Several[e.PaymentStatus] | None, where("payment_status__in")] = Field(
        None, description="Orders that are paid so far."
    )
    fulfilment_status: Annotated[
        Several[e.FulfilmentStatus] | None, where("fulfilment_status__in")
    ] = Field(None, description="Orders that are sent so far.")
    return_status: Annotated[Several[e.ReturnStatus] | None, where("return_status__in")] = Field(
        None, description="Orders with returns in one of these states."
    )
    product: Annotated[UUID | None, Filter(_with_product)] = Field(
        None, description="Orders with a line of this product."
    )
    sku: Annotated[SkuText | None, Filter(_with_sku)] = Field(
        None, description="Orders with a line of this SKU, in any spelling."
    )
    external_reference: Annotated[ReferenceText | None, spelled("external_reference")] = Field(
        None, description="Orders with this external reference, in any spelling."
    )
    po_number: Annotated[ReferenceText | None, Filter(_with_po_number)] = Field(
        None, description="Orders with this number of a purchase order, in any spelling."
    )
    tag: Annotated[str | None, Filter(_with_tag)] = Field(
        None, max_length=40, description="Orders with this tag."
    )
    metadata: MetadataFilter = None
    on_hold: Annotated[bool | None, Filter(_on_hold)] = Field(
        None, description="Orders that are on hold, or that aren't."
    )
    needs_attention: Annotated[bool | None, Filter(_needs_attention)] = Field(
        None, description="Orders whose money a person must look at; for the staff only."
    )
    balance: Annotated[Literal["due", "owed"] | None, Filter(_with_balance)] = Field(
        None,
        description="`due`: orders that the customer still has to pay. `owed`: orders with money "
        "that is owed to the customer.",
    )
    assigned_to: Annotated[str | None, Filter(_assigned_to)] = Field(
        None,
        max_length=150,
        description="Orders for which this member of staff, a user name, is responsible; for the "
        "staff only.",
    )
    placed_after: Annotated[Moment | None, where("created_at__gte")] = Field(
        None, description="A moment, itself included, or a day of the store."
    )
    placed_before: Annotated[Moment | None, where("created_at__lt")] = Field(
        None, description="A moment or a day of the store, itself not included."
    )
    updated_after: Annotated[Moment | None, where("updated_at__gte")] = Field(
        None, description="Like placed_after."
    )
    updated_before: Annotated[Moment | None, where("updated_at__lt")] = Field(
        None, description="Like placed_before."
    )
    currency: Annotated[Currency | None, where("currency")] = Field(
        None, description="An ISO 4217 code."
    )
    total_min: Annotated[Amount | None, where("total_amount__gte")] = Field(
        None, description="An amount in `currency`, which is then required."
    )
    total_max: Annotated[Amount | None, where("total_amount__lte")] = Field(
        None, description="An amount in `currency`, which is then required."
    )
    q: Annotated[SearchText | None, Filter(_search)] = Field(
        None,
        description="Words, or the beginnings of words, of the order's number and reference, the "
        "customer's name and e-mail address, SKUs and names of products, and tracking numbers; for "
        "the staff also of tags and notes. The last digits of an order number find it too, with or "
        "without its year: `1221`, `2026-1221`.",
    )
    ordering: Annotated[Ordering, Filter(_order, is_ordering=True)] = Field(
        "-placed_at",
        description="A minus reverses the list. The id decides between equal orders. `relevance` "
        "needs `q`: the best matches come first, among the newest 1,000.",
    )

    @field_validator("total_min", "total_max")
    @classmethod
    def _in_a_currency(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if amount is not None and info.data.get("currency") is None:
            raise ValueError("amounts of several currencies can't be compared: give the currency")
        return amount

    @field_validator("ordering")
    @classmethod
    def _relevance_of_a_search(cls, ordering: Ordering, info: ValidationInfo) -> Ordering:
        if ordering.endswith("relevance") and info.data.get("q") is None:
            raise ValueError("relevance is for searches: give q")
        return ordering

    def rows(self) -> QuerySet[OrderSummary]:
        return self.select(visible_orders(self)).defer(*DOCUMENTS)


class ListOrders(OrdersQuery):
    """List the orders, by default the newest first."""

    customer: Annotated[UUID | None, where("customer_id")] = Field(
        None, description="Orders of this customer only."
    )


class GetOrdersByCustomer(OrdersQuery):
    """List the orders of a customer, by default the newest first."""

    customer_id: Annotated[PathId, where("customer_id")]


@handles(ListOrders)
class ListOrdersHandler(QueryHandler[ListOrders, Page[OrderView]]):
    """Reads a page, in one statement; a search takes another statement for renamed customers."""

    def handle(self, query: ListOrders) -> Page[OrderView]:
        return _page(query)


@handles(GetOrdersByCustomer)
class GetOrdersByCustomerHandler(QueryHandler[GetOrdersByCustomer, Page[OrderView]]):
    """Reads a page like ListOrdersHandler; for an empty page, checks that the customer exists."""

    def handle(self, query: GetOrdersByCustomer) -> Page[OrderView]:
        page = _page(query)
        # Checked last, because the customer's projection may be behind that of the orders.
        if not page.items and not self._customer_exists(query):
            raise CustomerNotFoundError
        return page

    def _customer_exists(self, query: GetOrdersByCustomer) -> bool:
        if query.customer_scope not in (None, query.customer_id):
            return False
        return CustomerSummary.live.filter(customer_id=query.customer_id).exists()


def _page(query: OrdersQuery) -> Page[OrderView]:
    view = OrderView.of_row if query.customer_scope is None else _public_view
    if query.q is not None:
        # The statement of a search depends on the customers that match it.
        return query.page_of(query.rows(), view)
    return query.page_of_columns(_SHOWN, view)


def _public_view(row: Any) -> OrderView:
    """Return the order without the fields that only the staff sees."""
    return OrderView.of_row(row).model_copy(update={"attention": (), "metadata": {}})
