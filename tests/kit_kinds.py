"""A command of every kind, and the state in which it is accepted.

A new command needs a line in ``_STATES`` if it is refused for an order that was just placed.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from uuid_utils.compat import uuid7

from config.accounts.models import User
from ordering_write.api import CustomerCommands, OrderCommands, StockCommands
from ordering_write.api.bodies import body_of
from ordering_write.api.examples import example_of
from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.handlers import all_handlers
from ordering_write.models import Customer, Order
from tests import kit, kit_imports

# Later than the time until which the order reserves its units.
LATER = kit.NOW + timedelta(days=1)

# A type of command, and fields that aren't the usual ones.
Given = tuple[type[Command], Mapping[str, Any]]

_PAID: list[Given] = [(c.RecordPayment, {})]
_CONFIRMED: list[Given] = [*_PAID, (c.ConfirmOrder, {})]
_PACKED: list[Given] = [*_CONFIRMED, (c.CreateShipment, {})]
_DISPATCHED: list[Given] = [*_PACKED, (c.DispatchShipment, {})]
_DELIVERED: list[Given] = [*_DISPATCHED, (c.ConfirmDelivery, {})]
_RETURNING: list[Given] = [*_DELIVERED, (c.RequestReturn, {})]

# The commands that come before, for those that are refused for a new order, customer or product.
_STATES: Mapping[type[Command], Sequence[Given]] = {
    c.StartProcessing: _CONFIRMED,
    c.CreateShipment: _CONFIRMED,
    c.HandOverItems: _CONFIRMED,
    c.UpdateTracking: _PACKED,
    c.VoidShipment: _PACKED,
    c.DispatchShipment: _PACKED,
    c.ConfirmDelivery: _DISPATCHED,
    c.FailDelivery: _DISPATCHED,
    c.CompleteOrder: _DELIVERED,
    c.RequestReturn: _DELIVERED,
    c.ReceiveReturn: _RETURNING,
    c.RejectReturn: _RETURNING,
    c.PlaceExchange: [*_DELIVERED, (c.RequestReturn, {"exchange": True}), (c.ReceiveReturn, {})],
    c.ReleaseHold: [(c.PlaceHold, {})],
    c.RedactNote: [(c.AddNote, {})],
    c.UntagOrder: [(c.TagOrder, {})],
    c.RemoveAdjustment: [(c.AdjustOrder, {})],
    c.CapturePayment: [(c.RecordPayment, {"kind": "authorized"})],
    c.ResolveAttention: [*_PAID, (c.RecordPayment, {"kind": "chargeback"})],
    c.RequestRefund: _PAID,
    c.RecordRefund: [*_PAID, (c.RequestRefund, {})],
    c.UnblockCustomer: [(c.BlockCustomer, {})],
    c.EraseCustomer: [(c.CancelOrder, {})],
    c.ReinstateStockItem: [(c.DiscontinueStockItem, {})],
}
_EXAMPLES = {
    route.command: route.example
    for routes in (OrderCommands, StockCommands, CustomerCommands)
    for route in routes.routes
}

KINDS: tuple[type[Command], ...] = tuple(all_handlers())
# The kinds about an order that exists, the early ones in its life first.
ORDER_KINDS: tuple[type[Command], ...] = tuple(
    sorted(
        (kind for kind in KINDS if "order_id" in kind.model_fields),
        key=lambda kind: len(_STATES.get(kind, ())),
    )
)


def state_of(kind: type[Command]) -> Sequence[Given]:
    """Return the commands after which a command of ``kind`` is accepted."""
    return _STATES.get(kind, ())


class Shop:
    """A customer, a product and an order of two units at 19.90, in the state before ``kind``."""

    def __init__(self, kind: type[Command], *, on_hand: int = 10_000) -> None:
        self.customer: Customer = kit.registered_customer()
        needs_shipping = kind is not c.HandOverItems
        self.product = kit.registered_product(on_hand, requires_shipping=needs_shipping)
        self.order: Order = kit.placed_order(
            self.customer, (self.product, 2), reserve_for=timedelta(hours=1)
        )
        User.objects.get_or_create(username="clerk", is_staff=True)
        for given, fields in state_of(kind):
            self.give(given, **fields)

    def give(self, kind: type[Command], /, **fields: Any) -> Any:
        """Dispatch a command of ``kind``; return its events."""
        return kit.dispatch(self.command(kind, **fields))

    def command(self, kind: type[Command], /, **fields: Any) -> Command:
        """Return a command of ``kind`` about the shop as it is now; ``fields`` replace others."""
        if kind is c.CreateOrder:
            return kit.create_order(self.customer, (self.product, 1), note="Ring twice")
        if kind is c.ImportOrder:
            item = {"sku": self.product.sku, "quantity": 3, "unit_price": "10.00"}
            number = f"past-{uuid7().hex[-12:]}"
            return c.ImportOrder.model_validate(kit_imports.line(items=[item], number=number))
        values = {**self._values(kind), **fields}
        payload = example_of(body_of(kind), values={**_EXAMPLES[kind], **values})
        payload = {name: value for name, value in payload.items() if values.get(name) != ""}
        if values.get("exchange"):
            price = {"quantity": 1, "unit_price": "15.00"}
            payload["exchange_for"] = [{"product_id": self.product.pk, **price}]
        keys = {
            name: value
            for name, value in self._keys().items()
            if name in kind.model_fields and name not in fields
        }
        about = {} if kind.__name__.startswith("Register") else keys
        envelope = {"user_id": kit.USER, "timestamp": LATER}
        return kind.model_validate({**payload, **about, **envelope})

    def _keys(self) -> dict[str, Any]:
        return {
            "order_id": self.order.pk,
            "customer_id": self.customer.pk,
            "product_id": self.product.pk,
        }

    def _values(self, kind: type[Command]) -> dict[str, Any]:
        order = kit.stored(self.order.stream)
        total = str(order.money(order.total).amount)
        parts = {
            "line_id": list(order.lines),
            "shipment_id": list(order.shipments),
            "return_id": list(order.returns),
            "refund_id": list(order.refunds),
            "note_id": list(order.notes),
            "adjustment_id": [item["adjustment_id"] for item in order.adjustments or ()],
        }
        return {
            **{name: ids[-1] if ids else "" for name, ids in parts.items()},
            "amount": {c.RecordPayment: total, c.RecordRefund: ""}.get(kind, "1.00"),
            "currency": "" if kind is c.RecordRefund else "EUR",
            "kind": "captured" if kind is c.RecordPayment else "discount",
            "quantity": 2 if kind in (c.CreateShipment, c.HandOverItems) else 1,
            "new_quantity": 3,
            "unit_price": "18.00" if kind is c.ChangeItemPrice else "19.90",
            "payment_id": "payment-1",
            "product_id": "" if kind is c.RegisterStockItem else self.product.pk,
            "customer_id": "" if kind is c.RegisterCustomer else self.customer.pk,
            "tag": "gift",
            "po_number": "PO-1",
            "assignee": "clerk",
            "reorder_point": 5,
            "sku": uuid7().hex,
            "email": f"{uuid7().hex}@example.com",
        }
