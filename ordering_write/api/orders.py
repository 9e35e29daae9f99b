"""Commands about orders: place, cancel, move."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.http.ids import path_id
from ordering_write.api.base import Answer, CommandEndpoint, answer, recorded
from ordering_write.api.bodies import OrderOutcome, PlacedOrder, body_of
from ordering_write.bus import Outcome
from ordering_write.domain.commands import CancelOrder, CreateOrder, UpdateOrderStatus
from ordering_write.domain.errors import OrderNotFoundError
from ordering_write.domain.events import OrderCreated, OrderEvent


class OrderCommands(CommandEndpoint):
    """The unsafe methods of /orders."""

    needed_permissions = {
        "create": "ordering_write.create_order",
        "cancel": "ordering_write.cancel_order",
        "set_status": "ordering_write.update_order_status",
    }

    @extend_schema(
        operation_id="order_create",
        summary="Place an order",
        request=body_of(CreateOrder),
        responses={201: PlacedOrder},
    )
    def create(self, request: Request) -> Response:
        """Place an order. All its units are reserved, or it is refused."""

        def tell(outcome: Outcome) -> Answer:
            created = next(event for event in outcome if isinstance(event, OrderCreated))
            here = request.build_absolute_uri(f"/api/v1/orders/{created.order_id}")
            body = _order_body(outcome, created.order_id) | {
                "order_number": created.order_number,
                "links": {"self": here, "cancel": f"{here}/cancel", "status": f"{here}/status"},
            }
            return answer(body, outcome, status=201, location=here)

        return self.give(request, CreateOrder, tell)

    @extend_schema(
        operation_id="order_cancel",
        summary="Cancel an order",
        request=body_of(CancelOrder, ("order_id",)),
        responses=OrderOutcome,
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel an order of which nothing has left yet; its stock goes back."""
        order_id = path_id(pk, OrderNotFoundError)
        return self.give(request, CancelOrder, _changed(order_id), order_id=order_id)

    @extend_schema(
        operation_id="order_set_status",
        summary="Move an order",
        request=body_of(UpdateOrderStatus, ("order_id",)),
        responses=OrderOutcome,
    )
    @action(detail=True, methods=["post"], url_path="status", url_name="status")
    def set_status(self, request: Request, pk: str) -> Response:
        """Confirm, process, ship, deliver, complete or cancel a whole order."""
        order_id = path_id(pk, OrderNotFoundError)
        return self.give(request, UpdateOrderStatus, _changed(order_id), order_id=order_id)


def _changed(order_id: UUID) -> Callable[[Outcome], Answer]:
    return lambda outcome: answer(_order_body(outcome, order_id), outcome)


def _order_body(outcome: Outcome, order_id: UUID) -> dict[str, Any]:
    events = [e for e in outcome if isinstance(e, OrderEvent) and e.order_id == order_id]
    return OrderOutcome.model_validate(
        {
            "order_id": order_id,
            "status": events[-1].status,
            "version": events[-1].recorded.version,
            "events": recorded(outcome, events[-1].recorded.stream),
        }
    ).model_dump(mode="json")
