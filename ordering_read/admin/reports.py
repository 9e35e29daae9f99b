"""The admin pages of the reports: sales, customer statistics, and counts of orders by status."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from config.fields.spelling import plain
from config.http.admin import link, list_url, parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import ListOnlyAdmin, amount_column, link_column, name_of
from ordering_read.admin.customers import customers_named
from ordering_read.admin.labels import field_label
from ordering_read.models import CustomerSummary, InventoryLevel, OrderSummary
from ordering_read.models.customer_stats import CustomerStats
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.models.sales_by_product import SalesByProduct, with_names
from ordering_read.models.status_counter import StatusCounter
from ordering_read.models.tax_by_day import TaxByDay
from ordering_read.queries.order_facts import words


@admin.register(SalesByDay)
class SalesByDayAdmin(ListOnlyAdmin):
    """Sales, cancellations and refunds per day and currency."""

    needed_permission = permissions.VIEW_REPORTS
    ordering = ("-day", "currency")
    list_display = (
        "day",
        "currency",
        "orders",
        "units",
        "gross_amount",
        "cancelled_amount",
        "refunded_amount",
        "net_amount",
        "discount_amount",
        "tax_amount",
        "captured_amount",
        "charged_back_amount",
        "paid_back_amount",
    )
    list_filter = ("day", "currency")

    gross_amount = amount_column("gross", "Gross")
    cancelled_amount = amount_column("cancelled", "Cancelled")
    refunded_amount = amount_column("refunded", "Refunded")
    net_amount = amount_column("net", "Net")
    discount_amount = amount_column("discount", "Discount")
    tax_amount = amount_column("tax", "Tax")
    captured_amount = amount_column("captured", "Captured")
    charged_back_amount = amount_column("charged_back", "Charged back")
    paid_back_amount = amount_column("paid_back", "Paid back")


@admin.register(TaxByDay)
class TaxByDayAdmin(ListOnlyAdmin):
    """Taxes per day, currency and rate."""

    needed_permission = permissions.VIEW_REPORTS
    ordering = ("-day", "currency", "jurisdiction", "label", "rate", "is_included")
    list_display = (
        "day",
        "currency",
        "jurisdiction",
        "label",
        "rate",
        "is_included",
        "base_amount",
        "tax_amount",
    )
    list_filter = ("day", "currency")

    base_amount = amount_column("base", "Base")
    tax_amount = amount_column("amount", "Tax")


@admin.register(SalesByProduct)
class SalesByProductAdmin(ListOnlyAdmin):
    """Units ordered, cancelled and returned per day, product and currency."""

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
        "gross_amount",
        "refunded_amount",
    )
    list_filter = ("day",)
    search_fields = ("sku",)
    search_help_text = "The SKU or the id of a product"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_names(super().get_queryset(request))

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if (product_id := parse_uuid(term)) is not None:
            return rows.filter(product_id=product_id)
        return rows.filter(shown_sku=plain(term))

    product = link_column(InventoryLevel, "product_id", "SKU", "shown_sku")

    @admin.display(description="Name")
    def product_name(self, sales: Any) -> str:
        return str(sales.shown_name)

    gross_amount = amount_column("gross", "Gross")
    refunded_amount = amount_column("refunded", "Refunded")


@admin.register(CustomerStats)
class CustomerStatsAdmin(ListOnlyAdmin):
    """Statistics per customer and currency."""

    uses_search = True
    needed_permission = permissions.VIEW_CUSTOMERS
    ordering = ("-last_order_at", "customer_id", "currency")
    list_display = (
        "customer",
        "currency",
        "orders",
        "cancelled",
        "returned_units",
        "spent_amount",
        "average_amount",
        "largest_amount",
        "paid_amount",
        "first_order",
        "last_order",
    )
    list_filter = ("last_order_at",)
    search_fields = ("customer_id",)
    search_help_text = "Words of a customer's name, or the id of a customer"

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if (customer_id := parse_uuid(term)) is not None:
            return rows.filter(customer_id=customer_id)
        customers = customers_named(request, CustomerSummary.live.all(), term)
        return rows.filter(customer_id__in=customers.values("customer_id"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        name = name_of(CustomerSummary, "customer_id", "name")
        return super().get_queryset(request).annotate(customer_name=name)

    customer = link_column(CustomerSummary, "customer_id", "Customer", "customer_name")

    @admin.display(description="First order")
    def first_order(self, stats: CustomerStats) -> str:
        return date_format(localtime(stats.first_order_at), "j M Y")

    @admin.display(description="Last order")
    def last_order(self, stats: CustomerStats) -> str:
        return date_format(localtime(stats.last_order_at), "j M Y")

    spent_amount = amount_column("spent", "Spent")
    average_amount = amount_column("average_order", "Average order")
    largest_amount = amount_column("largest_order", "Largest order")
    paid_amount = amount_column("paid", "Paid")


@admin.register(StatusCounter)
class StatusCounterAdmin(ListOnlyAdmin):
    """The number of orders per value of a facet, such as the status."""

    needed_permission = permissions.VIEW_ORDERS
    ordering = ("facet", "value")
    list_display = ("facet_words", "orders", "count")
    list_filter = ("facet",)

    @admin.display(description="Facet")
    def facet_words(self, counter: StatusCounter) -> str:
        return field_label(counter.facet)

    @admin.display(description="Value")
    def orders(self, counter: StatusCounter) -> SafeString:
        query = f"?{counter.facet}={counter.value}"
        return link(list_url(OrderSummary, query), words(counter.value))
