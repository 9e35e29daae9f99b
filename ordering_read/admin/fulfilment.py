"""The admin page of the fulfilment queue, from which orders are packed, dispatched and printed."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from ordering_read import permissions
from ordering_read.admin.base import link_column, user_of
from ordering_read.admin.bulk import BULK_COMMANDS, BulkCommands
from ordering_read.admin.codes import destination
from ordering_read.admin.labels import READINESS
from ordering_read.admin.work import QueueWorkFilter
from ordering_read.engine.gaps import Streams
from ordering_read.models import OrderSummary
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.fulfilment import Readiness, queue, queued_order_view
from ordering_write import client
from ordering_write.client import commands as c
from ordering_write.published import OrderStatus, spelled_order_number

# The most orders that are packed, dispatched or printed at once.
_MOST_AT_ONCE = 50


class ReadinessFilter(admin.SimpleListFilter):
    """Filters by the readiness of an order."""

    title = "readiness"
    parameter_name = "ready"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(value.value, READINESS[value]) for value in Readiness]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(readiness=self.value()) if self.value() else queryset


@admin.register(QueuedOrder)
class FulfilmentQueueAdmin(BulkCommands):
    """The orders to pack and dispatch, the oldest first."""

    identity = "order_id"
    stream_prefix, stream_field = "order", "order_id"
    # The readiness of an order depends on the stock of its products.
    also_reads: ClassVar[tuple[str, ...]] = ("inventory_level",)
    needed_permission = permissions.VIEW_STOCK_LEVELS
    ordering = ("placed_at", "order_id")
    list_display = (
        "order",
        "readiness_with_reasons",
        "units_left",
        "age",
        "destination",
        "assigned_to",
    )
    list_display_links = None
    list_filter = (QueueWorkFilter, ReadinessFilter, "status")
    search_fields = ("order_number",)
    search_help_text = "An order number"
    fields = (
        "readiness",
        "reasons",
        "order",
        "placed_at",
        "age",
        "to_pack",
        "packed",
        "destination",
    )
    actions = ("pack", "dispatch_parcels", "print_pick_list", "print_packing_slips")
    bulk = BULK_COMMANDS

    def get_queryset(self, request: HttpRequest) -> QuerySet[QueuedOrder]:
        return queue().select_related("projection")

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        may_pack = self.has_pack_permission(request)
        first, second, *others = self.list_display
        return (first, second, "next_step", *others) if may_pack else self.list_display

    def search(
        self, request: HttpRequest, rows: QuerySet[QueuedOrder], term: str
    ) -> QuerySet[QueuedOrder]:
        return rows.filter(order_number=spelled_order_number(term))

    def streams(self, row: QueuedOrder) -> Streams:
        products = dict.fromkeys(line["product_id"] for line in row.lines.values())
        return {
            **super().streams(row),
            "inventory_level": [f"stock-{product_id}" for product_id in products],
        }

    # --- Columns -------------------------------------------------------------------------------
    @admin.display(description="Readiness")
    def readiness(self, row: Any) -> SafeString:
        label = READINESS[Readiness(row.readiness)]
        return format_html('<span class="light light-{}">{}</span>', row.readiness, label)

    @admin.display(description="Readiness")
    def readiness_with_reasons(self, row: Any) -> SafeString:
        reasons = self.reasons(row)
        return format_html('{}<div class="quiet">{}</div>', self.readiness(row), reasons)

    order = link_column(OrderSummary, "order_id", "Order", "order_number")

    @admin.display(description="Age")
    def age(self, row: QueuedOrder) -> str:
        return timesince(row.placed_at, depth=1)

    @admin.display(description="Units")
    def units_left(self, row: QueuedOrder) -> SafeString:
        texts = ((row.open_units, "to pack"), (row.packed_units, "packed"))
        return format_html_join("", "<div>{} {}</div>", (text for text in texts if text[0]))

    @admin.display(description="To pack")
    def to_pack(self, row: QueuedOrder) -> int:
        return row.open_units

    @admin.display(description="Packed")
    def packed(self, row: QueuedOrder) -> int:
        return row.packed_units

    @admin.display(description="Destination")
    def destination(self, row: QueuedOrder) -> SafeString:
        text = destination(row)
        return format_html('<bdi class="clipped" title="{0}" tabindex="0">{0}</bdi>', text)

    @admin.display(description="Reasons")
    def reasons(self, row: QueuedOrder) -> str:
        return "; ".join(queued_order_view(row).reasons)

    @admin.display(description="Next step")
    def next_step(self, row: Any) -> SafeString:
        steps = []
        if row.open_units and row.readiness != Readiness.RED:
            steps.append(("screens:packing", "Pack"))
        may_leave = not row.hold_reason and row.status != OrderStatus.PENDING
        if row.packed_units and may_leave:
            steps.append(("screens:dispatch", "Dispatch"))
        links = ((_page_of(name, row.order_number), label) for name, label in steps)
        return format_html_join(" ", '<a class="button" href="{}">{}</a>', links)

    # --- Actions -------------------------------------------------------------------------------
    def has_pack_permission(self, request: HttpRequest) -> bool:
        return client.may_dispatch(user_of(request), c.CreateShipment)

    def has_dispatch_permission(self, request: HttpRequest) -> bool:
        return client.may_dispatch(user_of(request), c.DispatchShipment)

    def has_address_permission(self, request: HttpRequest) -> bool:
        return permissions.may_view_addresses(request.user)

    @admin.action(description="Pack the selected orders", permissions=["pack"])
    def pack(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._open(request, queryset, "screens:packing")

    @admin.action(description="Dispatch parcels of the selected orders", permissions=["dispatch"])
    def dispatch_parcels(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self._open(request, queryset, "screens:dispatch")

    @admin.action(description="Print a pick list of the selected orders", permissions=["view"])
    def print_pick_list(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._open(request, queryset, "screens:pick-list")

    @admin.action(description="Print packing slips of the selected orders", permissions=["address"])
    def print_packing_slips(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return self._open(request, queryset, "screens:packing-slips")

    def _open(
        self, request: HttpRequest, queryset: QuerySet[Any], name: str
    ) -> HttpResponse | None:
        """Open the screen ``name`` about the selected orders, if they aren't too many."""
        if not (orders := self.selected(request, queryset, most=_MOST_AT_ONCE)):
            return None
        return redirect(_page_of(name, *(order.order_number for order in orders)))


def _page_of(name: str, *numbers: str) -> str:
    """Return the address of the screen ``name`` about the orders with these ``numbers``."""
    return f"{reverse(name)}?{urlencode({'orders': ','.join(numbers)})}"
