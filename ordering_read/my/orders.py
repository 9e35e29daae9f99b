"""The list of a customer's orders, and the page of one order."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from django.urls import reverse

from config.accounts.models import User
from ordering_read.admin.gaps import gap_of_stream, incomplete_named
from ordering_read.engine.gaps import row_gaps
from ordering_read.my import words
from ordering_read.my.base import PROJECTIONS, CustomerPage, OrderPage
from ordering_read.my.returning import returnable_units
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import OrderDetail
from ordering_read.queries.timeline import GetTimeline
from ordering_write import client
from ordering_write.published import (
    DetachedEventsError,
    NotFoundError,
    OrderStatus,
    UndecodableEventError,
)

# The orders on a page of the list, and the entries of the timeline on the page of an order.
_ORDERS, _ENTRIES = 20, 100


class OrdersPage(CustomerPage):
    """The orders of the customer, the newest first."""

    template_name = "my/orders.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        number = _page_number(self.request.GET.get("page", ""))
        page = self.ask(ListOrders(page=number, page_size=_ORDERS))
        streams = [{"order_view": [f"order-{order.id}"]} for order in page.items]
        gaps = row_gaps(incomplete_named(["order_view"]), streams)
        return super().get_context_data(
            rows=[
                {
                    "order": order,
                    "url": reverse("my:order", args=[order.order_number]),
                    "status": words.STATUSES[order.status],
                    "is_stale": gap is not None,
                }
                for order, gap in zip(page.items, gaps, strict=True)
            ],
            page=page,
            newer=page.page - 1,
            older=page.page + 1 if page.next_cursor else 0,
            **kwargs,
        )


class OrderDetailPage(OrderPage):
    """One order: its items and sums, its parcels and returns, and its public timeline."""

    template_name = "my/order.html"
    for_visitors = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        order = self.order
        names = {line.line_id: line.name for line in order.items}
        cursor = self.request.GET.get("cursor") or None
        timeline = GetTimeline(order_id=order.id, page_size=_ENTRIES)
        return super().get_context_data(
            status=words.STATUSES[order.status],
            lines=[(line, words.units_of(line)) for line in order.items],
            sums=list(_sums(order)),
            owed=abs(order.balance),
            parcels=[
                {
                    "shipment": shipment,
                    "state": words.parcel_state(shipment),
                    "contents": words.contents(shipment.items, names),
                }
                for shipment in order.shipments
                if shipment.status != "voided"
            ],
            returns=[
                {
                    "return": order_return,
                    "state": words.return_state(order_return),
                    "contents": words.contents(order_return.items, names),
                }
                for order_return in order.returns
            ],
            timeline=self.ask(timeline.model_copy(update={"cursor": cursor})),
            is_stale=gap_of_stream(f"order-{order.id}", *PROJECTIONS) is not None,
            **({} if self.visitor else self._commands()),
            **kwargs,
        )

    def _commands(self) -> dict[str, Any]:
        """Return the commands that the customer may give now, and why the others are refused."""
        try:
            actions = client.actions_of(
                self.order.id, customer_scope=self.scope, now=datetime.now(UTC)
            )
        except (NotFoundError, UndecodableEventError, DetachedEventsError):
            # The rows show an order that the log lacks, or that can't be read now.
            return {}
        user = cast(User, self.request.user)
        refusals = {
            action.command: action.refusal
            for action in actions
            if client.may_dispatch(user, action.command)
        }
        is_packed = self.order.status == OrderStatus.PROCESSING
        has_goods = any(returnable_units(line) for line in self.order.items)
        cancel, ask_return = client.CancelOrder, client.RequestReturn
        return {
            "may_cancel": cancel in refusals and refusals[cancel] is None,
            "may_return": ask_return in refusals and refusals[ask_return] is None,
            "may_reorder": client.may_dispatch(user, client.CreateOrder),
            "refusals": [
                refusals.get(command)
                for command, is_shown in ((cancel, is_packed), (ask_return, has_goods))
                if is_shown and refusals.get(command)
            ],
        }


def _page_number(text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) < 9
    return max(1, int(text)) if is_number else 1


def _sums(order: OrderDetail) -> Iterator[tuple[str, Decimal]]:
    """Yield the labels and amounts that stand below the items, without those of nothing."""
    sums = order.sums
    amounts = {
        "Items": sums.list_value if sums.list_value != order.total_amount else Decimal(0),
        "Discount": -sums.discount,
        "Shipping and other charges": sums.charges,
        "Taxes": sums.tax,
        "Goodwill": -sums.goodwill,
    }
    for label, amount in amounts.items():
        if amount:
            yield label, amount
    yield "Total", order.total_amount
    if sums.included_tax:
        yield "Taxes in it", sums.included_tax
    if order.captured:
        yield "Paid", order.captured
    if order.refunded:
        yield "Paid back", order.refunded
