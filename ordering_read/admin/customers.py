"""The admin pages of customers."""

import re
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from config.http.admin import link, list_url, page_url, parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import for_programs, matching, metadata_column, user_of
from ordering_read.admin.command_forms import FormContext
from ordering_read.admin.commands import Button, CommandPages, Groups
from ordering_read.admin.form_contexts import CustomerContext, RegistrationContext
from ordering_read.admin.labels import CUSTOMER_HELP
from ordering_read.models import CustomerSummary, OrderSummary
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.customers import GetCustomerStats, ListCustomers
from ordering_read.queries.order_lists import ListOrders
from ordering_write import client
from ordering_write.client import commands as c

# A search for such words finds every name that begins with them, in a third of the time.
_WORDS = re.compile("[A-Za-z]{3,64}( [A-Za-z]{3,64})*")
_MOST_LETTERS = 200
# The number of orders on the page of a customer.
_LAST_ORDERS = 10

# The commands that change nothing for a customer with a status, and why.
_REFUSALS: Mapping[str, Mapping[type[client.Command], str]] = {
    CustomerSummary.Status.ACTIVE: {c.UnblockCustomer: "The customer isn't blocked."},
    CustomerSummary.Status.BLOCKED: {c.BlockCustomer: "The customer is blocked already."},
    CustomerSummary.Status.ERASED: dict.fromkeys(
        (
            c.ChangeCustomerDetails,
            c.SetCustomerMetadata,
            c.BlockCustomer,
            c.UnblockCustomer,
            c.EraseCustomer,
        ),
        "The customer is erased for good.",
    ),
}


@admin.register(CustomerSummary)
class CustomerAdmin(CommandPages):
    """The customers. E-mail addresses are shown to users who may view personal data."""

    identity = "customer_id"
    stream_prefix, stream_field = "customer", "customer_id"
    uses_search = True
    needed_permission = permissions.VIEW_CUSTOMERS
    change_form_template = "admin/ordering_read/customer.html"
    ordering = ("-registered_at", "-customer_id")
    list_filter = ("registered_at",)
    search_fields = ("name",)

    aggregate = "customer"
    waits_for = ("customer_view",)

    def form_context(self, request: HttpRequest, record: CustomerSummary | None) -> FormContext:
        return (
            CustomerContext(user_of(request), record)
            if record
            else RegistrationContext(CUSTOMER_HELP)
        )

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", *_email(request), "status", "registered_at", "orders")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_view = request.user.has_perm(permissions.VIEW_PII)
        metadata = ("metadata_pairs",) if may_view and obj and obj.metadata else ()
        fields = ("name", *_email(request), "status", "registered_at", *metadata)
        programs = for_programs("customer_id", "version", "position", "updated_at")
        return [(None, {"fields": fields}), programs]

    def page_context(
        self, request: HttpRequest, record: CustomerSummary, groups: Groups
    ) -> dict[str, Any]:
        ask, key = get_query_bus().dispatch, record.customer_id
        context: dict[str, Any] = {"figures": ask(GetCustomerStats(customer_id=key))}
        if request.user.has_perm(permissions.VIEW_ORDERS):
            # A page by cursor has no count.
            orders = ask(ListOrders(customer=key, page_size=_LAST_ORDERS, cursor="")).items
            context["last_orders"] = [(page_url(OrderSummary, order.id), order) for order in orders]
            context["orders_url"] = list_url(OrderSummary, f"?customer_id={key}")
        return context

    def search(
        self, request: HttpRequest, rows: QuerySet[CustomerSummary], term: str
    ) -> QuerySet[CustomerSummary]:
        if (customer_id := parse_uuid(term)) is not None:
            return rows.filter(customer_id=customer_id)
        return customers_named(request, rows, term)

    def refusals(
        self, request: HttpRequest, record: CustomerSummary
    ) -> Mapping[type[client.Command], str]:
        return _REFUSALS[record.status]

    def buttons(self, request: HttpRequest, record: CustomerSummary) -> Groups:
        groups = super().buttons(request, record)
        if not client.may_dispatch(user_of(request), c.CreateOrder):
            return groups
        is_active = record.status == CustomerSummary.Status.ACTIVE
        new_order = Button(
            command=c.CreateOrder,
            label="New order",
            description="Place an order for this customer.",
            url=f"{reverse('screens:new-order')}?customer={record.customer_id}",
            refusal="" if is_active else f"The customer is {record.status} and can't order.",
        )
        return [("Orders", [new_order]), *groups]

    metadata_pairs = metadata_column

    @admin.display(description="Orders")
    def orders(self, customer: CustomerSummary) -> SafeString:
        return link(list_url(OrderSummary, f"?customer_id={customer.customer_id}"), "Show")


def _email(request: HttpRequest) -> tuple[str, ...]:
    return ("email",) if request.user.has_perm(permissions.VIEW_PII) else ()


def customers_named(
    request: HttpRequest, rows: QuerySet[CustomerSummary], term: str
) -> QuerySet[CustomerSummary]:
    """Return the customers in ``rows`` that ``term`` finds for the user of ``request``."""
    with_personal = bool(_email(request))

    def query(text: str) -> ListCustomers:
        return ListCustomers(q=text, with_personal=with_personal)

    if len(term) < _MOST_LETTERS and _WORDS.fullmatch(term):
        return query(term).select(rows)
    field = "email" if "@" in term and with_personal else "name"
    return matching(rows, term, field, query=query)
