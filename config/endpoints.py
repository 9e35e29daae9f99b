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
        """Bodies that succeed as they stand, for the forms of the browsable pages."""
        if "pk" not in self.kwargs:
            return {"create": self._new_order()}
        try:
            order = self.ask(queries.GetOrderById(order_id=UUID(self.kwargs["pk"])))
        except (ValueError, queries.OrderNotFoundError):
            return {}
        moves = WHOLE_ORDER_MOVES[order.status] or (OrderStatus.CONFIRMED,)
        return {
            "cancel": {"reason": "The customer changed their mind", "reason_code": "customer"},
            "set_status": {"status": moves[0]},
        }

    def _new_order(self) -> dict[str, Any]:
        customers = self.ask(queries.ListCustomers(page_size=1)).items
        products = self.ask(queries.GetInventory(page_size=100)).items
        on_sale = [p for p in products if p.available > 0 and p.list_price is not None]
        product = on_sale[0] if on_sale else None
        return {
            "customer_id": customers[0].customer_id if customers else uuid7(),
            "currency": product.currency if product else settings.DEFAULT_CURRENCY,
            "items": [
                {
                    "product_id": product.product_id if product else uuid7(),
                    "quantity": 1,
                    "unit_price": product.list_price if product else "19.90",
                }
            ],
            "shipping_address": {
                "name": "Robin Sample",
                "line1": "1 Example Street",
                "city": "Sampleton",
                "postal_code": "12345",
                "country": "ES",
            },
        }


class CustomerEndpoint(CustomerCommands, CustomerViewSet):
    """Customers and their orders."""

    needed_permissions = {
        **CustomerViewSet.needed_permissions,
        **CustomerCommands.needed_permissions,
    }

    def command_examples(self, request: Request) -> Examples:
        """A body that succeeds as it stands, for the form of the browsable page."""
        email = f"robin.{uuid7().hex[-6:]}@example.com"
        return {"create": {"name": "Robin Sample", "email": email}}


class InventoryEndpoint(StockCommands, InventoryViewSet):
    """Products and what is in stock of them."""

    needed_permissions = {**InventoryViewSet.needed_permissions, **StockCommands.needed_permissions}

    def command_examples(self, request: Request) -> Examples:
        """Bodies that succeed as they stand, for the forms of the browsable pages."""
        return {
            "create": {
                "sku": f"SAMPLE-{uuid7().hex[-6:].upper()}",
                "name": "Sample product",
                "on_hand": 25,
                "list_price": "12.50",
                "currency": settings.DEFAULT_CURRENCY,
            },
            "receipts": {"quantity": 10, "reference": "Delivery note 1"},
        }
