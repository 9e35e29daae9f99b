"""The query for an order at two of its versions, and their differences."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from config.http.input.ids import PathId
from config.http.input.query import number
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.orders import MAX_VERSION, OrderDetail, events_of, orders_after
from ordering_read.queries.views import View
from ordering_write.published import Change, changes

# The lists of embedded documents, each with the field that identifies a document.
_ID_FIELDS = {
    "items": "line_id",
    "lines": "line_id",
    "shipments": "shipment_id",
    "refunds": "refund_id",
    "returns": "return_id",
    "notes": "note_id",
    "adjustments": "adjustment_id",
}
# The lists whose documents have no id: the position identifies a document.
_BY_POSITION = ("charges", "payments", "taxes")
# Every event changes these fields.
_ALWAYS_CHANGED = {"version", "position", "updated_at"}


class OrderStates(View):
    """An order before and after some of its events; None before the order was placed."""

    before: OrderDetail | None
    after: OrderDetail


class GetOrderDiff(Query[OrderStates]):
    """Get an order at its version ``first`` and at its version ``last`` (None for the newest)."""

    order_id: PathId
    first: number(ge=0, le=MAX_VERSION) = Field(  # type: ignore[valid-type]
        0,
        validation_alias="from",
        description="The version before; 0 is before the order was placed.",
    )
    last: number(ge=1, le=MAX_VERSION) | None = Field(  # type: ignore[valid-type]
        None, validation_alias="to", description="The version after; by default the newest."
    )


@handles(GetOrderDiff)
class GetOrderDiffHandler(QueryHandler[GetOrderDiff, OrderStates]):
    """Reads the events of the order, in one statement."""

    def handle(self, query: GetOrderDiff) -> OrderStates:
        until = None if query.last is None else max(query.first, query.last)
        events = events_of(query, query.order_id, until=until)
        last = query.last or len(events)
        # There is no state at version 0.
        states = orders_after(query, events, versions={query.first, last} - {0})
        return OrderStates(before=states.get(query.first), after=states[last])


def changes_of(before: OrderDetail | None, after: OrderDetail) -> list[Change]:
    """Return the fields that differ between two states of an order, by JSON pointer.

    ``before`` is None before the order was placed. A path names lines, shipments, refunds, returns
    and notes by their ids.
    """
    return list(changes(_fields_of(before) if before else {}, _fields_of(after)))


def _fields_of(order: OrderDetail) -> Any:
    return _with_keys(order.model_dump(exclude=_ALWAYS_CHANGED))


def _with_keys(value: Any, name: str = "") -> Any:
    """Return ``value`` with each list of documents as a mapping, by id or by position."""
    if isinstance(value, Mapping):
        return {key: _with_keys(field, key) for key, field in value.items()}
    if isinstance(value, list | tuple) and name in (*_ID_FIELDS, *_BY_POSITION):
        # The items of an exchange aren't lines yet, and have no id either.
        id_field = _ID_FIELDS.get(name, "")
        return {
            str(document.get(id_field, position)): _with_keys(document)
            for position, document in enumerate(value)
        }
    return value
