"""The admin pages of orders: the list, and the page of an order with its history and commands."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format
from django.utils.html import escape, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from pydantic import ValidationError

from config.http.admin import link, list_url, page_url, parse_uuid
from config.http.answers.problems import detail_of
from ordering_read import permissions
from ordering_read.admin.base import link_column, log_url, metadata_column, money_column, user_of
from ordering_read.admin.command_forms import FormContext
from ordering_read.admin.commands import CommandPages
from ordering_read.admin.form_contexts import NewOrderContext, OrderContext
from ordering_read.admin.gaps import gap_details, gap_of_stream
from ordering_read.admin.histories import sentence
from ordering_read.admin.order_page import status_badges, template_context
from ordering_read.admin.work import OrderWorkFilter
from ordering_read.documents import AddressView
from ordering_read.models import CustomerSummary, OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.queries.backorders import lines_of
from ordering_read.queries.order_lists import ListOrders
from ordering_write import client
from ordering_write.client import commands as c
from ordering_write.published import (
    NotFoundError,
    UndecodableEventError,
    spelled_order_number,
)


class AttentionFilter(admin.SimpleListFilter):
    """Selects the orders whose money a person must look at."""

    title = "attention"
    parameter_name = "needs_attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "needs attention")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[OrderSummary]
    ) -> QuerySet[OrderSummary]:
        return queryset.exclude(attention=[]) if self.value() == "yes" else queryset


@admin.register(OrderSummary)
class OrderAdmin(CommandPages):
    """The orders, from order_view, and the history of each order, from order_timeline."""

    identity = "order_id"
    stream_prefix, stream_field = "order", "order_id"
    uses_search = True
    needed_permission = permissions.VIEW_ORDERS
    change_form_template = "admin/ordering_read/order.html"
    ordering = ("-created_at", "-order_id")
    list_display = ("order_number", "placed", "customer", "state", "total", "units")
    list_filter = (OrderWorkFilter, "status", AttentionFilter, "created_at")
    # Links of customers and of the counts per status.
    list_lookups = (
        "customer_id",
        "payment_status__exact",
        "fulfilment_status__exact",
        "return_status__exact",
    )
    search_fields = ("order_number",)
    search_help_text = (
        "Order number, reference, PO number, customer, SKU, product, tracking number, tag or note; "
        "or the id of an order or a customer"
    )

    aggregate = "order"
    waits_for = ("order_view", "order_timeline")
    bulk = (c.ConfirmOrder, c.UpdateOrderStatus, c.PlaceHold, c.CancelOrder, c.TagOrder)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        order: list[Any] = ["created_at"]
        if obj and obj.external_reference:
            order.append("external_reference")
        if obj and obj.po_number:
            order.append("po_number")
        if obj and obj.metadata and request.user.has_perm(permissions.VIEW_PII):
            order.append("metadata_pairs")
        if obj and obj.tags:
            order.append("tag_list")
        may_view_customers = request.user.has_perm(permissions.VIEW_CUSTOMERS)
        name = "customer_page" if may_view_customers else "customer_name"
        customer: list[Any] = [(name, "customer_orders")]
        if not permissions.may_view_addresses(request.user):
            customer.append("destination")
        elif obj and obj.billing_address:
            customer.append(("shipping", "billing"))
        else:
            customer.append("shipping")
        projection = (("order_id", "version"), ("position", "updated_at"))
        return (
            (None, {"fields": order}),
            ("Customer", {"fields": customer}),
            ("Projection", {"fields": projection}),
        )

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
            order = OrderSummary.live.filter(order_number=number).first()
            if order:
                return redirect(page_url(OrderSummary, order.order_id))
        return super().changelist_view(request, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        entries = list(
            TimelineEntry.live.filter(order_id=obj.order_id)
            .select_related("projection")
            .order_by("version")
        )
        details = gap_details(entries[:1], self)
        if not entries and (gap := gap_of_stream(f"order-{obj.order_id}", "order_timeline")):
            details = [gap.detail]
        with_personal = request.user.has_perm(permissions.VIEW_PII)
        context |= {
            **template_context(obj, lines_of(obj), with_personal=with_personal),
            "entries": [(entry, sentence(entry, with_personal=with_personal)) for entry in entries],
            "log_url": log_url(request, f"order-{obj.order_id}"),
            "projection_gaps": details,
        }
        return super().render_change_form(
            request, context, add=add, change=change, form_url=form_url, obj=obj
        )

    # --- Columns and fields --------------------------------------------------------------------
    @admin.display(description="Customer")
    def customer(self, order: OrderSummary) -> SafeString:
        return link(
            list_url(OrderSummary, f"?customer_id={order.customer_id}"), order.customer_name
        )

    customer_page = link_column(CustomerSummary, "customer_id", "Customer", "customer_name")

    @admin.display(description="All orders")
    def customer_orders(self, order: OrderSummary) -> SafeString:
        return link(_orders_url(order.customer_id), "Show")

    @admin.display(description="Placed")
    def placed(self, order: OrderSummary) -> str:
        # Omit the time zone, unlike other pages: the footer names it.
        return date_format(localtime(order.created_at), "j M Y, H:i")

    @admin.display(description="Status, payment, fulfilment")
    def state(self, order: OrderSummary) -> SafeString:
        badges = ((badge.tone, badge.label, badge.text) for badge in status_badges(order))
        return format_html_join(" ", '<span class="badge badge-{}" title="{}">{}</span>', badges)

    @admin.display(description="Units")
    def units(self, order: OrderSummary) -> int:
        return order.unit_count

    total = money_column("total_amount", "Total")

    @admin.display(description="Tags")
    def tag_list(self, order: OrderSummary) -> str:
        return ", ".join(order.tags)

    metadata_pairs = metadata_column

    @admin.display(description="Ships to")
    def destination(self, order: OrderSummary) -> str:
        address = order.shipping_address
        return f"{address['city']}, {address['country']}" if address else _NOT_SHIPPED

    @admin.display(description="Ships to")
    def shipping(self, order: OrderSummary) -> SafeString:
        if order.shipping_address is None:
            return escape(_NOT_SHIPPED)
        return _address(order.shipping_address)

    @admin.display(description="Billed to")
    def billing(self, order: OrderSummary) -> SafeString:
        return _address(order.billing_address)

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
        except UndecodableEventError as error:
            # Many commands don't read the event and still work.
            self.message_user(request, detail_of(error), messages.WARNING)
            return {}
        return {action.command: str(action.refusal) for action in actions if action.refusal}


# In place of an address.
_NOT_SHIPPED = "no shipping"


def _orders_url(customer_id: UUID) -> str:
    return list_url(OrderSummary, f"?customer_id={customer_id}")


def _address(document: Any) -> SafeString:
    address = AddressView.model_validate(document)
    town = " ".join(part for part in (address.postal_code, address.city) if part)
    lines = (
        address.name,
        address.line1,
        address.line2,
        town,
        address.region,
        address.country,
        address.phone,
    )
    return format_html_join("", "<div>{}</div>", ((line,) for line in lines if line))
