"""The admin pages of what was sold, what customers have bought, and how many orders are where."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ordering_read import permissions
from ordering_read.admin.base import ReadModelAdmin, link, list_of, page_of, uuid_in
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct, with_names
from ordering_read.models.status_counter import StatusCounter
from ordering_write.published import quantize


class CountedAdmin(ReadModelAdmin):
    """A table of sums: what there is to know of a row stands in the list."""

    identity = "key"
    list_display_links = None


@admin.register(SalesByDay)
class SalesByDayAdmin(CountedAdmin):
    """What was sold, cancelled and given back on each day, in each currency."""

    needed_permission = permissions.VIEW_REPORTS
    ordering = ("-day", "currency")
    list_display = ("day", "currency", "orders", "units", "sold", "called_off", "given_back", "net")
    list_filter = ("day", "currency")

    @admin.display(description="Gross")
    def sold(self, sales: SalesByDay) -> str:
        return _money(sales.gross, sales.currency)

    @admin.display(description="Cancelled")
    def called_off(self, sales: SalesByDay) -> str:
        return _money(sales.cancelled, sales.currency)

    @admin.display(description="Refunded")
    def given_back(self, sales: SalesByDay) -> str:
        return _money(sales.refunded, sales.currency)

    @admin.display(description="Net")
    def net(self, sales: SalesByDay) -> str:
        return _money(sales.net, sales.currency)


@admin.register(SalesByProduct)
class SalesByProductAdmin(CountedAdmin):
    """What was ordered, cancelled and returned of each product on each day, in each currency."""

    needed_permission = permissions.VIEW_REPORTS
    ordering = ("-day", "sku", "product_id", "currency")
    list_display = (
        "day",
        "product",
        "product_name",
        "currency",
        "units",
        "cancelled_units",
        "returned_units",
        "sold",
        "given_back",
    )
    list_filter = ("day",)
    search_fields = ("sku",)
    search_help_text = "The SKU or the id of a product"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_names(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if (product_id := uuid_in(term)) is not None:
            return queryset.filter(product_id=product_id), False
        return queryset.filter(shown_sku=term), False

    @admin.display(description="SKU")
    def product(self, sales: Any) -> SafeString:
        return link(page_of(InventoryLevel, sales.product_id), sales.shown_sku)

    @admin.display(description="Name")
    def product_name(self, sales: Any) -> str:
        return str(sales.shown_name)

    @admin.display(description="Gross")
    def sold(self, sales: SalesByProduct) -> str:
        return _money(sales.gross, sales.currency)

    @admin.display(description="Refunded")
    def given_back(self, sales: SalesByProduct) -> str:
        return _money(sales.refunded, sales.currency)


@admin.register(CustomerStats)
class CustomerStatsAdmin(CountedAdmin):
    """What each customer has ordered, in each currency."""

    needed_permission = permissions.VIEW_CUSTOMERS
    ordering = ("-last_order_at", "customer_id", "currency")
    list_display = (
        "customer",
        "currency",
        "orders",
        "cancelled",
        "returned_units",
        "total",
        "average",
        "largest",
        "first_order_at",
        "last_order_at",
    )
    list_filter = ("last_order_at",)
    search_fields = ("customer_id",)
    search_help_text = "The id of a customer"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(customer_id=uuid_in(term)) if term else queryset), False

    @admin.display(description="Customer")
    def customer(self, stats: CustomerStats) -> SafeString:
        return link(page_of(CustomerSummary, stats.customer_id), stats.customer_id)

    @admin.display(description="Spent")
    def total(self, stats: CustomerStats) -> str:
        return _money(stats.spent, stats.currency)

    @admin.display(description="Average order")
    def average(self, stats: CustomerStats) -> str | None:
        average = stats.average_order
        return None if average is None else _money(average, stats.currency)

    @admin.display(description="Largest order")
    def largest(self, stats: CustomerStats) -> str | None:
        largest = stats.largest_order
        return None if largest is None else _money(largest, stats.currency)


@admin.register(StatusCounter)
class StatusCounterAdmin(CountedAdmin):
    """How many orders there are with each value of a facet."""

    needed_permission = permissions.VIEW_ORDERS
    ordering = ("facet", "value")
    list_display = ("facet", "orders", "count")
    list_filter = ("facet",)

    @admin.display(description="Value")
    def orders(self, counter: StatusCounter) -> SafeString:
        query = f"?{counter.facet}__exact={counter.value}"
        return link(list_of(OrderSummary, query), counter.value)


def _money(amount: Decimal, currency: str) -> str:
    return f"{quantize(amount, currency)} {currency}"
