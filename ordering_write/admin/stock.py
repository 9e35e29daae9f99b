"""The pages of the stock behind the inventory: what is set aside, and for whom."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.http.admin import ReadOnlyAdmin
from ordering_write.admin.common import as_uuid, found
from ordering_write.models import Order, OutboxEvent, Reservation, StockItem

# Reservations shown on the page of a product, the newest ones.
_RESERVATIONS = 100


@admin.register(StockItem)
class StockItemAdmin(ReadOnlyAdmin):
    """What decides whether an order can be placed, and for which orders units are set aside."""

    needed_permission = "ordering_write.view_outbox"
    ordering = ("sku",)
    list_display = ("sku", "name", "on_hand", "reserved", "available", "backorderable", "events")
    list_filter = ("backorderable",)
    sortable_by = ()
    search_fields = ("sku",)
    search_help_text = "The beginning of a SKU, or the id of a product"
    fields = (
        "sku",
        "name",
        "product_id",
        "on_hand",
        "reserved",
        "available",
        "reservations",
        "backorderable",
        "version",
        "events",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StockItem], search_term: str
    ) -> tuple[QuerySet[StockItem], bool]:
        term = search_term.strip()
        if (product_id := as_uuid(term)) is not None:
            return queryset.filter(pk=product_id), False
        return queryset.filter(sku__startswith=term), False

    @admin.display(description="Available")
    def available(self, item: StockItem) -> int:
        return item.available

    @admin.display(description=f"Set aside (newest {_RESERVATIONS})", empty_value="for no order")
    def reservations(self, item: StockItem) -> SafeString:
        newest = list(Reservation.objects.filter(product=item).order_by("-pk")[:_RESERVATIONS])
        orders = Order.objects.filter(pk__in={held.order_id for held in newest})
        numbers = dict(orders.values_list("pk", "order_number"))
        return format_html_join(
            "",
            "<div>{} for {}</div>",
            ((held.quantity, found(OutboxEvent, numbers[held.order_id])) for held in newest),
        )

    @admin.display(description="Events")
    def events(self, item: StockItem) -> SafeString:
        return found(OutboxEvent, item.stream, label="Show")
