"""Queries for customers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from pydantic import Field

from config.http.input.ids import PathId
from ordering_read.fields import (
    CurrencyAmount,
    CurrencyCode,
    CustomerId,
    PersonName,
    Version,
)
from ordering_read.models import CustomerSummary
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.search import CustomerSearch
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import (
    MetadataFilter,
    SearchText,
    Several,
    is_identifier,
    search,
    where,
)
from ordering_read.queries.lists import ListQuery
from ordering_read.queries.views import Page, View
from ordering_write.published import NotFoundError


class CustomerNotFoundError(NotFoundError):
    """Customer not found"""


class CustomerView(View):
    """A customer. Customers don't see their `metadata`."""

    customer_id: CustomerId
    name: PersonName
    email: Annotated[str, Field(examples=["robin.sample@example.com"])]
    phone: str
    status: CustomerSummary.Status
    metadata: dict[str, str]
    registered_at: datetime
    updated_at: datetime
    version: Version
    position: int


class CustomerStatsView(View):
    """The orders of a customer in one currency, summed up.

    `orders` counts all orders, cancelled ones too. `spent` is the sum of the orders without what
    was cancelled, returned, not delivered or given as goodwill; `average_order` is `spent` per
    order that was not cancelled. `largest_order` is the largest total that an order had when a line
    was ordered. `discount` and `tax` are in `spent`. `captured`, `charged_back` and `paid_back` are
    payments, chargebacks and refunds.
    """

    currency: CurrencyCode
    orders: int
    cancelled: int
    returned_units: int
    spent: CurrencyAmount
    average_order: CurrencyAmount | None
    largest_order: CurrencyAmount
    discount: CurrencyAmount
    tax: CurrencyAmount
    goodwill: CurrencyAmount
    captured: CurrencyAmount
    charged_back: CurrencyAmount
    paid_back: CurrencyAmount
    first_order_at: datetime
    last_order_at: datetime


class GetCustomerById(Query[CustomerView]):
    """Get one customer."""

    customer_id: PathId


class GetCustomerByEmail(Query[CustomerView]):
    """Get the customer with this e-mail address, however it is spelled."""

    email: str


class ListCustomers(ListQuery[CustomerView]):
    """List the customers, newest first."""

    status: Annotated[
        Several[Literal["active", "blocked", "erased"]] | None, where("status__in")
    ] = Field(None, description="Customers with one of these statuses.")
    metadata: MetadataFilter = None
    q: Annotated[SearchText | None, search("customer_id", CustomerSearch)] = Field(
        None,
        description="Words, or the beginnings of words, of a name or an e-mail address; or six or "
        "more last digits of a telephone number.",
    )

    def rows(self) -> QuerySet[CustomerSummary]:
        return self.select(_visible(self)).order_by("-registered_at", "-customer_id")


class GetCustomerStats(Query[tuple[CustomerStatsView, ...]]):
    """Sum up the orders of a customer, by currency; empty for a customer without orders."""

    customer_id: PathId


@handles(GetCustomerById)
class GetCustomerByIdHandler(QueryHandler[GetCustomerById, CustomerView]):
    """Reads one row."""

    def handle(self, query: GetCustomerById) -> CustomerView:
        row = _visible(query).filter(customer_id=query.customer_id).first()
        if row is None:
            raise CustomerNotFoundError
        return _view(query, row)


@handles(GetCustomerByEmail)
class GetCustomerByEmailHandler(QueryHandler[GetCustomerByEmail, CustomerView]):
    """Reads one row."""

    def handle(self, query: GetCustomerByEmail) -> CustomerView:
        row = _visible(query).filter(is_identifier("email", query.email)).first()
        if row is None:
            raise CustomerNotFoundError
        return _view(query, row)


@handles(ListCustomers)
class ListCustomersHandler(QueryHandler[ListCustomers, Page[CustomerView]]):
    """Reads a page, in one statement."""

    def handle(self, query: ListCustomers) -> Page[CustomerView]:
        return query.page_of(query.rows(), lambda row: _view(query, row))


@handles(GetCustomerStats)
class GetCustomerStatsHandler(QueryHandler[GetCustomerStats, tuple[CustomerStatsView, ...]]):
    """Reads a row per currency; without a row, checks that the customer exists."""

    def handle(self, query: GetCustomerStats) -> tuple[CustomerStatsView, ...]:
        rows = CustomerStats.live.filter(customer_id=query.customer_id).order_by("currency")
        if query.customer_scope is not None:
            rows = rows.filter(customer_id=query.customer_scope)
        stats = tuple(map(CustomerStatsView.of_row, rows))
        # Checked last, because the customer's projection may be behind that of the orders.
        if not stats and not _visible(query).filter(customer_id=query.customer_id).exists():
            raise CustomerNotFoundError
        return stats


def _view(query: Query[Any], row: CustomerSummary) -> CustomerView:
    if query.customer_scope is None:
        return CustomerView.of_row(row)
    return CustomerView.of_row(row, metadata={})


def _visible(query: Query[Any]) -> QuerySet[CustomerSummary]:
    rows = CustomerSummary.live.all()
    if query.customer_scope is None:
        return rows
    return rows.filter(customer_id=query.customer_scope)
