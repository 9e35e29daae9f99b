"""The questions about customers."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from django.db.models import QuerySet
from django_filters import Filter
from pydantic import BaseModel, Field

from ordering_read.fields import CurrencyCode, CustomerId, PersonName, Version
from ordering_read.models import CustomerSummary
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.search import CustomerSearch
from ordering_read.queries.base import ListQuery, Page, Query, QueryHandler, View
from ordering_read.queries.filters import QueryFilterSet, Search, SearchText, Several
from ordering_write.published import NotFoundError, quantize


class CustomerNotFoundError(NotFoundError):
    """Customer not found"""


class CustomerView(View):
    """A customer."""

    customer_id: CustomerId
    name: PersonName
    email: Annotated[str, Field(examples=["robin.sample@example.com"])]
    phone: str
    status: CustomerSummary.Status
    registered_at: datetime
    updated_at: datetime
    version: Version
    position: int


class CustomerStatsView(View):
    """What a customer has ordered in one currency.

    `orders` counts all that were placed, and `largest_order` is the largest total that one of them
    had when a line was ordered; `spent` is less what was cancelled, came back, didn't arrive or was
    given back, and `average_order` is that for each order that wasn't cancelled.
    """

    currency: CurrencyCode
    orders: int
    cancelled: int
    returned_units: int
    spent: Decimal
    average_order: Decimal | None
    largest_order: Decimal
    first_order_at: datetime
    last_order_at: datetime


class GetCustomerById(Query[CustomerView]):
    """One customer."""

    customer_id: UUID


class CustomerFilters(BaseModel):
    """What lists of customers can be narrowed down by."""

    status: Several[Literal["active", "blocked", "erased"]] | None = None
    q: SearchText | None = Field(
        None, description="Words, or the beginnings of words, of a name or an e-mail address."
    )


class ListCustomers(CustomerFilters, ListQuery[CustomerView]):
    """The customers, newest first."""


class CustomerFilterSet(QueryFilterSet):
    """How each of them is asked of the rows."""

    status = Filter(lookup_expr="in")
    q = Search("customer_id", CustomerSearch)


class GetCustomerStats(Query[tuple[CustomerStatsView, ...]]):
    """What a customer has ordered, by currency; nothing for one who hasn't."""

    customer_id: UUID


class GetCustomerByIdHandler(QueryHandler[GetCustomerById, CustomerView]):
    """Reads one row."""

    def handle(self, query: GetCustomerById) -> CustomerView:
        row = _visible(query).filter(customer_id=query.customer_id).first()
        if row is None:
            raise CustomerNotFoundError
        return _view(row)


class ListCustomersHandler(QueryHandler[ListCustomers, Page[CustomerView]]):
    """Reads a page, in one statement."""

    def handle(self, query: ListCustomers) -> Page[CustomerView]:
        rows = CustomerFilterSet(query, _visible(query)).qs
        return query.page_of(rows.order_by("-registered_at", "-customer_id"), _view)


class GetCustomerStatsHandler(QueryHandler[GetCustomerStats, tuple[CustomerStatsView, ...]]):
    """Reads a row per currency, and looks for the customer when there is none."""

    def handle(self, query: GetCustomerStats) -> tuple[CustomerStatsView, ...]:
        rows = CustomerStats.live.filter(customer_id=query.customer_id).order_by("currency")
        if query.customer_scope is not None:
            rows = rows.filter(customer_id=query.customer_scope)
        stats = tuple(_stats_view(row) for row in rows)
        # Asked last: the customers may be projected later than their orders.
        if not stats and not _visible(query).filter(customer_id=query.customer_id).exists():
            raise CustomerNotFoundError
        return stats


def _visible(query: Query[Any]) -> QuerySet[CustomerSummary]:
    rows = CustomerSummary.live.all()
    if query.customer_scope is None:
        return rows
    return rows.filter(customer_id=query.customer_scope)


def _view(row: CustomerSummary) -> CustomerView:
    return CustomerView(
        customer_id=row.customer_id,
        name=row.name,
        email=row.email,
        phone=row.phone,
        status=CustomerSummary.Status(row.status),
        registered_at=row.registered_at,
        updated_at=row.updated_at,
        version=row.version,
        position=row.position,
    )


def _stats_view(row: CustomerStats) -> CustomerStatsView:
    average = row.average_order
    return CustomerStatsView(
        currency=row.currency,
        orders=row.orders,
        cancelled=row.cancelled,
        returned_units=row.returned_units,
        spent=quantize(row.spent, row.currency),
        average_order=None if average is None else quantize(average, row.currency),
        largest_order=quantize(cast(Decimal, row.largest_order), row.currency),
        first_order_at=row.first_order_at,
        last_order_at=row.last_order_at,
    )
