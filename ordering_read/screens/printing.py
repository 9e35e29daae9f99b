"""The printed pages of the warehouse: pick lists and packing slips."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ordering_read import permissions
from ordering_read.queries.packing import GetPackingOrders, GetPackingSlips, PackingOrderView
from ordering_read.screens.base import Screen
from ordering_read.screens.orders_named import gaps_of, numbers_in


class Pick(NamedTuple):
    """One line of a pick list: the units of a product to fetch, and the orders they are for."""

    sku: str
    name: str
    units: int
    orders: tuple[str, ...]


class PickListScreen(Screen):
    """The units to fetch for the orders that the address names, without those that are stopped."""

    template_name = "screens/pick_list.html"
    title = "Pick list"
    needed_permission = permissions.VIEW_STOCK_LEVELS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        numbers = numbers_in(self.request.GET.get("orders", ""))
        orders = self.ask(GetPackingOrders(order_numbers=numbers))
        listed = [order for order in orders if not order.stopped_by]
        return super().get_context_data(
            orders=listed,
            left_out=[order for order in orders if order.stopped_by],
            picks=_picks(listed),
            gaps=gaps_of(orders),
            **kwargs,
        )


class PackingSlipsScreen(Screen):
    """A slip for each parcel of the orders that the address names, each on a page of its own."""

    template_name = "screens/packing_slips.html"
    title = "Packing slips"
    needed_permission = permissions.VIEW_STOCK_LEVELS

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not permissions.may_view_addresses(request.user):
            raise PermissionDenied("You don't have the permission to see addresses.")
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        numbers = numbers_in(self.request.GET.get("orders", ""))
        slips = self.ask(GetPackingSlips(order_numbers=numbers))
        orders = self.ask(GetPackingOrders(order_numbers=numbers))
        return super().get_context_data(
            slips=[slip for slip in slips if not slip.stopped_by],
            left_out=[slip for slip in slips if slip.stopped_by],
            gaps=gaps_of(orders),
            **kwargs,
        )


def _picks(orders: Iterable[PackingOrderView]) -> list[Pick]:
    """Return the units to fetch for all ``orders`` together, sorted by SKU."""
    products: dict[tuple[str, str], dict[str, int]] = {}
    for order in orders:
        for line in order.lines:
            if line.in_stock:
                per_order = products.setdefault((line.sku, line.name), {})
                units = per_order.get(order.order_number, 0) + line.in_stock
                per_order[order.order_number] = units
    return [
        Pick(
            sku=sku,
            name=name,
            units=sum(per_order.values()),
            orders=tuple(f"{number} × {units}" for number, units in per_order.items()),
        )
        for (sku, name), per_order in sorted(products.items())
    ]
