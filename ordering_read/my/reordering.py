"""A new order of the lines of a former one, shown before it is placed."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.accounts.models import User
from config.http.answers.problems import detail_of, is_anticipated
from ordering_read.documents import AddressView
from ordering_read.my.base import CommandPage
from ordering_read.queries.offers import GetReorder, OfferView
from ordering_read.queries.order_lines import OrderLineView
from ordering_write import client
from ordering_write.published import events as e

_SALT = "ordering_read.my.reordering"
# Seconds for which an order can be placed as it was shown.
_SHOWN_SECONDS = 3_600


class ReorderLine(NamedTuple):
    """A line of the new order; ``problem`` says why it has fewer units than the former line."""

    line: OrderLineView
    name: str
    wanted: int
    quantity: int
    price: Decimal | None
    problem: str


class ReorderPage(CommandPage):
    """Shows the new order at today's prices and availability, and places it as it was shown."""

    template_name = "my/reorder.html"

    offers: Mapping[UUID, OfferView]

    def prepare(self) -> None:
        if not client.may_dispatch(cast(User, self.request.user), client.CreateOrder):
            raise PermissionDenied("You don't have the permission that this page needs.")
        self.order, self.offers = self.ask(GetReorder(order_number=self.kwargs["number"]))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        order = self.order
        lines = list(_lines(order.items, self.offers, order.currency))
        items = [
            {
                "product_id": str(line.line.product_id),
                "quantity": line.quantity,
                "unit_price": str(line.price),
            }
            for line in lines
            if line.quantity
        ]
        total, problem = self._preview(items) if items else (None, "")
        return super().get_context_data(
            lines=lines,
            total=total,
            problem=problem,
            shown=signing.dumps([str(order.id), items], salt=_SALT, compress=True),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Place the order as it was shown; the domain refuses it if a price has changed."""
        page_url = request.get_full_path()
        try:
            shown = request.POST.get("shown", "")
            order_id, items = signing.loads(shown, salt=_SALT, max_age=_SHOWN_SECONDS)
        except signing.BadSignature:
            order_id, items = "", []
        if order_id != str(self.order.id) or not items:
            messages.error(request, "Look at the order once more before you place it.")
            return redirect(page_url)
        try:
            done = "Thank you: your order is placed."
            events, is_shown = self.give(client.CreateOrder, done=done, **self._payload(items))
        except Exception as error:
            if not is_anticipated(error):
                raise
            messages.error(request, f"{detail_of(error)} Look at the order once more.")
            return redirect(page_url)
        if not is_shown:
            return redirect("my:orders")
        placed = next(event for event in events if isinstance(event, e.OrderCreated))
        return redirect("my:order", placed.order_number)

    def _preview(self, items: list[dict[str, Any]]) -> tuple[Decimal | None, str]:
        """Return the total with taxes, or else the reason why the order can't be placed."""
        try:
            command = self.command(client.CreateOrder, uuid4(), **self._payload(items))
            return client.preview(command, user=cast(User, self.request.user)).total_after, ""
        except Exception as error:
            if not is_anticipated(error):
                raise
            return None, detail_of(error)

    def _payload(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        order = self.order
        return {
            "customer_id": self.scope,
            "currency": order.currency,
            "items": items,
            "shipping_address": _address(order.shipping_address),
            "billing_address": _address(order.billing_address),
        }


def _address(address: AddressView | None) -> dict[str, str] | None:
    return address.model_dump() if address else None


def _lines(
    former: Iterable[OrderLineView], offers: Mapping[UUID, OfferView], currency: str
) -> Iterable[ReorderLine]:
    """Yield the lines of the new order. Lines of the same product share its available units."""
    available = {product_id: offer.available for product_id, offer in offers.items()}
    for line in former:
        wanted = line.quantity - line.cancelled or line.quantity
        offer = offers.get(line.product_id)
        if offer is None or offer.discontinued_at:
            yield ReorderLine(line, line.name, wanted, 0, None, "It isn't sold any more.")
            continue
        price = offer.price_in(currency)
        if price is None:
            problem = f"It isn't sold in {currency} any more."
            yield ReorderLine(line, offer.name, wanted, 0, None, problem)
            continue
        units = wanted if offer.backorderable else max(0, min(wanted, available[offer.product_id]))
        available[offer.product_id] -= units
        problem = ""
        if units < wanted:
            problem = f"Only {units} of {wanted} are left." if units else "It is sold out."
        yield ReorderLine(line, offer.name, wanted, units, price, problem)
