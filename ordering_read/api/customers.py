"""Addresses below /customers: customers, their orders, and the statistics of these orders."""

from typing import Annotated

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from ordering_read import permissions
from ordering_read.api.bodies import Linked, Links, LinkTo, PageBody, Row
from ordering_read.api.headers import FILE_NAME
from ordering_read.api.list_files import FileViewSet, documented
from ordering_read.api.order_bodies import OrderBody, order_body
from ordering_read.api.parameters import parameters_of
from ordering_read.engine.gaps import Streams
from ordering_read.fields import CustomerId
from ordering_read.permissions import MASK, masked_pairs
from ordering_read.queries.customers import (
    CustomerStatsView,
    CustomerView,
    GetCustomerById,
    GetCustomerStats,
    ListCustomers,
)
from ordering_read.queries.order_lists import GetOrdersByCustomer


class CustomerLinks(Links):
    """Addresses of the customer, of the customer's orders, and of the statistics."""

    self: Annotated[str, LinkTo("customer-detail", "customer_id")]
    orders: Annotated[str, LinkTo("customer-orders", "customer_id")]
    stats: Annotated[str, LinkTo("customer-stats", "customer_id")]


class CustomerBody(Linked, CustomerView, Row):
    """A customer."""

    links: CustomerLinks

    def streams(self) -> Streams:
        return {"customer_view": [f"customer-{self.customer_id}"]}


class CustomerStatsBody(Row):
    """The orders of a customer, summed up by currency."""

    customer_id: CustomerId
    currencies: tuple[CustomerStatsView, ...]


def customer_body(customer: CustomerView, request: Request) -> CustomerBody:
    """Return the body of ``customer``, with MASK for data that the user may not see."""
    if request.user.has_perm(permissions.VIEW_PII):
        return CustomerBody.of(customer, request)
    metadata = masked_pairs(customer.metadata)
    return CustomerBody.of(customer, request, email=MASK, phone=MASK, metadata=metadata)


class CustomerViewSet(FileViewSet):
    """The safe methods of /customers. Users who may not see personal data get `***` instead."""

    titles = ("Customers", "Customer")
    stream_prefix = "customer"
    needed_permissions = {
        "list": permissions.VIEW_CUSTOMERS,
        "retrieve": permissions.VIEW_CUSTOMERS,
        "orders": permissions.VIEW_ORDERS,
        "stats": permissions.VIEW_CUSTOMERS,
    }
    files = {"list": "customers", "orders": "orders"}
    reads = {
        "list": ("customer_view",),
        "retrieve": ("customer_view",),
        "orders": ("order_view", "customer_view"),
        "stats": ("customer_stats", "customer_view"),
    }

    @extend_schema(
        operation_id="customer_list",
        summary="List customers",
        parameters=[*parameters_of(ListCustomers), FILE_NAME],
        responses=documented(PageBody[CustomerBody]),
    )
    def list(self, request: Request) -> Response:
        """Lists the customers, newest first.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.export_lists`.
        """
        return self.answer_list(self.query(ListCustomers), customer_body)

    @extend_schema(
        operation_id="customer_get",
        summary="Show a customer",
        responses=CustomerBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows a customer."""
        customer = self.ask(self.query(GetCustomerById, customer_id=pk))
        return self.answer_one(customer_body(customer, request), customer)

    @extend_schema(
        operation_id="customer_orders",
        summary="List a customer's orders",
        parameters=[*parameters_of(GetOrdersByCustomer), FILE_NAME],
        responses=documented(PageBody[OrderBody]),
    )
    @action(detail=True)
    def orders(self, request: Request, pk: str) -> Response:
        """Lists the orders of a customer, by default the newest first.

        As a file (`format=csv` or `format=jsonl`) the list has the columns of its export in the
        admin and all rows, at most 10,000, without pages. Files need the permission
        `ordering_read.export_lists`.
        """
        return self.answer_list(self.query(GetOrdersByCustomer, customer_id=pk), order_body)

    @extend_schema(
        operation_id="customer_stats",
        summary="Sum up a customer's orders",
        responses=CustomerStatsBody,
    )
    @action(detail=True)
    def stats(self, request: Request, pk: str) -> Response:
        """Sums up the orders of a customer, by currency."""
        query = self.query(GetCustomerStats, customer_id=pk)
        stats = self.ask(query)
        return self.answer_whole(CustomerStatsBody(customer_id=query.customer_id, currencies=stats))
