"""What can be done with an order now, and of the rest why not.

Every command begins with a guard of the aggregate that needs no payload, and here the same guards
are asked: so what is told is what dispatching would answer, as far as it doesn't depend on the
payload.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings

from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError, OrderNotFoundError
from ordering_write.handlers.order.base import return_window
from ordering_write.models import Order


@dataclass(frozen=True)
class Action:
    """A command about an order. ``refusal`` says why it would be refused now, None if it isn't."""

    command: type[Command]
    refusal: DomainError | None

    @property
    def name(self) -> str:
        return self.command.__name__


@dataclass(frozen=True)
class _Asked:
    """Who asks, and when."""

    by_customer: bool
    now: datetime


def _allowed(_order: Order, _asked: _Asked) -> None:
    """Facts from outside, and what is written on an order, are never refused for its state."""


# UpdateOrderStatus is left out: it stands for the others.
_GUARDS: Mapping[type[Command], Callable[[Order, _Asked], None]] = {
    c.ConfirmOrder: lambda order, _: order.may_confirm(),
    c.StartProcessing: lambda order, _: order.may_start_processing(),
    c.CompleteOrder: lambda order, _: order.may_complete(),
    c.CancelOrder: lambda order, asked: order.may_cancel(by_customer=asked.by_customer),
    c.ExpireOrder: lambda order, asked: order.may_expire(now=asked.now),
    c.PlaceHold: lambda order, _: order.may_hold(),
    c.ReleaseHold: lambda order, _: order.may_release_hold(),
    c.AddOrderItem: lambda order, _: order.may_edit(),
    c.ChangeItemQuantity: lambda order, _: order.may_edit(),
    c.CancelOrderItems: lambda order, _: order.may_cancel_items(),
    c.ChangeShippingAddress: lambda order, _: order.may_change_shipping_address(),
    c.CreateShipment: lambda order, _: order.may_pack(
        payment_required=settings.PAYMENT_BEFORE_PACKING
    ),
    c.DispatchShipment: lambda order, _: order.may_dispatch_shipment(),
    c.UpdateTracking: lambda order, _: order.may_update_tracking(),
    c.VoidShipment: lambda order, _: order.may_void_shipment(),
    c.ConfirmDelivery: lambda order, _: order.may_deliver(),
    c.FailDelivery: lambda order, _: order.may_deliver(),
    c.RequestReturn: lambda order, asked: order.may_request_return(
        window=return_window(), now=asked.now
    ),
    c.ReceiveReturn: lambda order, _: order.may_receive_return(),
    c.RejectReturn: lambda order, _: order.may_receive_return(),
    c.RecordPayment: _allowed,
    c.RequestRefund: lambda order, _: order.may_request_refund(),
    c.RecordRefund: _allowed,
    c.AddNote: _allowed,
    c.RedactNote: lambda order, _: order.may_redact_note(),
    c.TagOrder: _allowed,
    c.UntagOrder: _allowed,
    c.AssignOrder: _allowed,
}


def actions(order: Order, *, by_customer: bool = False, now: datetime) -> list[Action]:
    """Every command about ``order`` that exists, with the refusal that it would get ``now``."""
    asked = _Asked(by_customer=by_customer, now=now)
    return [Action(command, _refusal(guard, order, asked)) for command, guard in _GUARDS.items()]


def _refusal(
    guard: Callable[[Order, _Asked], None], order: Order, asked: _Asked
) -> DomainError | None:
    try:
        guard(order, asked)
    except DomainError as refusal:
        return refusal
    return None


def actions_of(
    order_id: UUID, *, customer_scope: UUID | None = None, now: datetime
) -> Sequence[Action]:
    """The same, of the order as the log tells it: one statement, and never stale.

    Raises OrderNotFoundError when there is none, or none of the customer ``customer_scope``, and
    UndecodableEventError when an event of it can't be read.
    """
    try:
        events = log.read_stream(f"{Order.stream_prefix}-{order_id}")
    except log.UndecodableEventError:
        # Whose order it is, its row tells too.
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
