"""The admin pages of orders: the list, and the page of an order with its history and commands."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.timezone import localtime
from pydantic import ValidationError

from config.accounts import saved_views
from config.http.admin import list_url, page_url, parse_uuid
from config.http.answers.problems import detail_of
from ordering_read import permissions
from ordering_read.admin.base import in_store_time, log_url, money_column, refused_attempts, user_of
from ordering_read.admin.bulk import BULK_COMMANDS
from ordering_read.admin.command_forms import FormContext
from ordering_read.admin.commands import CommandPages, Groups
from ordering_read.admin.form_contexts import NewOrderContext, OrderContext
from ordering_read.admin.gaps import gap_of_page
from ordering_read.admin.next_step import next_step
from ordering_read.admin.order_filters import OrderFilter
from ordering_read.admin.order_money import refund_form
from ordering_read.admin.order_page import (
    about,
    badge_html,
    command_sections,
    status_badges,
    template_context,
)
from ordering_read.admin.order_timeline import timeline_context
from ordering_read.models import OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.queries.backorders import lines_of
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.order_changes import GetOrderChanges, OrderChangeView
from ordering_read.queries.order_lists import DOCUMENTS, ListOrders
from ordering_write import client
from ordering_write.client import commands as c
from ordering_write.published import (
    DetachedEventsError,
    NotFoundError,
    OrderStatus,
    UndecodableEventError,
    spelled_order_number,
)

# Orders in these states wait for the shop: their age counts.
_WAITING = {
    OrderStatus.PENDING,
    OrderStatus.CONFIRMED,
    OrderStatus.PROCESSING,
    OrderStatus.PARTIALLY_SHIPPED,
}


@admin.register(OrderSummary)
class OrderAdmin(CommandPages):
    """The orders, from order_view, and the history of each order, from order_timeline."""

    identity = "order_id"
    stream_prefix, stream_field = "order", "order_id"
    uses_search = True
    unlisted = (*DOCUMENTS, "metadata")
    needed_permission = permissions.VIEW_ORDERS
    change_form_template = "admin/ordering_read/order.html"
    change_list_template = "admin/ordering_read/order_list.html"
    ordering = ("-created_at", "-order_id")
    list_display = ("order_number", "placed", "customer", "state", "total", "units", "labels")
    list_filter = (OrderFilter,)
    search_fields = ("order_number",)
    search_help_text = (
        "Order number, reference, PO number, customer, SKU, product, tracking number, tag or note; "
        "or the id of an order or a customer"
    )

    aggregate = "order"
    waits_for = ("order_view", "order_timeline")
    bulk = BULK_COMMANDS

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        # The page has a template of its own.
        return ()

    def search(
        self, request: HttpRequest, rows: QuerySet[OrderSummary], term: str
    ) -> QuerySet[OrderSummary]:
        if (row_id := parse_uuid(term)) is not None:
            return rows.filter(Q(order_id=row_id) | Q(customer_id=row_id))
        try:
            query = ListOrders(q=term, with_personal=request.user.has_perm(permissions.VIEW_PII))
        except ValidationError:
            return rows.none()
        return query.select(rows)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if set(request.GET) == {"q"} and self.has_view_permission(request):
            number = spelled_order_number(request.GET["q"])
            for order in OrderSummary.find_live(order_number=number):
                return redirect(page_url(OrderSummary, order.order_id))
        context = {
            "saved_views": saved_views.views_of(user_of(request)),
            "may_share": request.user.has_perm(permissions.SHARE_VIEWS),
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def new_links(self, request: HttpRequest) -> list[dict[str, str]]:
        """Return the page New order instead of the form with all fields, to which it links."""
        if not client.may_dispatch(user_of(request), c.CreateOrder):
            return []
        return [{"label": "New order", "url": reverse("screens:new-order")}]

    # --- The page of an order ------------------------------------------------------------------
    def page_context(
        self, request: HttpRequest, record: OrderSummary, groups: Groups
    ) -> dict[str, Any]:
        with_personal = request.user.has_perm(permissions.VIEW_PII)
        context = template_context(record, lines_of(record), with_personal=with_personal)
        order = context["order"]
        buttons = {button.command: button for _, group in groups for button in group}
        step = next_step(order, {command: buttons[command].refusal for command in buttons})
        return {
            **context,
            **about(order, user_of(request)),
            **timeline_context(request, record.order_id, with_personal=with_personal),
            "title": f"Order {record}",
            "subtitle": None,
            "command_sections": command_sections(groups),
            "step": step,
            "refund": refund_form(record, buttons.get(c.RequestRefund), user_of(request)),
            "primary": step.command and buttons[step.command],
            "log_url": log_url(request, f"order-{record.order_id}"),
            "refused_attempts": refused_attempts(request, f"order-{record.order_id}"),
        }

    def page_gaps(self, record: OrderSummary) -> list[str]:
        gap = gap_of_page(record, f"order-{record.order_id}", TimelineEntry.projection_name)
        return [gap.detail] if gap else []

    # --- Columns and fields --------------------------------------------------------------------
    @admin.display(description="Customer")
    def customer(self, order: OrderSummary) -> SafeString:
        return format_html(
            '<a href="{}" class="clipped" title="{}"><bdi>{}</bdi></a>',
            list_url(OrderSummary, f"?customer_id={order.customer_id}"),
            order.customer_name,
            order.customer_name,
        )

    @admin.display(description="Placed")
    def placed(self, order: OrderSummary) -> SafeString:
        moment = f"{localtime(order.created_at):%-d %b %Y, %H:%M}"
        if order.status not in _WAITING:
            return SafeString(moment)
        age = timesince(order.created_at, depth=1)
        return format_html('{}<div class="quiet">{} ago</div>', moment, age)

    @admin.display(description="Status, payment, fulfilment")
    def state(self, order: OrderSummary) -> SafeString:
        return SafeString(" ".join(map(badge_html, status_badges(order))))

    @admin.display(description="Tags", empty_value="")
    def labels(self, order: OrderSummary) -> SafeString:
        return format_html_join(
            " ", '<span class="badge" title="{}">{}</span>', ((tag, tag) for tag in order.tags)
        )

    @admin.display(description="Units")
    def units(self, order: OrderSummary) -> SafeString:
        # On a phone, the cell stands without its heading.
        word = "unit" if order.unit_count == 1 else "units"
        return format_html('{} <span class="on-phone">{}</span>', order.unit_count, word)

    total = money_column("total_amount", "Total")

    # --- Commands ------------------------------------------------------------------------------
    def form_context(self, request: HttpRequest, record: OrderSummary | None) -> FormContext:
        user = user_of(request)
        return OrderContext(user, record) if record else NewOrderContext(user)

    def refusals(
        self, request: HttpRequest, record: OrderSummary
    ) -> Mapping[type[client.Command], str]:
        try:
            actions = client.actions_of(record.order_id, now=datetime.now(UTC))
        except NotFoundError:
            # The rows show an order that the log lacks, because it was restored from a backup.
            return {}
        except (UndecodableEventError, DetachedEventsError) as error:
            # Many commands don't read the event and still work.
            self.message_user(request, detail_of(error), messages.WARNING)
            return {}
        return {
            action.command: in_store_time(str(action.refusal))
            for action in actions
            if action.refusal
        }

    def version_of(self, record: OrderSummary | None) -> int | None:
        return record.version if record else None

    def changes_since(
        self, request: HttpRequest, record: OrderSummary, version: int
    ) -> Sequence[OrderChangeView]:
        with_personal = request.user.has_perm(permissions.VIEW_PII)
        query = GetOrderChanges(order_id=record.order_id, after=version)
        try:
            return get_query_bus().dispatch(
                query.model_copy(update={"with_personal": with_personal})
            )
        except (NotFoundError, UndecodableEventError, DetachedEventsError):
            # The page says that the order has changed, without the changes.
            return ()
