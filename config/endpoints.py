"""The joint between writing and reading: one class for each address that serves both.

The safe methods are the read app's viewset and the unsafe ones the write app's commands, so that
OPTIONS, 405, forms and the OpenAPI document know of both. The examples in the forms are made of
what the read side shows.
"""

from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework.request import Request
from uuid_utils.compat import uuid7

from ordering_read import queries
from ordering_read.api import CustomerViewSet, InventoryViewSet, OrderViewSet
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.client import WHOLE_ORDER_MOVES, OrderStatus

Examples = dict[str, dict[str, Any]]


class OrderEndpoint(OrderCommands, OrderViewSet):
    """Orders: placed, moved and cancelled by commands, shown by the projection order_view."""

    needed_permissions = {**OrderViewSet.needed_permissions, **OrderCommands.needed_permissions}

    def command_examples(self, request: Request) -> Examples:
        """Bodies that succeed as they stand, where the order allows it."""
        if "pk" not in self.kwargs:
            return self.examples(self._on_sale())
        try:
            order = self.ask(queries.GetOrderById(order_id=UUID(self.kwargs["pk"])))
        except (ValueError, queries.OrderNotFoundError):
            return {}
        moves = WHOLE_ORDER_MOVES[order.status] or (OrderStatus.CONFIRMED,)
        known = {
            "status": moves[0],
            "currency": order.currency,
            "amount": order.total_amount,
            "reason_code": "customer",
            "assignee": request.user.get_username(),
        }
        if order.items:
            known["line_id"] = order.items[0].line_id
        return self.examples({**self._on_sale(), **known})

    def _on_sale(self) -> dict[str, Any]:
        """A customer, and a product that can be ordered."""
        customers = self.ask(queries.ListCustomers(page_size=1)).items
        products = self.ask(queries.GetInventory(page_size=100)).items
        on_sale = [p for p in products if p.available > 0 and p.list_price is not None]
        known: dict[str, Any] = {"currency": settings.DEFAULT_CURRENCY}
        if customers:
            known["customer_id"] = customers[0].customer_id
        if on_sale:
            known["product_id"] = on_sale[0].product_id
            known["unit_price"] = on_sale[0].list_price
            known["currency"] = on_sale[0].currency
        return known


class CustomerEndpoint(CustomerCommands, CustomerViewSet):
    """Customers and their orders."""

    needed_permissions = {
        **CustomerViewSet.needed_permissions,
        **CustomerCommands.needed_permissions,
    }

    def command_examples(self, request: Request) -> Examples:
        """A body that succeeds as it stands, for the form of the browsable page."""
        return self.examples({"email": f"robin.{uuid7().hex[-6:]}@example.com"})


class InventoryEndpoint(StockCommands, InventoryViewSet):
    """Products and what is in stock of them."""

    needed_permissions = {**InventoryViewSet.needed_permissions, **StockCommands.needed_permissions}

    def command_examples(self, request: Request) -> Examples:
        """Bodies that succeed as they stand, for the forms of the browsable pages."""
        sku = f"SAMPLE-{uuid7().hex[-6:].upper()}"
        return self.examples({"sku": sku, "currency": settings.DEFAULT_CURRENCY})
