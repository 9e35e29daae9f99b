"""The questions about customers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from ordering_read.models import CustomerSummary
from ordering_read.queries.base import ListQuery, Page, Query, QueryHandler, View
from ordering_write.published import NotFoundError


class CustomerNotFoundError(NotFoundError):
    """Customer not found"""


class CustomerView(View):
    """A customer."""

    customer_id: UUID
    name: str
    email: str
    status: str
    registered_at: datetime
    version: int
    position: int


class GetCustomerById(Query[CustomerView]):
    """One customer."""

    customer_id: UUID


class ListCustomers(ListQuery[CustomerView]):
    """The customers, newest first."""


class GetCustomerByIdHandler(QueryHandler[GetCustomerById, CustomerView]):
    """Reads one row."""

    def handle(self, query: GetCustomerById) -> CustomerView:
        row = _visible(query).filter(customer_id=query.customer_id).first()
        if row is None:
            raise CustomerNotFoundError
        return _view(row)


class ListCustomersHandler(QueryHandler[ListCustomers, Page[CustomerView]]):
    """Reads a page, in two statements."""

    def handle(self, query: ListCustomers) -> Page[CustomerView]:
        newest_first = _visible(query).order_by("-registered_at", "-customer_id")
        return query.page_of(newest_first, _view)


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
        status=row.status,
        registered_at=row.registered_at,
        version=row.version,
        position=row.position,
    )
