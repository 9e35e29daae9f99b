"""The admin pages of the stock items of the write side, with their reservations."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.fields.spelling import plain
from config.http.admin import parse_uuid
from ordering_write.admin.common import LogAdmin, search_link
from ordering_write.models import Order, OutboxEvent, Reservation, StockItem

# The most reservations that the page of a product shows, the newest ones.
_MAX_RESERVATIONS = 100


@admin.register(StockItem)
class StockItemAdmin(LogAdmin):
    """The stock that decides if an order can be placed, and the orders that reserve it."""

    ordering = ("sku",)
    list_display = ("sku", "name", "on_hand", "reserved", "available", "backorderable", "events")
    list_filter = ("backorderable",)
    search_fields = ("sku",)
    search_help_text = "The beginning of a SKU, or the id of a product"
    fields = (
        "sku",
        "name",
        "product_id",
        "on_hand",
        "reserved",
        "available",
        "backordered",
        "reservations",
        "backorderable",
        "version",
        "events",
    )

    def search(
        self, request: HttpRequest, rows: QuerySet[StockItem], term: str
    ) -> QuerySet[StockItem]:
        if (product_id := parse_uuid(term)) is not None:
            return rows.filter(pk=product_id)
        beginning = plain(term)
        # Most SKUs are capitals. An index of the SKU serves both.
        return rows.filter(Q(sku__startswith=beginning) | Q(sku__startswith=beginning.upper()))

    @admin.display(description="Available")
    def available(self, item: StockItem) -> int:
        return item.available

    @admin.display(description=f"Reservations (newest {_MAX_RESERVATIONS})", empty_value="none")
    def reservations(self, item: StockItem) -> SafeString:
        reservations = Reservation.objects.filter(product=item).order_by("-pk")
        newest = list(reservations[:_MAX_RESERVATIONS])
        orders = Order.objects.filter(pk__in={reservation.order_id for reservation in newest})
        numbers = dict(orders.values_list("pk", "order_number"))
        lines = ((reservation, numbers[reservation.order_id]) for reservation in newest)
        return format_html_join(
            "",
            "<div>{} for {}{}</div>",
            (
                (
                    reservation.quantity,
                    search_link(OutboxEvent, number, label=number),
                    f", {reservation.backordered} backordered" if reservation.backordered else "",
                )
                for reservation, number in lines
            ),
        )

    @admin.display(description="Events")
    def events(self, item: StockItem) -> SafeString:
        return search_link(OutboxEvent, item.stream, label="Show")
