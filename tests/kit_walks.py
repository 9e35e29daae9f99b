"""Random walks through the life of an order in the database."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from ordering_write.bus.actions import actions_of
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.models import Order
from tests import kit

# Of random walks of so many moves: one that is cancelled early, one late, and two to the end.
SEEDS = (0, 1, 3, 4)
MOVES = 30


class Step(NamedTuple):
    """A kind of command, and which of several parts it is about."""

    kind: type[Command]
    part: int
    units: int


# Kinds of command about one order; those that get it on several times, since they come up more.
_KINDS = (
    c.RecordPayment,
    c.RecordPayment,
    *(c.ConfirmOrder,) * 5,
    c.StartProcessing,
    *(c.CreateShipment,) * 5,
    *(c.DispatchShipment,) * 5,
    *(c.ConfirmDelivery,) * 4,
    c.FailDelivery,
    c.VoidShipment,
    c.UpdateTracking,
    c.RequestReturn,
    c.ReceiveReturn,
    c.RejectReturn,
    c.RequestRefund,
    c.RecordRefund,
    *(c.CompleteOrder,) * 5,
    c.CancelOrder,
    c.ExpireOrder,
    c.PlaceHold,
    c.ReleaseHold,
    c.AddOrderItem,
    c.ChangeItemQuantity,
    c.CancelOrderItems,
    c.ChangeShippingAddress,
    c.AddNote,
    c.RedactNote,
    c.TagOrder,
    c.UntagOrder,
    c.AssignOrder,
)


class Walk:
    """An order of two lines, 3 and 2 units at 19.90, and what is done with it."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer()
        self.product = kit.registered_product(100)
        other = kit.registered_product(100)
        self.order: Order = kit.placed_order(self.customer, (self.product, 3), (other, 2))
        self.order = self._now()

    def _now(self) -> Order:
        order = kit.stored(self.order.stream)
        assert isinstance(order, Order)
        return order

    def take(self, dice: Random) -> None:
        """Do one of what is allowed now. It may be refused for what it asks for."""
        now = datetime.now(UTC)
        allowed = {one.command for one in actions_of(self.order.pk, now=now) if not one.refusal}
        kinds = [kind for kind in _KINDS if kind in allowed]
        step = Step(dice.choice(kinds), part=dice.randrange(2), units=dice.randint(1, 3))
        with suppress(DomainError):
            kit.dispatch(self.command(step))

    def command(self, step: Step, **fields: Any) -> Command:
        """The command of ``step``, about parts that are there as far as there are such."""
        order = self._now()
        payload = _payload(step, order, self.product.pk)
        return step.kind.model_validate(
            {"user_id": kit.USER, "order_id": order.pk, **payload, **fields}
        )


def _one(parts: Iterable[Any], place: int, *, fit: Callable[[Any], object]) -> Any:
    """One of the ``parts``: of those that are fit as long as there are such. None when there are
    no parts."""
    known = list(parts)
    chosen = [part for part in known if fit(part)] or known
    return chosen[place % len(chosen)] if chosen else None


def _payload(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    """What is asked for: as much as there is, as far as there is any."""
    make = {
        c.AddOrderItem: _addition,
        c.ChangeItemQuantity: _quantity,
        c.CancelOrderItems: _open_units,
        c.CreateShipment: _open_units,
        c.DispatchShipment: _shipment,
        c.UpdateTracking: _shipment,
        c.VoidShipment: _shipment,
        c.ConfirmDelivery: _shipment,
        c.FailDelivery: _shipment,
        c.RecordPayment: _payment,
        c.RequestRefund: _refund,
        c.RecordRefund: _recorded_refund,
        c.RequestReturn: _return,
        c.ReceiveReturn: _received,
        c.RejectReturn: _received,
        c.RedactNote: _note,
    }.get(step.kind)
    return make(step, order, product) if make else dict(_FIXED.get(step.kind, {}))


_FIXED: dict[type[Command], dict[str, Any]] = {
    c.CancelOrder: {"reason": "Not needed"},
    c.PlaceHold: {"reason": "address", "note": "No number"},
    c.ChangeShippingAddress: {"shipping_address": {**kit.ADDRESS, "city": "Otherville"}},
    c.AddNote: {"text": "Call before delivery", "visibility": "customer"},
    c.TagOrder: {"tag": "gift"},
    c.UntagOrder: {"tag": "gift"},
}


def _addition(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    return {"product_id": product, "quantity": step.units, "unit_price": "19.90"}


def _quantity(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    line = _one(order.lines.values(), step.part, fit=lambda line: line.open)
    return {"line_id": line.id, "new_quantity": line.ordered + 1}


def _open_units(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    line = _one(order.lines.values(), step.part, fit=lambda line: line.open)
    units = {"line_id": line.id, "quantity": max(1, min(step.units, line.open))}
    more = {"reason": "Too many"} if step.kind is c.CancelOrderItems else {}
    return {"items": [units], **more}


# The status that a shipment has when a command is about it.
_STATUSES: dict[type[Command], tuple[str, ...]] = {
    c.DispatchShipment: ("packed",),
    c.VoidShipment: ("packed",),
    c.UpdateTracking: ("dispatched",),
    c.ConfirmDelivery: ("dispatched",),
    c.FailDelivery: ("dispatched",),
}


def _shipment(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    shipment = _one(
        order.shipments.values(), step.part, fit=lambda one: one.status in _STATUSES[step.kind]
    )
    more = {
        c.DispatchShipment: {"carrier": "Example Parcels", "tracking_number": "1Z"},
        c.UpdateTracking: {"tracking_number": "2Z"},
        c.FailDelivery: {"outcome": "lost"},
    }.get(step.kind, {})
    return {"shipment_id": shipment.id if shipment else uuid4(), **more}


def _payment(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    amount = order.money(order.total).amount or "19.90"
    return {"payment_id": f"payment-{order.version}", "kind": "captured", "amount": str(amount)}


def _refund(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    return {"amount": "1.00", "reason": "Scratched"}


def _recorded_refund(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    refund = _one(order.refunds, step.part, fit=lambda _: True)
    if refund:
        return {"refund_id": refund, "outcome": "settled"}
    return {"outcome": "settled", "amount": "1.00"}


def _return(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    line = _one(order.lines.values(), step.part, fit=lambda line: line.returnable)
    return {"items": [{"line_id": line.id, "quantity": 1, "reason": "damaged"}]}


def _received(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    known = _one(order.returns, step.part, fit=lambda one: any(order.returns[one].values()))
    payload: dict[str, Any] = {"return_id": known or uuid4()}
    if step.kind is c.RejectReturn:
        return {**payload, "reason": "Used"}
    expected = order.returns[known] if known else {}
    line = _one(expected, 0, fit=lambda one: expected[one]) or uuid4()
    return {**payload, "items": [{"line_id": line, "restock": 1}]}


def _note(step: Step, order: Order, product: UUID) -> dict[str, Any]:
    note = _one(order.notes, step.part, fit=lambda one: order.notes[one])
    return {"note_id": note or uuid4()}
