"""The admin pages of customers."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ordering_read import permissions
from ordering_read.admin.base import ReadModelAdmin, begins, link, list_of, uuid_in
from ordering_read.models import CustomerSummary, OrderSummary


@admin.register(CustomerSummary)
class CustomerAdmin(ReadModelAdmin):
    """The customers; their e-mail addresses are for who may see personal data."""

    identity = "customer_id"
    needed_permission = permissions.VIEW_CUSTOMERS
    ordering = ("-registered_at", "-customer_id")
    list_filter = ("registered_at",)
    search_fields = ("name",)

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
