"""Reading orders."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.ids import path_id
from config.http.pagination import page_body
from config.http.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import OrderBody, OrderDetailBody, OrderPageBody
from ordering_read.api.parameters import CUSTOMER, ID, PAGE, STATUS, OrderParameters
from ordering_read.queries import (
    GetOrderById,
    ListOrders,
    OrderNotFoundError,
    OrderView,
    Page,
)


def order_page(request: Request, page: Page[OrderView]) -> dict[str, Any]:
    """The body that shows ``page``."""
    return page_body(request, page, results=[OrderBody.of(item, request) for item in page.items])


class OrderViewSet(QueryViewSet):
    """The safe methods of /orders."""

    needed_permissions = {
        "list": permissions.VIEW_ORDERS,
        "retrieve": permissions.VIEW_ORDERS,
    }

    @extend_schema(
        operation_id="order_list",
        summary="List orders",
        parameters=[STATUS, CUSTOMER, *PAGE],
        responses=OrderPageBody,
    )
    def list(self, request: Request) -> Response:
        """The orders, newest first."""
        asked = parse_query(request, OrderParameters)
        page = self.ask(ListOrders(**dict(asked)))
        return self.answer(order_page(request, page))

    @extend_schema(
        operation_id="order_get",
        summary="Show an order",
        parameters=[ID],
        responses=OrderDetailBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """An order with its lines and addresses.

        Who may not see addresses gets `***` for all of them but city and country.
        """
        parse_query(request, Parameters)
        order = self.ask(GetOrderById(order_id=path_id(pk, OrderNotFoundError)))
        return self.answer(
            OrderDetailBody.of(
                order, request, with_addresses=permissions.may_view_addresses(request.user)
            )
        )
