"""The admin page of the fulfilment queue, with its printed pick lists and packing slips."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin, ReadModelAdmin, link_column
from ordering_read.admin.gaps import gaps_of, incomplete_named, incomplete_of
from ordering_read.admin.work import QueueWorkFilter
from ordering_read.documents import AddressView
from ordering_read.engine.gaps import Streams, row_gaps
from ordering_read.models import OrderSummary
from ordering_read.models.fulfilment import QueuedOrder
from ordering_read.queries.fulfilment import (
    Readiness,
    backordered_units,
    queue,
    queued_order_view,
)
from ordering_write.published import spelled_order_number


class ReadinessFilter(admin.SimpleListFilter):
    """Filters by the readiness of an order."""

    title = "readiness"
    parameter_name = "ready"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(value, value.capitalize()) for value in Readiness]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(readiness=self.value()) if self.value() else queryset


@admin.register(QueuedOrder)
class FulfilmentQueueAdmin(ActingAdmin, ReadModelAdmin):
    """The orders to pack and dispatch, the oldest first."""

    identity = "order_id"
    stream_prefix, stream_field = "order", "order_id"
    # The readiness of an order depends on the stock of its products.
    also_reads: ClassVar[tuple[str, ...]] = ("inventory_level",)
    needed_permission = permissions.VIEW_STOCK_LEVELS
    ordering = ("placed_at", "order_id")
    list_display = (
        "readiness",
        "order",
        "age",
        "to_pack",
        "packed",
        "destination",
        "assigned_to",
        "reasons",
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
    actions = ("print_pick_list", "print_packing_slips")

    class Media:
        css = {"all": ["ordering_read/fulfilment.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[QueuedOrder]:
        return queue().select_related("projection")

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
        return format_html('<span class="light light-{0}">{0}</span>', row.readiness)

    order = link_column(OrderSummary, "order_id", "Order", "order_number")

    @admin.display(description="Age")
    def age(self, row: QueuedOrder) -> str:
        return timesince(row.placed_at, depth=1)

    @admin.display(description="To pack")
    def to_pack(self, row: QueuedOrder) -> int:
        return row.open_units

    @admin.display(description="Packed")
    def packed(self, row: QueuedOrder) -> int:
        return row.packed_units

    @admin.display(description="Destination")
    def destination(self, row: QueuedOrder) -> str:
        return f"{row.city}, {row.country}" if row.country else "no shipping"

    @admin.display(description="Reasons")
    def reasons(self, row: QueuedOrder) -> str:
        return "; ".join(queued_order_view(row).reasons)

    # --- Printed lists -------------------------------------------------------------------------
    def has_address_permission(self, request: HttpRequest) -> bool:
        return permissions.may_view_addresses(request.user)

    @admin.action(description="Print a pick list of the selected orders", permissions=["view"])
    def print_pick_list(
        self, request: HttpRequest, queryset: QuerySet[QueuedOrder]
    ) -> HttpResponse:
        orders = list(queryset)
        gaps = [
            f"{order.order_number}: {detail}"
            for order, detail in zip(orders, self._gaps(orders), strict=True)
            if detail
        ]
        context = {"orders": orders, "picks": _picks(orders), "gaps": gaps}
        return TemplateResponse(request, "admin/ordering_read/pick_list.html", context)

    @admin.action(description="Print packing slips of the selected orders", permissions=["address"])
    def print_packing_slips(
        self, request: HttpRequest, queryset: QuerySet[QueuedOrder]
    ) -> HttpResponse:
        orders = list(queryset)
        summaries = OrderSummary.live.filter(order_id__in=[order.order_id for order in orders])
        addresses = {
            order_id: AddressView.model_validate(document)
            for order_id, document in summaries.values_list("order_id", "shipping_address")
            if document
        }
        slips = [
            (order, addresses.get(order.order_id), _units(order), detail)
            for order, detail in zip(orders, self._slip_gaps(orders), strict=True)
        ]
        return TemplateResponse(request, "admin/ordering_read/packing_slips.html", {"slips": slips})

    def _gaps(self, orders: Sequence[QueuedOrder]) -> list[str]:
        """Return a sentence for each order that lacks events, and "" for the others."""
        return [gap.detail if gap else "" for gap in gaps_of(orders, self)]

    def _slip_gaps(self, orders: Sequence[QueuedOrder]) -> list[str]:
        """Return the sentences for slips, whose addresses come from order_view."""
        projections = [
            *incomplete_of(orders, QueuedOrder),
            *incomplete_named([OrderSummary.projection_name]),
        ]
        names = (QueuedOrder.projection_name, OrderSummary.projection_name)
        rows = [{name: [f"order-{order.order_id}"] for name in names} for order in orders]
        return [gap.detail if gap else "" for gap in row_gaps(projections, rows)]


class Pick(NamedTuple):
    """One line of a pick list: the units of a product to fetch, and the orders they are for."""

    sku: str
    name: str
    units: int
    orders: str


def _picks(orders: Iterable[QueuedOrder]) -> list[Pick]:
    """Return the units to fetch for all ``orders`` together, sorted by SKU.

    Backordered units aren't there to be fetched.
    """
    products: dict[tuple[str, str], dict[str, int]] = {}
    for order in orders:
        backordered = backordered_units(order)
        for line_id, line in order.lines.items():
            if (units := line["open"] - backordered.get(line_id, 0)) > 0:
                per_order = products.setdefault((line["sku"], line["name"]), {})
                number = order.order_number
                per_order[number] = per_order.get(number, 0) + units
    return [
        Pick(
            sku=sku,
            name=name,
            units=sum(per_order.values()),
            orders=", ".join(f"{number} × {units}" for number, units in per_order.items()),
        )
        for (sku, name), per_order in sorted(products.items())
    ]


def _units(order: QueuedOrder) -> list[tuple[str, str, int]]:
    """Return SKU, name and units of each line that isn't dispatched yet and requires shipping."""
    lines = [line for line in order.lines.values() if line.get("requires_shipping", True)]
    counts = ((line, line["open"] + line["packed"]) for line in lines)
    return [(line["sku"], line["name"], units) for line, units in counts if units]
