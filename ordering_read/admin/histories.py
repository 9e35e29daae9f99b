"""The admin pages of what has happened to orders and to stock, event by event."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from ordering_read import permissions
from ordering_read.admin.base import ReadModelAdmin, link, page_of, uuid_in
from ordering_read.models import InventoryLevel, OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.projections.sentences import note_sentence


def sentence(entry: TimelineEntry, *, with_personal: bool) -> str:
    """What ``entry`` says; without what a note says unless asked for."""
    if with_personal or entry.type != "NoteAdded":
        return entry.sentence
    return note_sentence("***", entry.actor)


class HistoryAdmin(ReadModelAdmin):
    """A table of events, newest first: what there is to know of a row stands in the list."""

    identity = "key"
    list_display_links = None
    ordering = ("-position",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        [owner] = self.search_fields
        return queryset.filter(**{owner: uuid_in(term)}), False


@admin.register(TimelineEntry)
class TimelineAdmin(HistoryAdmin):
    """What has happened to the orders, one sentence for each event."""

    needed_permission = permissions.VIEW_ORDERS
    list_filter = ("visibility", "at")
    search_fields = ("order_id",)
    search_help_text = "The id of an order"

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        told = "sentence" if request.user.has_perm(permissions.VIEW_PII) else "without_notes"
        return ("at", "order", told, "visibility", "channel", "position")

    @admin.display(description="Order")
    def order(self, entry: TimelineEntry) -> SafeString:
        return link(page_of(OrderSummary, entry.order_id), "Show")

    @admin.display(description="Sentence")
    def without_notes(self, entry: TimelineEntry) -> str:
        return sentence(entry, with_personal=False)


@admin.register(StockMovement)
class StockLedgerAdmin(HistoryAdmin):
    """What came, went, was set aside and was given back, and what there was after it."""

    needed_permission = permissions.VIEW_STOCK_LEVELS
    list_display = (
        "at",
        "product",
        "kind",
        "delta",
        "reserved_delta",
        "on_hand",
        "reserved",
        "available",
        "reference",
        "reason",
        "comment",
        "order",
        "actor",
        "position",
    )
    list_filter = ("kind", "at")
    search_fields = ("product_id",)
    search_help_text = "The id of a product"

    @admin.display(description="Product")
    def product(self, movement: StockMovement) -> SafeString:
        return link(page_of(InventoryLevel, movement.product_id), "Show")

    @admin.display(description="Order")
    def order(self, movement: StockMovement) -> SafeString | None:
        if movement.order_id is None:
            return None
        return link(page_of(OrderSummary, movement.order_id), "Show")
