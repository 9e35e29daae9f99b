"""The admin pages of the order history and the stock ledger: one row per event."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from config.fields.spelling import plain
from config.http.admin import parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import ListOnlyAdmin, grouped, link_column, name_of
from ordering_read.admin.labels import CHANNELS
from ordering_read.models import InventoryLevel, OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.models.stock_ledger import StockMovement
from ordering_read.queries.order_facts import words
from ordering_read.queries.timeline import masked_sentence
from ordering_write.published import spelled_order_number

_ORDER_NUMBER = name_of(OrderSummary, "order_id", "order_number")


def sentence(entry: TimelineEntry, *, with_personal: bool) -> str:
    """Return the sentence of ``entry``, with its personal texts only if ``with_personal``."""
    if with_personal:
        return grouped(entry.sentence)
    return grouped(masked_sentence(entry.type, entry.sentence, entry.actor))


class HistoryAdmin(ListOnlyAdmin):
    """A list of events, newest first, searched by the id or the name of their subject."""

    ordering = ("-position",)

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        [id_field] = self.search_fields
        if (row_id := parse_uuid(term)) is not None:
            return rows.filter(**{id_field: row_id})
        return rows.filter(**{f"{id_field}__in": self.named(term).values(id_field)})

    def named(self, term: str) -> QuerySet[Any]:
        """Return the rows of the orders or products with this number or SKU."""
        raise NotImplementedError


@admin.register(TimelineEntry)
class TimelineAdmin(HistoryAdmin):
    """The history of all orders, one sentence per event."""

    stream_prefix, stream_field = "order", "order_id"
    needed_permission = permissions.VIEW_ORDERS
    list_filter = ("visibility", "at")
    search_fields = ("order_id",)
    search_help_text = "The number or the id of an order"

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        with_personal = request.user.has_perm(permissions.VIEW_PII)
        text = "whole_sentence" if with_personal else "sentence_without_personal"
        return ("at", "order", text, "visibility", "channel_words", "position")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(order_number=_ORDER_NUMBER)

    order = link_column(OrderSummary, "order_id", "Order", "order_number")

    def named(self, term: str) -> QuerySet[OrderSummary]:
        return OrderSummary.live.filter(order_number=spelled_order_number(term))

    @admin.display(description="Channel", ordering="channel")
    def channel_words(self, entry: TimelineEntry) -> str:
        return CHANNELS.get(entry.channel, entry.channel)

    @admin.display(description="Sentence")
    def whole_sentence(self, entry: TimelineEntry) -> str:
        return sentence(entry, with_personal=True)

    @admin.display(description="Sentence")
    def sentence_without_personal(self, entry: TimelineEntry) -> str:
        return sentence(entry, with_personal=False)


@admin.register(StockMovement)
class StockLedgerAdmin(HistoryAdmin):
    """The movements of stock, each with the stock after it."""

    stream_prefix, stream_field = "stock", "product_id"
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
        "order",
        "why",
        "actor",
        "position",
    )
    list_filter = ("kind", "at")
    search_fields = ("product_id",)
    search_help_text = "The SKU or the id of a product"

    def named(self, term: str) -> QuerySet[InventoryLevel]:
        return InventoryLevel.live.filter(sku=plain(term))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        sku = name_of(InventoryLevel, "product_id", "sku")
        return super().get_queryset(request).annotate(sku=sku, order_number=_ORDER_NUMBER)

    product = link_column(InventoryLevel, "product_id", "SKU", "sku")
    order = link_column(OrderSummary, "order_id", "Order", "order_number")

    @admin.display(description="Why")
    def why(self, movement: StockMovement) -> str:
        texts = (movement.reference, words(movement.reason), movement.comment)
        return " · ".join(filter(None, texts))
