"""The joint between writing and reading: one class for each address that serves both.

The safe methods are the read app's viewset and the unsafe ones the write app's commands, so that
OPTIONS, 405, forms and the OpenAPI document know of both. The examples in the forms are made of
what the read side shows.
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

from config.accounts.models import User
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.customers import CustomerViewSet
from ordering_read.api.inventory import InventoryViewSet
from ordering_read.api.orders import OrderViewSet
from ordering_read.api.parameters import ID
from ordering_read.queries.customers import ListCustomers
from ordering_read.queries.inventory import GetInventory
from ordering_read.queries.orders import GetOrderById, OrderNotFoundError
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.api import actions as allowed
from ordering_write.client import WHOLE_ORDER_MOVES, OrderStatus

Examples = dict[str, dict[str, Any]]


class OrderEndpoint(OrderCommands, OrderViewSet):
    """Orders: placed, moved and cancelled by commands, shown by the projection order_view."""

    needed_permissions = {
        **OrderViewSet.needed_permissions,
        **OrderCommands.needed_permissions,
        "allowed_actions": permissions.VIEW_ORDERS,
    }
    log_actions = OrderViewSet.log_actions | {"allowed_actions"}

    @extend_schema(
        operation_id="order_actions",
        summary="Tell what can be done with an order",
        parameters=[ID],
        responses={200: allowed.ActionsBody, 500: None},
        examples=[allowed.EXAMPLE],
    )
    @action(detail=True, url_path="actions", url_name="actions", name="Actions")
    def allowed_actions(self, request: Request, pk: str) -> Response:
        """Which commands you may give now, where, and of the others why not.

        It is what they would be answered at this moment, and never behind.
        """
        parse_query(request, Parameters)
        order_id = path_id(pk, OrderNotFoundError)
        # It changes with the clock, and by the order's events.
        self.headers["Cache-Control"] = "private, no-store"
        told = allowed.actions_for(
            cast(User, request.user),
            order_id,
            routes=self.routes,
            address=reverse("order-detail", kwargs={"pk": order_id}, request=request),
            now=datetime.now(UTC),
        )
        return self.answer(told)

    def command_examples(self, request: Request) -> Examples:
        """Bodies that succeed as they stand, where the order allows it."""
        if "pk" not in self.kwargs:
            return self.examples(self._on_sale())
        try:
            order = self.ask(GetOrderById(order_id=UUID(self.kwargs["pk"])))
        except (ValueError, OrderNotFoundError):
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
        customers = self.ask(ListCustomers(page_size=1)).items
        products = self.ask(GetInventory(page_size=100)).items
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
