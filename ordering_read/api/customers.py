"""Reading customers and their orders."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import (
    CustomerBody,
    CustomerPageBody,
    CustomerStatsBody,
    OrderPageBody,
)
from ordering_read.api.orders import order_bodies
from ordering_read.api.parameters import (
    ID,
    PAGE,
    CustomerParameters,
    OwnOrderParameters,
    documented,
)
from ordering_read.queries import (
    CustomerNotFoundError,
    CustomerView,
    GetCustomerById,
    GetCustomerStats,
    GetOrdersByCustomer,
    ListCustomers,
)
from ordering_read.queries.customers import CustomerFilters
from ordering_read.queries.order_lists import OrderFilters


class CustomerViewSet(QueryViewSet):
    """The safe methods of /customers. Who may not see e-mail addresses gets `***` for them."""

    titles = ("Customers", "Customer")
    needed_permissions = {
        "list": permissions.VIEW_CUSTOMERS,
        "retrieve": permissions.VIEW_CUSTOMERS,
        "orders": permissions.VIEW_ORDERS,
        "stats": permissions.VIEW_CUSTOMERS,
    }
    reads = {
        "list": ("customer_view",),
        "retrieve": ("customer_view",),
        "orders": ("order_view", "customer_view"),
        "stats": ("customer_stats", "customer_view"),
    }

    @extend_schema(
        operation_id="customer_list",
        summary="List customers",
        parameters=[*documented(CustomerFilters), *PAGE],
        responses=CustomerPageBody,
    )
    def list(self, request: Request) -> Response:
        """The customers, newest first."""
        asked = parse_query(request, CustomerParameters)
        page = self.ask(ListCustomers(**dict(asked)))
        results = [self._body(request, customer) for customer in page.items]
        return self.answer_page(page, results)

    @extend_schema(
        operation_id="customer_get",
        summary="Show a customer",
        parameters=[ID],
        responses=CustomerBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """A customer."""
        parse_query(request, Parameters)
        customer = self.ask(GetCustomerById(customer_id=path_id(pk, CustomerNotFoundError)))
        return self.answer_one(self._body(request, customer), customer)

    @extend_schema(
        operation_id="customer_orders",
        summary="List a customer's orders",
        parameters=[ID, *documented(OrderFilters), *PAGE],
        responses=OrderPageBody,
    )
    @action(detail=True)
    def orders(self, request: Request, pk: str) -> Response:
        """The orders of a customer, newest first unless asked for otherwise."""
        asked = parse_query(request, OwnOrderParameters)
        customer_id = path_id(pk, CustomerNotFoundError)
        page = self.ask(GetOrdersByCustomer(customer_id=customer_id, **dict(asked)))
        return self.answer_page(page, order_bodies(request, page))

    @extend_schema(
        operation_id="customer_stats",
        summary="Sum up a customer's orders",
        parameters=[ID],
        responses=CustomerStatsBody,
    )
    @action(detail=True)
    def stats(self, request: Request, pk: str) -> Response:
        """What a customer has ordered, by currency."""
        parse_query(request, Parameters)
        customer_id = path_id(pk, CustomerNotFoundError)
        stats = self.ask(GetCustomerStats(customer_id=customer_id))
        return self.answer(CustomerStatsBody(customer_id=customer_id, currencies=stats))

    def _body(self, request: Request, customer: CustomerView) -> CustomerBody:
        with_email = request.user.has_perm(permissions.VIEW_PII)
        return CustomerBody.of(customer, request, with_email=with_email)
