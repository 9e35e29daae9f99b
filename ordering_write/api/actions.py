"""The answer of /orders/{id}/actions: the commands of an order, with their URLs."""

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
from ordering_write.handlers import handler_of


class WhyNot(BaseModel):
    """The problem with which the command would be refused: its `code` and `detail`."""

    code: str
    detail: str


class ActionBody(BaseModel):
    """A command about an order, and whether it is allowed now.

    `reason` is null for an allowed command; its own fields can still be wrong. Replace the names in
    braces in `address`.
    """

    name: str
    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    address: str
    needed_permission: str
    allowed: bool
    reason: WhyNot | None


class ActionsBody(BaseModel):
    """Every command about an order, without the shortcuts for other commands."""

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
    """Return the commands about an order, as ``user`` may give them ``now``, as in ``routes``.

    ``address`` is the URL of the order. Raises OrderNotFoundError when there is no such order, or
    when ``user`` may not see it.
    """
    actions = client.actions_of(order_id, customer_scope=customer_scope(user), now=now)
    by_command = {action.command: action for action in actions}
    return ActionsBody(
        order_id=order_id,
        actions=[
            _action_body(by_command[route.command], route, f"{address}/{route.path}", user)
            for route in routes
            if route.command in by_command
        ],
    )


def _action_body(action: client.Action, route: Route, address: str, user: User) -> ActionBody:
    needed = handler_of(action.command).permission.name
    refusal = action.refusal if user.has_perm(needed) else NotPermittedError(needed)
    return ActionBody(
        name=route.slug,
        method=route.verb,
        address=address,
        needed_permission=needed,
        allowed=refusal is None,
        reason=refusal and _reason(refusal),
    )


def _reason(refusal: DomainError) -> WhyNot:
    problem = problems.problem_of(type(refusal))
    return WhyNot(code=problem.code, detail=problems.detail_of(refusal))
