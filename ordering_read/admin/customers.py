"""The admin pages of customers."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ordering_read import permissions
from ordering_read.admin.base import ReadModelAdmin, begins, link, list_of, uuid_in
from ordering_read.admin.command_forms import Subject
from ordering_read.admin.command_subjects import OfCustomer, Unregistered
from ordering_read.admin.commands import CommandPages, user_of
from ordering_read.models import CustomerSummary, OrderSummary
from ordering_write.client import commands as c


@admin.register(CustomerSummary)
class CustomerAdmin(CommandPages, ReadModelAdmin):
    """The customers; their e-mail addresses are for who may see personal data."""

    identity = "customer_id"
    needed_permission = permissions.VIEW_CUSTOMERS
    change_form_template = "admin/ordering_read/command_page.html"
    ordering = ("-registered_at", "-customer_id")
    list_filter = ("registered_at",)
    search_fields = ("name",)

    key = "customer_id"
    waits_for = ("customer_view",)
    new = (c.RegisterCustomer,)
    commands = {
        "Customer": (c.ChangeCustomerDetails, c.BlockCustomer, c.UnblockCustomer, c.EraseCustomer)
    }

    def subject(self, request: HttpRequest, thing: CustomerSummary | None) -> Subject:
        return Unregistered() if thing is None else OfCustomer(user_of(request), thing)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", *_email(request), "status", "registered_at", "orders")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        row = ("customer_id", "version", "position", "updated_at")
        return ("name", *_email(request), "status", "registered_at", "orders", *row)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CustomerSummary], search_term: str
    ) -> tuple[QuerySet[CustomerSummary], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if (customer_id := uuid_in(term)) is not None:
            return queryset.filter(customer_id=customer_id), False
        if "@" in term and _email(request):
            return begins(queryset, term, "email"), False
        return begins(queryset, term, "name"), False

    @admin.display(description="Orders")
    def orders(self, customer: CustomerSummary) -> SafeString:
        return link(list_of(OrderSummary, f"?customer_id={customer.customer_id}"), "Show")


def _email(request: HttpRequest) -> tuple[str, ...]:
    return ("email",) if request.user.has_perm(permissions.VIEW_PII) else ()
