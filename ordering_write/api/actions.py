"""What may be done with an order now, and where: the answer of /orders/{id}/actions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from drf_spectacular.utils import OpenApiExample
from pydantic import BaseModel

from config.accounts.models import User
from config.accounts.roles import customer_scope
from config.http.answers import problems
from ordering_write import client
from ordering_write.api.routes import Route
from ordering_write.domain.errors import DomainError, NotPermittedError


class WhyNot(BaseModel):
    """Why a command would be refused: the `code` and the `detail` of the problem."""

    code: str
    detail: str


class ActionBody(BaseModel):
    """A command about an order, as it would fare now.

    `reason` is null when it is allowed; its own fields can still be wrong. What stands in braces in
    the `address` is to be filled in.
    """

    name: str
    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    address: str
    needed_permission: str
    allowed: bool
    reason: WhyNot | None


class ActionsBody(BaseModel):
    """Every command about an order, but the one that only stands for others."""

    order_id: UUID
    actions: list[ActionBody]


EXAMPLE = OpenApiExample(
    "A pending order",
    {
        "order_id": "01900000-0000-7000-8000-000000000001",
        "actions": [
            {
                "name": "confirm_order",
                "method": "POST",
                "address": "https://orders.example/api/v1/orders/"
                "01900000-0000-7000-8000-000000000001/confirm",
                "needed_permission": "ordering_write.confirm_order",
                "allowed": True,
                "reason": None,
            },
            {
                "name": "complete_order",
                "method": "POST",
                "address": "https://orders.example/api/v1/orders/"
                "01900000-0000-7000-8000-000000000001/complete",
                "needed_permission": "ordering_write.complete_order",
                "allowed": False,
                "reason": {
                    "code": "invalid_transition",
                    "detail": "A pending order can't be completed.",
                },
            },
        ],
    },
    response_only=True,
)


def actions_for(
    user: User, order_id: UUID, *, routes: Sequence[Route], address: str, now: datetime
) -> ActionsBody:
    """What ``user`` may do with an order ``now`` by ``routes`` below its ``address``.

    Raises OrderNotFoundError when there is none that the user may see.
    """
    known = client.actions_of(order_id, customer_scope=customer_scope(user), now=now)
    return ActionsBody(
        order_id=order_id,
        actions=[
            _told(action, route, f"{address}/{route.path}", user)
            for action in known
            for route in routes
            if route.command is action.command
        ],
    )


def _told(action: client.Action, route: Route, address: str, user: User) -> ActionBody:
    needed = f"ordering_write.{next(iter(action.command.permissions))}"
    refusal = action.refusal if user.has_perm(needed) else NotPermittedError(needed)
    return ActionBody(
        name=route.slug,
        method=route.verb,
        address=address,
        needed_permission=needed,
        allowed=refusal is None,
        reason=refusal and _why_not(refusal),
    )


def _why_not(refusal: DomainError) -> WhyNot:
    problem = problems.problem_of(type(refusal))
    return WhyNot(code=problem.code, detail=problems.detail_of(refusal))
