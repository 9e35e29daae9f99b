"""What a command would do: the events of a dry run, and what they change."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from django.db.models import Model
from pydantic import BaseModel, ConfigDict, Field

from ordering_write import log
from ordering_write.domain import events as e
from ordering_write.domain.changes import Change, changes
from ordering_write.domain.commands import Command
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import Version
from ordering_write.models import Aggregate, Customer, Order, StockItem

# By the field that names it, the aggregate that a command is about; the first that it has counts.
_NAMED_BY: Mapping[str, type[Aggregate]] = {
    "order_id": Order,
    "product_id": StockItem,
    "customer_id": Customer,
}
_TYPES = {each.stream_prefix: each for each in _NAMED_BY.values()}


class WouldBeEvent(BaseModel):
    """An event that the command would cause, without what is personal in it."""

    model_config = ConfigDict(frozen=True)

    type: str
    stream: Annotated[str, Field(examples=["order-01900000-0000-7000-8000-000000000001"])]
    version: Version
    fields: dict[str, Any]


class Preview(BaseModel):
    """What the command would do. Nothing of it has happened, and no order number is used up."""

    model_config = ConfigDict(frozen=True)

    would_emit: list[WouldBeEvent]
    diff: list[Change]
    status_after: str | None
    total_after: Decimal | None


def row_of(command: Command) -> Aggregate | None:
    """The product or customer that ``command`` is about, as it is now, if there is one.

    Its stream may be too long to fold it all. An order's never is, and its parts are rows too.
    """
    for name, kind in _NAMED_BY.items():
        if key := getattr(command, name, None):
            return None if kind is Order else kind._default_manager.filter(pk=key).first()
    return None


def preview_of(
    command: Command, events: Sequence[DomainEvent], *, known: Aggregate | None
) -> Preview:
    """What ``command`` would do, if ``events`` are those of its dry run and ``known`` is the
    ``row_of`` it before.

    What it changes is told of the aggregate that it is about, the first of those that it changes.
    Customers hear of this one alone: how much is in stock, say, is none of their business.
    """
    stream = events[0].recorded.stream if events else _stream_of(command)
    own = [event for event in events if event.recorded.stream == stream]
    if known is None or known.stream != stream:
        known = _TYPES[stream.partition("-")[0]]()
    # Read after the locks are gone: what comes before a version never changes.
    past = log.read_stream(stream, after=known.version)
    if own:
        past = past[: own[0].recorded.version - 1 - known.version]
    is_new = not (known.version or past)
    for event in past:
        known.evolve(event)
    before = {} if is_new else _state(known) | _address(past)
    for event in own:
        known.evolve(event)
    after = _state(known) | _address([*past, *own])
    if is_new:
        # The number that a dry run has is none.
        after.pop("order_number", None)
    told = events if command.customer_scope is None else own
    return Preview(
        would_emit=[_would_be(event) for event in told],
        diff=list(changes(before, after)),
        status_after=getattr(known, "status", None),
        total_after=getattr(known, "total", None),
    )


def _stream_of(command: Command) -> str:
    """The stream of the aggregate that ``command`` names."""
    name = next(name for name in _NAMED_BY if getattr(command, name, None))
    return f"{_NAMED_BY[name].stream_prefix}-{getattr(command, name)}"


def _would_be(event: DomainEvent) -> WouldBeEvent:
    fields, _personal = event.encode()
    if "order_number" in fields:
        fields["order_number"] = None
    known = event.recorded
    return WouldBeEvent(type=event.type, stream=known.stream, version=known.version, fields=fields)


def _state(aggregate: Aggregate) -> dict[str, Any]:
    """What everybody may know of an aggregate, by name; its parts by their ids."""
    state = {**aggregate.outcome(), **_plain(aggregate)}
    del state["version"]
    if isinstance(aggregate, StockItem):
        # The column has more digits than the currency. And what is set aside is its orders' affair.
        state["list_price"] = aggregate.price and aggregate.price.amount
        del state["reservations"]
    return {name: _plain(value) for name, value in state.items()}


def _address(events: Sequence[DomainEvent]) -> dict[str, Any]:
    """Where an order goes, which its events alone know."""
    for event in reversed(events):
        match event:
            case e.OrderCreated():
                return {"shipping_address": _plain(event.shipping_address)}
            case e.ShippingAddressChanged():
                return {"shipping_address": _plain(event.to_address)}
    return {}


def _plain(value: Any) -> Any:
    match value:
        case Model():
            return {k: _plain(v) for k, v in vars(value).items() if not k.startswith("_")}
        case BaseModel():
            return _plain(dict(value))
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items()}
        case _:
            return value
