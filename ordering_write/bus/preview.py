"""Previews of commands: the events of a dry run, and the changes that they make."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from django.db.models import Model
from pydantic import BaseModel, ConfigDict, Field

from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.domain.changes import Change, changes
from ordering_write.domain.commands import Command
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import Version, quantize
from ordering_write.handlers import handler_of
from ordering_write.models import Aggregate, Customer, Order, StockItem, aggregate_types

# The aggregates that a command can name beside its own. The first one whose id has a value counts.
_OURS: Sequence[type[Aggregate]] = (Order, StockItem, Customer)


class WouldBeEvent(BaseModel):
    """An event that the command would cause, without its personal fields."""

    model_config = ConfigDict(frozen=True)

    type: str
    stream: Annotated[str, Field(examples=["order-01900000-0000-7000-8000-000000000001"])]
    version: Version
    fields: dict[str, Any]


class Preview(BaseModel):
    """The effects that the command would have. None of them has happened."""

    model_config = ConfigDict(frozen=True)

    would_emit: list[WouldBeEvent]
    diff: list[Change]
    status_after: str | None
    total_after: Decimal | None


def preview_of(
    command: Command, events: Sequence[DomainEvent], originals: Mapping[str, Aggregate]
) -> Preview:
    """Return the preview of ``command``.

    ``events`` come from the dry run, and ``originals`` are the stored aggregates before it, by
    stream. The diff is of one aggregate, the first that the command changes. Customers see the
    events of this aggregate only, so that they learn nothing about stock.
    """
    stream = events[0].recorded.stream if events else stream_of(command)
    own_events = [event for event in events if event.recorded.stream == stream]
    stored = originals.get(stream) if events else _stored(stream)
    aggregate = stored or _type_of(stream)()
    past_events = _past_events(stream, own_events)
    before = _state(aggregate) | _address(past_events) if stored else {}
    for event in own_events:
        aggregate.evolve(event)
    after = _state(aggregate) | _address([*past_events, *own_events])
    if stored is None:
        # A dry run draws no number.
        after.pop("order_number", None)
    visible = events if command.customer_scope is None else own_events
    return Preview(
        would_emit=[_would_be(event) for event in visible],
        diff=list(changes(before, after)),
        status_after=getattr(aggregate, "status", None),
        total_after=after.get("total"),
    )


def _stored(stream: str) -> Aggregate | None:
    """Return an aggregate that a command leaves as it is."""
    aggregate_type, key = _type_of(stream), stream.partition("-")[2]
    if aggregate_type is Order:
        # Its stream is short enough to be folded, and its parts are rows too.
        return Order.fold(log.read_stream(stream))
    stored: Aggregate | None = aggregate_type.objects.filter(pk=key).first()
    return stored


def _type_of(stream: str) -> type[Aggregate]:
    return aggregate_types()[stream.partition("-")[0]]


def _past_events(stream: str, own_events: Sequence[DomainEvent]) -> Sequence[DomainEvent]:
    """Return the events before ``own_events`` if these change the address, which is in no row."""
    if not any(isinstance(event, e.ShippingAddressChanged) for event in own_events):
        return []
    # Read after the locks are gone, which is safe: events before a version never change.
    return log.read_stream(stream)[: own_events[0].recorded.version - 1]


def stream_of(command: Command) -> str:
    """Return the stream of the aggregate that ``command`` names; "" if it names none."""
    aggregate_type, key = _named_by(command)
    return f"{aggregate_type.stream_prefix}-{key}" if aggregate_type else ""


def _named_by(command: Command) -> tuple[type[Aggregate] | None, UUID | None]:
    """Return the aggregate that ``command`` names, and its id; twice None if it names none."""
    for aggregate_type in (handler_of(type(command)).aggregate, *_OURS):
        if key := getattr(command, aggregate_type.id_field, None):
            return aggregate_type, key
    return None, None


def _would_be(event: DomainEvent) -> WouldBeEvent:
    fields, _personal = event.encode()
    if "order_number" in fields:
        fields["order_number"] = None
    envelope = event.recorded
    return WouldBeEvent(
        type=event.type, stream=envelope.stream, version=envelope.version, fields=fields
    )


def _state(aggregate: Aggregate) -> dict[str, Any]:
    """Return the public state of an aggregate by name; its parts by their ids."""
    currency = aggregate.currency if isinstance(aggregate, Order | StockItem) else ""
    outcome = aggregate.described(aggregate.outcome())
    state = _plain({**outcome, **_plain(aggregate, currency)}, currency)
    del state["version"]
    if isinstance(aggregate, StockItem):
        # Reservations belong to other orders.
        del state["reservations"], state["backorders"]
    return dict(state)


def _address(events: Sequence[DomainEvent]) -> dict[str, Any]:
    """Return the shipping address of an order, which only its events hold."""
    if not events or not isinstance(events[0], e.OrderCreated):
        return {}
    return {"shipping_address": _plain(e.shipping_address(events))}


def _plain(value: Any, currency: str = "") -> Any:
    match value:
        case Model():
            fields = {name: part for name, part in vars(value).items() if name[0] != "_"}
            return _plain(fields, currency)
        case BaseModel():
            return _plain(dict(value), currency)
        case Mapping():
            return {str(key): _plain(part, currency) for key, part in value.items()}
        case Decimal() if currency:
            # Columns have more digits than the currency.
            return quantize(value, currency)
        case _:
            return value
