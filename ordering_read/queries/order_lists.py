"""The questions which orders there are."""

from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.contrib.postgres.search import SearchRank
from django.db.models import F, JSONField, OuterRef, Q, QuerySet, Subquery
from django_filters import BooleanFilter, CharFilter, Filter, IsoDateTimeFilter, NumberFilter
from django_filters import UUIDFilter as IdFilter
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from config.fields.amount import Amount
from ordering_read.models import CustomerSummary, OrderLine, OrderSummary
from ordering_read.models.search import CustomerSearch, OrderSearch, Words
from ordering_read.queries.base import ListQuery, Page, QueryHandler
from ordering_read.queries.customers import CustomerNotFoundError
from ordering_read.queries.filters import (
    Currency,
    Moment,
    QueryFilterSet,
    SearchText,
    Several,
    StableOrdering,
    words,
)
from ordering_read.queries.orders import OrderView, order_view, visible_orders
from ordering_write.published import OrderStatus
from ordering_write.published import events as e

# Of more hits than these, the newest are ranked.
_RANKED = 1_000
# Of customers whose name has changed, how many are followed to their orders.
_RENAMED = 100
# What only the page of an order shows.
_NOT_LISTED = [
    field.name for field in OrderSummary._meta.concrete_fields if isinstance(field, JSONField)
]

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


class OrderFilters(BaseModel):
    """What lists of orders can be narrowed down by, and their order."""

    status: Several[OrderStatus] | None = None
    payment_status: Several[e.PaymentStatus] | None = None
    fulfilment_status: Several[e.FulfilmentStatus] | None = None
    return_status: Several[e.ReturnStatus] | None = None
    product: UUID | None = Field(None, description="With a line of this product.")
    sku: str | None = Field(None, max_length=64, description="With a line of this SKU.")
    tag: str | None = Field(None, max_length=40, description="With this tag.")
    on_hold: bool | None = None
    placed_after: Moment | None = Field(
        None, description="A moment, itself included, or a day of the store."
    )
    placed_before: Moment | None = Field(
        None, description="A moment or a day of the store, itself not included."
    )
    updated_after: Moment | None = Field(None, description="As placed_after.")
    updated_before: Moment | None = Field(None, description="As placed_before.")
    currency: Currency | None = Field(None, description="An ISO 4217 code.")
    total_min: Amount | None = Field(None, description="In the currency, which must be given.")
    total_max: Amount | None = Field(None, description="In the currency, which must be given.")
    q: SearchText | None = Field(
        None,
        description="Words, or the beginnings of words, of what an order can be found by: its "
        "number and reference, the customer's name and e-mail address, SKUs and names of products, "
        "tracking numbers, and for those who work here tags and notes.",
    )
    ordering: Ordering = Field(
        "-placed_at",
        description="A minus turns the list round. Orders alike are told apart by their ids. "
        "`relevance` is for searches: the best come first, of more than 1,000 those of the newest.",
    )

    @field_validator("total_min", "total_max")
    @classmethod
    def _in_a_currency(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if amount is not None and info.data.get("currency") is None:
            raise ValueError("amounts of several currencies can't be compared: give the currency")
        return amount

    @field_validator("ordering")
    @classmethod
    def _relevant_to_something(cls, ordering: Ordering, info: ValidationInfo) -> Ordering:
        if ordering.endswith("relevance") and info.data.get("q") is None:
            raise ValueError("relevance is for searches: give q")
        return ordering


class AllOrderFilters(OrderFilters):
    """Also whose orders they are."""

    customer: UUID | None = Field(None, description="Orders of this one only.")


class ListOrders(AllOrderFilters, ListQuery[OrderView]):
    """The orders, newest first unless asked for otherwise."""


class GetOrdersByCustomer(OrderFilters, ListQuery[OrderView]):
    """The orders of a customer, newest first unless asked for otherwise."""

    customer_id: UUID


class OrderFilterSet(QueryFilterSet):
    """How each of them is asked of the rows, by an index that serves it."""

    status = Filter(lookup_expr="in")
    payment_status = Filter(lookup_expr="in")
    fulfilment_status = Filter(lookup_expr="in")
    return_status = Filter(lookup_expr="in")
    customer = IdFilter("customer_id")
    product = IdFilter("product_id", method="with_line")
    sku = CharFilter("sku", method="with_line")
    tag = CharFilter("tags", method="with_tag")
    on_hold = BooleanFilter(method="held")
    placed_after = IsoDateTimeFilter("created_at", "gte")
    placed_before = IsoDateTimeFilter("created_at", "lt")
    updated_after = IsoDateTimeFilter("updated_at", "gte")
    updated_before = IsoDateTimeFilter("updated_at", "lt")
    currency = CharFilter()
    total_min = NumberFilter("total_amount", "gte")
    total_max = NumberFilter("total_amount", "lte")
    # After the others: those that are ranked are chosen of what is left.
    q = CharFilter(method="search")
    ordering = StableOrdering(
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

    def with_line(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        lines = OrderLine.live.filter(**{name: value})
        return rows.filter(order_id__in=lines.values("order_id"))

    def with_tag(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(**{f"{name}__contains": [value]})

    def held(self, rows: QuerySet[Any], _name: str, value: bool) -> QuerySet[Any]:
        return rows.exclude(hold_reason="") if value else rows.filter(hold_reason="")

    def search(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        matching = words(self.query, value)
        found = Q(document=matching)
        # An order keeps the name under which it was placed; it is found by both.
        renamed = CustomerSearch.live.filter(found, version__gt=1)
        if customers := list(renamed.values_list("customer_id", flat=True)[:_RENAMED]):
            found |= Q(customer_id__in=customers)
        rows = rows.filter(order_id__in=OrderSearch.live.filter(found).values("order_id"))
        ordering: str = getattr(self.query, "ordering", "")
        return self._ranked(rows, matching) if ordering.endswith("relevance") else rows

    def _ranked(self, rows: QuerySet[Any], found: Words) -> QuerySet[Any]:
        # Ranking reads what each can be found by: not of all orders, for what half of them have.
        newest = rows.order_by("-created_at", "-order_id")[:_RANKED]
        texts = OrderSearch.live.filter(order_id=OuterRef("order_id"))
        rank = Subquery(texts.values(rank=SearchRank(F("document"), found)))
        return OrderSummary.objects.filter(pk__in=newest.values("pk")).annotate(rank=rank)


class ListOrdersHandler(QueryHandler[ListOrders, Page[OrderView]]):
    """Reads a page, in one statement; a search asks first who has another name by now."""

    def handle(self, query: ListOrders) -> Page[OrderView]:
        return _page(query, visible_orders(query))


class GetOrdersByCustomerHandler(QueryHandler[GetOrdersByCustomer, Page[OrderView]]):
    """Reads a page like ListOrdersHandler, and looks further when it has found nothing."""

    def handle(self, query: GetOrdersByCustomer) -> Page[OrderView]:
        page = _page(query, visible_orders(query).filter(customer_id=query.customer_id))
        # Asked last: the customers may be projected later than their orders.
        if not page.items and not self._is_known(query):
            raise CustomerNotFoundError
        return page

    def _is_known(self, query: GetOrdersByCustomer) -> bool:
        if query.customer_scope not in (None, query.customer_id):
            return False
        return CustomerSummary.live.filter(customer_id=query.customer_id).exists()


def _page(query: ListQuery[OrderView], rows: QuerySet[OrderSummary]) -> Page[OrderView]:
    return query.page_of(OrderFilterSet(query, rows).qs.defer(*_NOT_LISTED), order_view)
