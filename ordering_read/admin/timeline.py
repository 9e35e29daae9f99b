"""What has happened to an order, told to people."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordering_write.published import DomainEvent
from ordering_write.published import events as e


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. ``position`` is None while it has none."""

    number: int
    at: datetime
    what: str
    who: str
    channel: str
    position: int | None


def told(events: Iterable[DomainEvent], *, with_personal: bool) -> list[Entry]:
    """The ``events`` of one order, in their order; without personal texts unless asked for."""
    names: dict[UUID, str] = {}
    entries = []
    for event in events:
        if isinstance(event, e.OrderItemAdded):
            names[event.line_id] = event.name
        envelope = event.recorded
        entries.append(
            Entry(
                number=envelope.version,
                at=event.timestamp,
                what=_sentence(event, names, with_personal),
                who=envelope.actor.label or f"{envelope.actor.type} {envelope.actor.id}",
                channel=envelope.channel,
                position=envelope.position,
            )
        )
    return entries


def _sentence(event: DomainEvent, names: Mapping[UUID, str], with_personal: bool) -> str:
    match event:
        case e.OrderCreated():
            return f"Placed as {event.order_number}"
        case e.OrderItemAdded():
            return f"{event.quantity} × {event.name} ({event.sku}) at {_money(event.unit_price)}"
        case e.OrderAdjustmentAdded():
            return f"{event.kind.capitalize()}, {event.label}: {_money(event.amount)}"
        case e.OrderTagged():
            return f"Tagged {event.tag}"
        case e.NoteAdded():
            return f"Note: {event.text if with_personal else '***'}"
        case e.OrderStatusChanged():
            return _because(f"{event.from_status} → {event.to_status}", event.reason)
        case e.OrderCancelled():
            return _because(
                f"Cancelled; back in stock: {_units(event.released, names)}", event.reason
            )
        case e.ShipmentCreated():
            return f"Packed {_units(event.items, names)}"
        case e.ShipmentDispatched():
            return f"Shipped {_units(event.items, names)}"
        case e.ShipmentDelivered():
            return f"Delivered {_units(event.items, names)}"
        case _:
            return event.type


def _because(what: str, reason: str) -> str:
    return f"{what} – {reason}" if reason else what


def _units(units: Iterable[e.Units], names: Mapping[UUID, str]) -> str:
    return ", ".join(f"{some.quantity} × {names[some.line_id]}" for some in units) or "nothing"


def _money(money: e.Money) -> str:
    return f"{money.amount} {money.currency}"
