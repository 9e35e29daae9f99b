"""Commands about stock: register a product, receive units."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.ids import path_id
from ordering_write.api.base import Answer, CommandEndpoint, answer
from ordering_write.api.bodies import ProductOutcome, body_of
from ordering_write.bus import Outcome
from ordering_write.domain.commands import ReceiveStock, RegisterStockItem
from ordering_write.domain.errors import ProductNotFoundError
from ordering_write.domain.events import StockEvent


class StockCommands(CommandEndpoint):
    """The unsafe methods of /inventory."""

    needed_permissions = {
        "create": "ordering_write.register_stock_item",
        "receipts": "ordering_write.receive_stock",
    }

    @extend_schema(
        operation_id="product_register",
        summary="Register a product",
        request=body_of(RegisterStockItem),
        responses={201: ProductOutcome},
    )
    def create(self, request: Request) -> Response:
        """Make a product known, with what is in stock of it."""

        def tell(outcome: Outcome) -> Answer:
            body = _product_body(outcome)
            here = request.build_absolute_uri(f"/api/v1/inventory/{body['product_id']}")
            return answer(body, outcome, status=201, location=here)

        return self.give(request, RegisterStockItem, tell)

    @extend_schema(
        operation_id="product_receive",
        summary="Receive stock",
        request=body_of(ReceiveStock, ("product_id",)),
        responses=ProductOutcome,
    )
    @action(detail=True, methods=["post"])
    def receipts(self, request: Request, pk: str) -> Response:
        """Add units that came in."""
        product_id = path_id(pk, ProductNotFoundError)
        return self.give(request, ReceiveStock, _received, product_id=product_id)


def _received(outcome: Outcome) -> Answer:
    return answer(_product_body(outcome), outcome)


def _product_body(outcome: Outcome) -> dict[str, Any]:
    last = next(event for event in reversed(outcome) if isinstance(event, StockEvent))
    return {"product_id": str(last.product_id), "version": last.recorded.version}
