"""The admin pages of stock, with the commands that change it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from config.http.admin import list_url, page_url, parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import for_programs, matching, money_column, name_of
from ordering_read.admin.command_forms import FormContext
from ordering_read.admin.commands import CommandPages, Groups
from ordering_read.admin.form_contexts import ProductContext, RegistrationContext
from ordering_read.admin.labels import PRODUCT_HELP
from ordering_read.admin.work import StockWorkFilter
from ordering_read.models import InventoryLevel, OrderSummary
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.projections.counting_projector import store_day
from ordering_read.queries.backorders import EXPECTED
from ordering_read.queries.inventory import GetInventory

# The number of movements on the page of a product.
_LAST_MOVEMENTS = 10


class AvailabilityFilter(admin.SimpleListFilter):
    """Filters for products that are sold out or must be reordered."""

    title = parameter_name = "availability"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("none", "Nothing available"), ("low", "To be reordered")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[InventoryLevel]
    ) -> QuerySet[InventoryLevel]:
        match self.value():
            case "none":
                return queryset.filter(available__lte=0)
            case "low":
                return queryset.filter(available__lte=F("reorder_point"))
            case _:
                return queryset


@admin.register(InventoryLevel)
class InventoryAdmin(CommandPages):
    """The stock of each product: on hand, reserved and available."""

    identity = "product_id"
    stream_prefix, stream_field = "stock", "product_id"
    uses_search = True
    needed_permission = permissions.VIEW_STOCK_LEVELS
    change_form_template = "admin/ordering_read/product.html"
    ordering = ("sku",)
    list_display = (
        "sku",
        "name",
        "on_hand",
        "reserved",
        "available",
        "reorder_point",
        "price",
        "updated_at",
    )
    list_filter = (StockWorkFilter, AvailabilityFilter)
    search_fields = ("sku",)
    search_help_text = "The beginning of a SKU, words of a name, or the id of a product"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "sku",
                    "name",
                    "price",
                    "prices_elsewhere",
                    "discontinued_at",
                    "requires_shipping",
                    "on_hand",
                    "reserved",
                    "available",
                    "backordered",
                    "expectations",
                    "reorder_point",
                    "tax_class",
                )
            },
        ),
        for_programs("product_id", "version", "position", "updated_at"),
    )

    aggregate = "stock"
    waits_for = ("inventory_level",)

    def form_context(self, request: HttpRequest, record: InventoryLevel | None) -> FormContext:
        return ProductContext(record) if record else RegistrationContext(PRODUCT_HELP)

    def page_context(
        self, request: HttpRequest, record: InventoryLevel, groups: Groups
    ) -> dict[str, Any]:
        number = name_of(OrderSummary, "order_id", "order_number")
        rows = StockMovement.live.filter(product_id=record.product_id).order_by("-version")
        movements = list(rows.annotate(order_number=number)[:_LAST_MOVEMENTS])
        query = f"?{urlencode({'q': record.sku})}"
        context = {"movements": movements, "movements_url": list_url(StockMovement, query)}
        if request.user.has_perm(permissions.VIEW_ORDERS):
            query = f"?{urlencode({'sku': record.sku})}"
            context["orders_url"] = list_url(OrderSummary, query)
            for row in movements:
                row.order_url = page_url(OrderSummary, row.order_id) if row.order_id else ""
        return context

    def search(
        self, request: HttpRequest, rows: QuerySet[InventoryLevel], term: str
    ) -> QuerySet[InventoryLevel]:
        if (product_id := parse_uuid(term)) is not None:
            return rows.filter(product_id=product_id)
        return matching(rows, term, "sku", "name", query=lambda text: GetInventory(q=text))

    @admin.display(description="Expected", empty_value="none")
    def expectations(self, row: InventoryLevel) -> str:
        views = EXPECTED.validate_python(row.expected)
        return "; ".join(f"{view.quantity} on {store_day(view.at)}" for view in views)

    @admin.display(description="Other list prices", empty_value="none")
    def prices_elsewhere(self, row: InventoryLevel) -> str:
        return "; ".join(f"{price['amount']} {price['currency']}" for price in row.other_prices)

    price = money_column("list_price", "List price")
