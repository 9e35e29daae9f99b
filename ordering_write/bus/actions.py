"""The commands that an order accepts now, and why it refuses the others.

Every handler calls a guard of the aggregate that needs no payload. A command meets the same guard,
so the bus refuses what is refused here; beyond that it can refuse the payload.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordering_write import log
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError, OrderNotFoundError
from ordering_write.handlers import all_handlers
from ordering_write.handlers.order.base import Caller, OrderHandler
from ordering_write.models import Order


@dataclass(frozen=True)
class Action:
    """A command about an order; ``refusal`` is the error it would meet now, or None."""

    command: type[Command]
    refusal: DomainError | None

    @property
    def name(self) -> str:
        return self.command.__name__


def actions(order: Order, *, by_customer: bool = False, now: datetime) -> list[Action]:
    """Return every command about ``order``, with the refusal that it would meet ``now``.

    Shortcuts for other commands are left out.
    """
    caller = Caller(by_customer=by_customer, now=now)
    return [
        Action(command_type, _refusal(handler, order, caller))
        for command_type, handler in all_handlers().items()
        if isinstance(handler, OrderHandler) and not handler.is_shortcut
    ]


def _refusal(handler: OrderHandler[Command], order: Order, caller: Caller) -> DomainError | None:
    try:
        handler.guard(order, caller)
    except DomainError as refusal:
        return refusal
    return None


def actions_of(
    order_id: UUID, *, customer_scope: UUID | None = None, now: datetime
) -> Sequence[Action]:
    """Return the actions of an order, folded from its events: one query, never stale.

    Raises OrderNotFoundError when there is no such order, or when ``customer_scope`` is the id of
    another customer than the one who ordered, and UndecodableEventError when one of its events
    can't be read.
    """
    try:
        events = log.read_stream(f"{Order.stream_prefix}-{order_id}")
    except log.UndecodableEventError:
        # The order's row still tells whose order it is.
        rows = Order.objects.filter(pk=order_id)
        if customer_scope and not rows.filter(customer_id=customer_scope).exists():
            raise OrderNotFoundError from None
        raise
    if not events:
        raise OrderNotFoundError
    order = Order.fold(events)
    if customer_scope not in (None, order.customer_id):
        raise OrderNotFoundError
    return actions(order, by_customer=customer_scope is not None, now=now)
