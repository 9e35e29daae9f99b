"""The admin pages of orders: the list, an order with its story, and what can be done to it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from pydantic import ValidationError

from config.http.answers.problems import detail_of
from ordering_read import permissions
from ordering_read.admin.base import (
    ReadModelAdmin,
    link,
    list_of,
    log_of,
    page_of,
    uuid_in,
)
from ordering_read.admin.command_forms import Subject
from ordering_read.admin.command_subjects import NewOrder, OfOrder
from ordering_read.admin.commands import CommandPages, user_of
from ordering_read.admin.histories import sentence
from ordering_read.admin.order_page import context_of, facets_of
from ordering_read.models import CustomerSummary, OrderLine, OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.queries import ListOrders
from ordering_read.queries.order_lists import OrderFilterSet
from ordering_write import client
from ordering_write.client import commands as c
from ordering_write.published import NotFoundError, UndecodableEventError, quantize


@admin.register(OrderSummary)
class OrderAdmin(CommandPages, ReadModelAdmin):
    """The orders as order_view shows them, with what order_timeline tells of each."""

    identity = "order_id"
    needed_permission = permissions.VIEW_ORDERS
    change_form_template = "admin/ordering_read/order.html"
    ordering = ("-created_at", "-order_id")
    list_display = ("order_number", "placed", "customer", "state", "total", "units")
    list_filter = ("status", "created_at")
    search_fields = ("order_number",)
    search_help_text = (
        "Words of whatever an order is about: number, reference, customer, SKU, product, tracking, "
        "tag, note; or the id of an order or a customer"
    )

    key = "order_id"
    waits_for = ("order_view", "order_timeline")
    new = (c.CreateOrder,)
    bulk = (c.ConfirmOrder, c.UpdateOrderStatus, c.PlaceHold, c.CancelOrder, c.TagOrder)
    commands = {
        "Order": (
            c.ConfirmOrder,
            c.StartProcessing,
            c.CompleteOrder,
            c.UpdateOrderStatus,
            c.PlaceHold,
            c.ReleaseHold,
            c.CancelOrder,
            c.ExpireOrder,
            c.AssignOrder,
        ),
        "Items": (
            c.AddOrderItem,
            c.ChangeItemQuantity,
            c.CancelOrderItems,
            c.ChangeShippingAddress,
        ),
        "Shipments": (
            c.CreateShipment,
            c.DispatchShipment,
            c.UpdateTracking,
            c.VoidShipment,
            c.ConfirmDelivery,
            c.FailDelivery,
        ),
        "Payments": (c.RecordPayment, c.RequestRefund, c.RecordRefund),
        "Returns": (c.RequestReturn, c.ReceiveReturn, c.RejectReturn),
        "Notes": (c.AddNote, c.RedactNote, c.TagOrder, c.UntagOrder),
    }

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        order: list[Any] = ["created_at"]
        if obj and obj.external_reference:
            order.append("external_reference")
        if obj and obj.tags:
            order.append("tag_list")
        linked = request.user.has_perm(permissions.VIEW_CUSTOMERS)
        customer: list[Any] = [("customer_page" if linked else "customer_name", "customer_orders")]
        if not permissions.may_view_addresses(request.user):
            customer.append("destination")
        elif obj and obj.billing_address:
            customer.append(("shipping", "billing"))
        else:
            customer.append("shipping")
        row = (("order_id", "version"), ("position", "updated_at"))
        return (
            (None, {"fields": order}),
            ("Customer", {"fields": customer}),
            ("As the projection has it", {"fields": row}),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OrderSummary], search_term: str
    ) -> tuple[QuerySet[OrderSummary], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if (row_id := uuid_in(term)) is not None:
            return queryset.filter(Q(order_id=row_id) | Q(customer_id=row_id)), False
        try:
            query = ListOrders(q=term, with_personal=request.user.has_perm(permissions.VIEW_PII))
        except ValidationError:
            return queryset.none(), False
        return OrderFilterSet(query, queryset).qs, False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if set(request.GET) == {"q"} and self.has_view_permission(request):
            named = OrderSummary.live.filter(order_number=request.GET["q"].strip())
            if order_id := named.values_list("order_id", flat=True).first():
                return redirect(page_of(OrderSummary, order_id))
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
        # Of the row's generation, which another one may have replaced a moment ago.
        lines = OrderLine.objects.filter(projection_id=obj.projection_id, order_id=obj.order_id)
        entries = TimelineEntry.live.filter(order_id=obj.order_id).order_by("version")
        with_personal = request.user.has_perm(permissions.VIEW_PII)
        context |= {
            **context_of(obj, lines.order_by("number"), with_personal=with_personal),
            "entries": [(entry, sentence(entry, with_personal=with_personal)) for entry in entries],
            "log": log_of(request, f"order-{obj.order_id}"),
        }
        return super().render_change_form(
            request, context, add=add, change=change, form_url=form_url, obj=obj
        )

    # --- What is shown -------------------------------------------------------------------------
    @admin.display(description="Customer")
    def customer(self, order: OrderSummary) -> SafeString:
        return link(list_of(OrderSummary, f"?customer_id={order.customer_id}"), order.customer_name)

    @admin.display(description="Customer")
    def customer_page(self, order: OrderSummary) -> SafeString:
        return link(page_of(CustomerSummary, order.customer_id), order.customer_name)

    @admin.display(description="All orders")
    def customer_orders(self, order: OrderSummary) -> SafeString:
        return link(list_of(OrderSummary, f"?customer_id={order.customer_id}"), "Show")

    @admin.display(description="Placed")
    def placed(self, order: OrderSummary) -> str:
        # Shorter than elsewhere; the zone stands below the page.
        return date_format(localtime(order.created_at), "j M Y, H:i")

    @admin.display(description="Status, payment, fulfilment")
    def state(self, order: OrderSummary) -> SafeString:
        facets = ((one.tone, one.label, one.text) for one in facets_of(order))
        return format_html_join(" ", '<span class="badge badge-{}" title="{}">{}</span>', facets)

    @admin.display(description="Units")
    def units(self, order: OrderSummary) -> int:
        return order.unit_count

    @admin.display(description="Total")
    def total(self, order: OrderSummary) -> str:
        return _money(order.total_amount, order.currency)

    @admin.display(description="Tags")
    def tag_list(self, order: OrderSummary) -> str:
        return ", ".join(order.tags)

    @admin.display(description="Ships to")
    def destination(self, order: OrderSummary) -> str:
        return f"{order.shipping_address['city']}, {order.shipping_address['country']}"

    @admin.display(description="Ships to")
    def shipping(self, order: OrderSummary) -> SafeString:
        return _address(order.shipping_address)

    @admin.display(description="Billed to")
    def billing(self, order: OrderSummary) -> SafeString:
        return _address(order.billing_address)

    # --- What can be done ----------------------------------------------------------------------
    def subject(self, request: HttpRequest, thing: OrderSummary | None) -> Subject:
        user = user_of(request)
        return NewOrder(user) if thing is None else OfOrder(user, thing)

    def refusals(
        self, request: HttpRequest, thing: OrderSummary
    ) -> Mapping[type[client.Command], str]:
        try:
            allowed = client.actions_of(thing.order_id, now=datetime.now(UTC))
        except NotFoundError:
            # The log has lost it, as a restored backup has; the page still shows what was.
            return {}
        except UndecodableEventError as error:
            # Many commands are possible all the same.
            self.message_user(request, detail_of(error), messages.WARNING)
            return {}
        return {each.command: str(each.refusal) for each in allowed if each.refusal}


def _money(amount: Any, currency: str) -> str:
    return f"{quantize(amount, currency)} {currency}"


def _address(address: Any) -> SafeString:
    town = " ".join(part for part in (address["postal_code"], address["city"]) if part)
    parts = (
        address["name"],
        address["line1"],
        address["line2"],
        town,
        address["region"],
        address["country"],
        address["phone"],
    )
    return format_html_join("", "<div>{}</div>", ((part,) for part in parts if part))
