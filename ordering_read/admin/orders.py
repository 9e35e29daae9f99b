"""The admin pages of orders: the list, an order with its story, and what can be done to it."""

import time
from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin.base import (
    ActingAdmin,
    ReadModelAdmin,
    begins,
    link,
    list_of,
    log_of,
    page_of,
    uuid_in,
)
from ordering_read.admin.histories import sentence
from ordering_read.models import CustomerSummary, OrderLine, OrderSummary
from ordering_read.models.order_timeline import TimelineEntry
from ordering_write import client
from ordering_write.client import CancelOrder, Command, OrderStatus, UpdateOrderStatus
from ordering_write.published import quantize

# How long a click waits for the list to show what it did, all its orders together.
_WAIT_SECONDS = 2.0
# Orders that one click may act on: a page of the list.
_AT_ONCE = 50

_CONFIRM = f"ordering_write.{client.MOVES[OrderStatus.CONFIRMED]}"
_SHIP = f"ordering_write.{client.MOVES[OrderStatus.SHIPPED]}"
_CANCEL = f"ordering_write.{client.MOVES[OrderStatus.CANCELLED]}"


class CancelForm(forms.Form):
    """Why orders are cancelled."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autofocus": True}),
        help_text="Stands in the log for good; leave out what is personal.",
    )


@admin.register(OrderSummary)
class OrderAdmin(ActingAdmin, ReadModelAdmin):
    """The orders as order_view shows them, with what order_timeline tells of each."""

    identity = "order_id"
    needed_permission = permissions.VIEW_ORDERS
    change_form_template = "admin/ordering_read/order.html"
    ordering = ("-created_at", "-order_id")
    list_display = (
        "order_number",
        "created_at",
        "customer",
        "status",
        "total",
        "item_count",
        "unit_count",
        "updated_at",
    )
    list_filter = ("status", "created_at")
    search_fields = ("order_number",)
    search_help_text = (
        "An order number, the beginning of a customer's name, or the id of an order or a customer"
    )
    actions = ("confirm_orders", "ship_orders", "cancel_orders")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        order: list[Any] = [("status", "total"), "created_at"]
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
        if term[0].isdigit():
            return queryset.filter(order_number=term), False
        return begins(queryset, term, "customer_name"), False

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
            "lines": [
                (line, _money(line.unit_price, obj.currency), _money(line.line_total, obj.currency))
                for line in lines.order_by("number")
            ],
            "entries": [(entry, sentence(entry, with_personal=with_personal)) for entry in entries],
            "log": log_of(request, f"order-{obj.order_id}"),
            "moves": [
                (name, _button(description))
                for name, description in self.get_action_choices(request, default_choices=[])
            ],
        }
        return super().render_change_form(request, context, add, change, form_url, obj)

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
    def has_confirm_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(_CONFIRM))

    def has_ship_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(_SHIP))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(_CANCEL))

    @admin.action(description="Confirm the selected orders", permissions=["confirm"])
    def confirm_orders(
        self, request: HttpRequest, queryset: QuerySet[OrderSummary]
    ) -> HttpResponse | None:
        return self._move(request, queryset, OrderStatus.CONFIRMED)

    @admin.action(description="Ship the selected orders", permissions=["ship"])
    def ship_orders(
        self, request: HttpRequest, queryset: QuerySet[OrderSummary]
    ) -> HttpResponse | None:
        return self._move(request, queryset, OrderStatus.SHIPPED)

    @admin.action(description="Cancel the selected orders…", permissions=["cancel"])
    def cancel_orders(
        self, request: HttpRequest, queryset: QuerySet[OrderSummary]
    ) -> HttpResponse | None:
        orders = self._chosen(request, queryset)
        if not orders:
            return None
        form = CancelForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            reason = form.cleaned_data["reason"]
            return self._give(
                request,
                orders,
                lambda order, **envelope: CancelOrder(
                    order_id=order.order_id, reason=reason, **envelope
                ),
                done="cancelled",
            )
        context = {
            **self.admin_site.each_context(request),
            "title": "Cancel orders",
            "opts": self.opts,
            "orders": orders,
            "form": form,
            "from_page": "from_page" in request.POST,
        }
        return TemplateResponse(request, "admin/ordering_read/cancel_orders.html", context)

    def _move(
        self, request: HttpRequest, queryset: QuerySet[OrderSummary], status: OrderStatus
    ) -> HttpResponse | None:
        return self._give(
            request,
            self._chosen(request, queryset),
            lambda order, **envelope: UpdateOrderStatus(
                order_id=order.order_id, status=status, **envelope
            ),
            done=str(status),
        )

    def _chosen(self, request: HttpRequest, queryset: QuerySet[OrderSummary]) -> list[OrderSummary]:
        chosen = list(queryset[: _AT_ONCE + 1])
        if len(chosen) <= _AT_ONCE:
            return chosen
        self.message_user(request, f"Choose at most {_AT_ONCE} orders at once.", messages.ERROR)
        return []

    def _give(
        self,
        request: HttpRequest,
        orders: list[OrderSummary],
        command: Callable[..., Command],
        *,
        done: str,
    ) -> HttpResponse | None:
        """Give a command for each order and tell what came of it; then back to where it began."""
        user = cast(User, request.user)
        correlation_id = request.correlation_id  # type: ignore[attr-defined]
        ends_at = time.monotonic() + _WAIT_SECONDS
        unseen = []

        def give(order: OrderSummary) -> None:
            envelope = client.envelope(user, channel="admin")
            try:
                client.dispatch(
                    command(order, correlation_id=correlation_id, **envelope),
                    user=user,
                    wait_for=(OrderSummary.projection_name,),
                    timeout=max(0.0, ends_at - time.monotonic()),
                )
            except client.NotYetVisibleError:
                unseen.append(order)

        self.act_on_each(request, orders, give, done=done)
        if unseen:
            text = "This page doesn't show it yet: the projection is behind. Load it again soon."
            self.message_user(request, text, messages.WARNING)
        if "from_page" in request.POST and orders:
            return redirect(page_of(OrderSummary, orders[0].order_id))
        return None


def _button(description: str) -> str:
    """The text of a button: "Ship the selected orders" on the page of one order is "Ship"."""
    return description.replace(" the selected orders", "")


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
