"""The admin pages of stock, as people see it."""

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from ordering_read import permissions
from ordering_read.admin.base import ReadModelAdmin, begins, uuid_in
from ordering_read.admin.command_forms import Subject
from ordering_read.admin.command_subjects import OfProduct, Unregistered
from ordering_read.admin.commands import CommandPages
from ordering_read.models import InventoryLevel
from ordering_write.client import commands as c
from ordering_write.published import quantize


class AvailabilityFilter(admin.SimpleListFilter):
    """Filters by whether something can still be promised."""

    title = "availability"
    parameter_name = "availability"

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
class InventoryAdmin(CommandPages, ReadModelAdmin):
    """What there is of each product, and how much of it can be promised."""

    identity = "product_id"
    needed_permission = permissions.VIEW_STOCK_LEVELS
    change_form_template = "admin/ordering_read/command_page.html"
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
    list_filter = (AvailabilityFilter,)
    search_fields = ("sku",)
    search_help_text = "The beginning of a SKU or of a name, or the id of a product"
    fields = (
        "sku",
        "name",
        "price",
        "on_hand",
        "reserved",
        "available",
        "reorder_point",
        "product_id",
        "version",
        "position",
        "updated_at",
    )

    key = "product_id"
    waits_for = ("inventory_level",)
    new = (c.RegisterStockItem,)
    commands = {"Stock": (c.ReceiveStock, c.AdjustStock, c.SetListPrice, c.SetStockPolicy)}

    def subject(self, request: HttpRequest, thing: InventoryLevel | None) -> Subject:
        return Unregistered() if thing is None else OfProduct(thing)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InventoryLevel], search_term: str
    ) -> tuple[QuerySet[InventoryLevel], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if (product_id := uuid_in(term)) is not None:
            return queryset.filter(product_id=product_id), False
        return begins(queryset, term, "sku", "name"), False

    @admin.display(description="List price")
    def price(self, level: InventoryLevel) -> str | None:
        if level.list_price is None:
            return None
        return f"{quantize(level.list_price, level.currency)} {level.currency}"
