"""Random walks through the life of an order in the database.

Every command about an order comes up, with the example of its route as payload and parts of the
order (lines, shipments, returns…) in the fields that name one.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from itertools import product as combinations
from random import Random
from typing import Any, NamedTuple

from ordering_write.api import OrderCommands
from ordering_write.api.bodies import body_of
from ordering_write.api.examples import example_of
from ordering_write.bus.actions import actions_of
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.handlers import handler_of
from ordering_write.log import outbox
from ordering_write.models import Order
from tests import kit

# Walks of MOVES moves: one order is cancelled early, one late, one is delivered, one completed.
SEEDS = (29, 20, 14, 12)
MOVES = 30

# Weights of commands, 1 for all others, so that walks get far before the order is cancelled.
_WEIGHTS: Mapping[type[Command], float] = {
    c.RecordPayment: 2,
    c.ConfirmOrder: 5,
    c.CreateShipment: 5,
    c.DispatchShipment: 5,
    c.ConfirmDelivery: 4,
    c.CompleteOrder: 5,
    c.CancelOrder: 0.5,
}
# Examples by command; ``RecordRefund`` has two routes and no example of its own.
_EXAMPLES = {route.command: route.example for route in OrderCommands.routes}


class Step(NamedTuple):
    """A type of command, which of several parts of the order it is about, and how many units."""

    kind: type[Command]
    part: int
    units: int


class Walk:
    """An order of two lines, 3 and 2 units at 19.90, and the commands given to it."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer()
        self.product = kit.registered_product(100)
        other = kit.registered_product(100)
        self.order: Order = kit.placed_order(self.customer, (self.product, 3), (other, 2))
        self.order = self._stored()

    def _stored(self) -> Order:
        order = kit.stored(self.order.stream)
        assert isinstance(order, Order)
        return order

    def take(self, dice: Random) -> None:
        """Give one of the commands that are allowed now. It may be refused for its payload."""
        actions = actions_of(self.order.pk, now=datetime.now(UTC))
        kinds = [action.command for action in actions if not action.refusal]
        [kind] = dice.choices(kinds, [_WEIGHTS.get(kind, 1) for kind in kinds])
        step = Step(kind, part=dice.randrange(2), units=dice.randint(1, 3))
        with suppress(DomainError):
            kit.dispatch(self.command(step))

    def command(self, step: Step, **fields: Any) -> Command:
        """Return the command of ``step``, about parts with which it isn't refused if possible."""
        schema = _schema_text(step.kind)
        candidates = [
            step.kind.model_validate(
                {
                    **_payload(step.kind, values),
                    "user_id": kit.USER,
                    "order_id": self.order.pk,
                    **fields,
                }
            )
            for values in self._values(step, schema)
        ]
        start = step.part % len(candidates)
        in_turn = candidates[start:] + candidates[:start]
        return next(filter(self._is_accepted, in_turn), candidates[0])

    def _is_accepted(self, command: Command) -> bool:
        try:
            with outbox.commit(keep=False):
                handler_of(type(command)).handle(command)
        except DomainError:
            return False
        return True

    def _values(self, step: Step, schema: str) -> Iterator[dict[str, Any]]:
        """Yield what can stand in the fields of a command, by their names; None leaves one out."""
        order = self._stored()
        total = str(order.money(order.total).amount or "19.90")
        amounts: list[str | None] = [total] if step.kind is c.RecordPayment else ["1.00"]
        if step.kind is c.RecordRefund:
            # A requested refund has its amount.
            amounts.append(None)
        choices: dict[str, list[Any]] = {
            "line_id": list(order.lines),
            "shipment_id": list(order.shipments),
            "return_id": list(order.returns),
            "refund_id": list(order.refunds),
            "note_id": list(order.notes),
            "adjustment_id": [item["adjustment_id"] for item in order.adjustments or ()],
            "quantity": [step.units, 1],
            "amount": amounts,
            "resend": [step.units > 1],
        }
        named = {name: values for name, values in choices.items() if f"'{name}'" in schema}
        # An optional field is left out when the order has no such part.
        parts = {name: values for name, values in named.items() if values}
        for combination in combinations(*parts.values()):
            values = dict(zip(parts, combination, strict=True))
            line = order.lines[values["line_id"]] if "line_id" in values else None
            yield {
                "assignee": None,
                "kind": "captured" if step.kind is c.RecordPayment else "discount",
                "new_quantity": line.ordered + 1 if line else 1,
                "payment_id": f"payment-{order.version}",
                "product_id": self.product.pk,
                "tag": "gift",
                "unit_price": "19.90",
                **values,
            }


@cache
def _schema_text(kind: type[Command]) -> str:
    return str(body_of(kind).model_json_schema())


def _payload(kind: type[Command], values: Mapping[str, Any]) -> dict[str, Any]:
    example = example_of(body_of(kind), values={**_EXAMPLES[kind], **values})
    return {name: value for name, value in example.items() if values.get(name, "") is not None}
