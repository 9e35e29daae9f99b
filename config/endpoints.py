"""One class for each address that serves reads and commands.

The safe methods come from the read app's viewset, the unsafe ones from the write app's commands, so
that OPTIONS, 405, forms and the OpenAPI document include both. The examples in the forms come from
the read models.
"""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from uuid_utils.compat import uuid7

from config import shop_apps
from config.accounts.models import User
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.customers import CustomerViewSet
from ordering_read.api.inventory import InventoryViewSet
from ordering_read.api.orders import OrderViewSet
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.inventory import GetInventory
from ordering_read.queries.orders import GetOrderById, OrderNotFoundError
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands, actions
from ordering_write.client import WHOLE_ORDER_MOVES, OrderStatus

Examples = dict[str, dict[str, Any]]

# Shops add routes about orders, products and customers before the endpoints get their methods.
shop_apps.load("routes")


class OrderEndpoint(OrderCommands, OrderViewSet):
    """Orders: placing, changing, sending, paying and returning them."""

    needed_permissions = {
        **OrderViewSet.needed_permissions,
        **OrderCommands.needed_permissions,
        "allowed_actions": permissions.VIEW_ORDERS,
    }
    log_actions = OrderViewSet.log_actions | {"allowed_actions"}

    @extend_schema(
        operation_id="order_actions",
        summary="List the commands of an order",
        responses={200: actions.ActionsBody, 500: None},
        examples=[actions.EXAMPLE],
    )
    @action(detail=True, url_path="actions", url_name="actions", name="Actions")
    def allowed_actions(self, request: Request, pk: str) -> Response:
        """Lists the commands an order accepts now, and why it refuses the others.

        The refusals are those that the commands would get at this moment; the list is never behind.
        """
        parse_query(request, Parameters)
        order_id = path_id(pk, OrderNotFoundError)
        # The answer changes with the clock and with the order's events.
        self.headers["Cache-Control"] = "private, no-store"
        body = actions.actions_for(
            cast(User, request.user),
            order_id,
            routes=self.routes,
            address=reverse("order-detail", kwargs={"pk": order_id}, request=request),
            now=datetime.now(UTC),
        )
        return self.answer(body)

    def command_examples(self, request: Request) -> Examples:
        """Return example bodies that succeed unchanged if the order accepts the command."""
        if "pk" not in self.kwargs:
            return self.examples(self._sample_values())
        try:
            order = self.ask(GetOrderById(order_id=UUID(self.kwargs["pk"])))
        except (ValueError, OrderNotFoundError):
            return {}
        moves = WHOLE_ORDER_MOVES[order.status] or (OrderStatus.CONFIRMED,)
        values = {
            "status": moves[0],
            "currency": order.currency,
            "amount": order.total_amount,
            "reason_code": "customer",
            "assignee": request.user.get_username(),
        }
        if order.items:
            values["line_id"] = order.items[0].line_id
        return self.examples({**self._sample_values(), **values})

    def _sample_values(self) -> dict[str, Any]:
        """Return values of fields, taken from a customer and from a product that is on sale."""
        customers = self.ask(ListCustomers(status="active", page_size=1)).items
        products = self.ask(GetInventory(page_size=100)).items
        products_on_sale = [
            product
            for product in products
            if product.available > 0 and product.list_price is not None
        ]
        values: dict[str, Any] = {"currency": settings.DEFAULT_CURRENCY}
        if customers:
            values["customer_id"] = customers[0].customer_id
        if products_on_sale:
            values["product_id"] = products_on_sale[0].product_id
            values["unit_price"] = products_on_sale[0].list_price
            values["currency"] = products_on_sale[0].currency
        return values


class CustomerEndpoint(CustomerCommands, CustomerViewSet):
    """Customers and their orders."""

    needed_permissions = {
        **CustomerViewSet.needed_permissions,
        **CustomerCommands.needed_permissions,
    }

    def command_examples(self, request: Request) -> Examples:
        """Return bodies that succeed unchanged, for the forms of the browsable pages."""
        return self.examples({"email": f"robin.{uuid7().hex[-6:]}@example.com"})


class InventoryEndpoint(StockCommands, InventoryViewSet):
    """Products and their stock."""

    needed_permissions = {**InventoryViewSet.needed_permissions, **StockCommands.needed_permissions}

    def command_examples(self, request: Request) -> Examples:
        """Return bodies that succeed unchanged, for the forms of the browsable pages."""
        sku = f"SAMPLE-{uuid7().hex[-6:].upper()}"
        return self.examples({"sku": sku, "currency": settings.DEFAULT_CURRENCY})
