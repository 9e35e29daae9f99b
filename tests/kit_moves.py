"""The moves of the oracle in `tests/lifecycle.py`, as commands about an order in the database."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from ordering_write.domain import commands as c
from ordering_write.domain.commands import Command
from ordering_write.models import Order
from tests import kit
from tests.kit_kinds import LATER
from tests.lifecycle import Move

# More than any order costs.
_PLENTY = "1000.00"
_UNKNOWN = UUID(int=999)
# Facts about money are refused in no state.
MONEY = ("authorize", "capture", "void", "refund")
_OF_SHIPMENTS = ("unpack", "dispatch", "deliver", "fail", "resend")
_OF_RETURNS = ("receive_return", "reject_return")
# Moves after which another move of the oracle concerns more than its command did.
_NEW_PARTS = ("pack", "request_return")

_FIELDS: Mapping[str, tuple[type[Command], Mapping[str, Any]]] = {
    "confirm": (c.ConfirmOrder, {}),
    "start_processing": (c.StartProcessing, {}),
    "expire": (c.ExpireOrder, {}),
    "cancel": (c.CancelOrder, {"reason": "Not needed"}),
    "hold": (c.PlaceHold, {"reason": "other"}),
    "release_hold": (c.ReleaseHold, {}),
    "complete": (c.CompleteOrder, {}),
    "authorize": (c.RecordPayment, {"kind": "authorized"}),
    "capture": (c.RecordPayment, {"kind": "captured"}),
    "void": (c.RecordPayment, {"kind": "voided"}),
    "refund": (c.RecordRefund, {"outcome": "settled", "amount": _PLENTY}),
    "cancel_items": (c.CancelOrderItems, {"reason": "Not needed"}),
    "change_quantity": (c.ChangeItemQuantity, {}),
    "pack": (c.CreateShipment, {}),
    "unpack": (c.VoidShipment, {}),
    "dispatch": (c.DispatchShipment, {}),
    "deliver": (c.ConfirmDelivery, {}),
    "fail": (c.FailDelivery, {"outcome": "lost"}),
    "resend": (c.FailDelivery, {"outcome": "lost", "resend": True}),
    "request_return": (c.RequestReturn, {}),
    "receive_return": (c.ReceiveReturn, {}),
    "reject_return": (c.RejectReturn, {"reason": "Too late"}),
}
KINDS = {kind for kind, _ in _FIELDS.values()}
NAMES = set(_FIELDS) - set(MONEY)


def commands_of(move: Move, order: Order) -> list[Command]:
    """Return the commands of a move: one for each shipment of the line, else one."""
    name, number, units = move
    kind, fields = _FIELDS[name]
    line_id = list(order.lines)[number]
    envelope = {"user_id": kit.USER, "timestamp": LATER, "order_id": order.pk}
    match name:
        case "authorize" | "capture" | "void":
            payment = {"payment_id": "payment-1", "amount": _PLENTY, "reference": str(uuid7())}
            parts: list[dict[str, Any]] = [payment]
        case "refund":
            parts = [{"reference": str(uuid7())}]
        case "change_quantity":
            parts = [{"line_id": line_id, "new_quantity": units}]
        case "cancel_items" | "pack":
            parts = [{"items": [{"line_id": line_id, "quantity": units}]}]
        case "request_return":
            parts = [{"items": [{"line_id": line_id, "quantity": 1, "reason": "other"}]}]
        case "receive_return":
            items = [{"line_id": line_id, "restock": 1}]
            parts = [{"return_id": _returns(order, line_id)[0], "items": items}]
        case "reject_return":
            parts = [{"return_id": _returns(order, line_id)[0]}]
        case _ if name in _OF_SHIPMENTS:
            parts = [{"shipment_id": key} for key in _shipments(order, name, line_id)]
        case _:
            parts = [{}]
    return [kind.model_validate({**envelope, **fields, **part}) for part in parts]


def may_race(pair: tuple[Move, Move], order: Order) -> bool:
    """Return True if the oracle tells what becomes of the commands of two moves at once."""
    names = {name for name, *_ in pair}
    if names <= set(MONEY):
        return False
    has_parts = names & {*_OF_SHIPMENTS, *_OF_RETURNS}
    if has_parts and names & {*_NEW_PARTS, "resend"}:
        return False
    is_single = all(len(commands_of(move, order)) == 1 for move in pair)
    return is_single and (not names & set(_OF_RETURNS) or len(order.returns) == 1)


def _shipments(order: Order, name: str, line_id: UUID) -> list[UUID]:
    """Return the ids of the shipments that a move concerns, or an unknown id without any."""
    status = "packed" if name in ("unpack", "dispatch") else "dispatched"
    ids = [
        shipment.pk
        for shipment in order.shipments.values()
        if shipment.status == status and shipment.items[0]["line_id"] == str(line_id)
    ]
    return ids or [_UNKNOWN]


def _returns(order: Order, line_id: UUID) -> list[UUID]:
    ids = [UUID(key) for key, units in order.returns.items() if units.get(str(line_id))]
    return ids or [_UNKNOWN]
