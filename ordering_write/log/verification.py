"""The log's own proofs: nothing was changed, removed or reordered, and every row is what it says.

The hash chain shows what was changed behind the back of the trigger, dense versions and positions
show what was removed. Folding each stream again gives the rows of its aggregate. What nobody here
can notice is a log that was cut off together with its rows, as a restored backup is: see
``reading.fingerprint``.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Value
from django.db.models.functions import Cast, Concat

from ordering_write.domain.events import (
    CustomerErased,
    CustomerRegistered,
    OrderAnonymized,
    UndecodableEvent,
)
from ordering_write.log import reading
from ordering_write.log.outbox import content_hash, digest
from ordering_write.models import (
    Aggregate,
    Customer,
    Order,
    OutboxEvent,
    Reservation,
    StockItem,
)

# By the names of an aggregate's parts, their columns.
_Parts = Mapping[str, Mapping[str, Any]]

# Events that are read in one transaction, and rows of other tables that are looked at in one.
_PAGE = 1_000
_ROWS_AT_ONCE = 10_000

_EVENTS = f"""{reading.COLUMNS}, event.hash, event.personal_digest, personal_data.salt,
       event_position.position IS NULL
       AND event.commit_id NOT IN (SELECT commit_id FROM event_pending) AS lost
FROM event LEFT JOIN event_position ON event_position.event_id = event.id
LEFT JOIN personal_data ON personal_data.id = event.personal_id
WHERE (event.stream, event.version) > (%s, %s)
"""  # noqa: S608 (nothing of it comes from outside)
_PLACES = """
SELECT event_position.position, event.id IS NULL
FROM event_position LEFT JOIN event ON event.id = event_position.event_id
WHERE event_position.position > %s ORDER BY event_position.position LIMIT %s
"""


# What is set aside for a line is what it has that wasn't cancelled and hasn't left.
_HELD = """
SELECT order_id, line_id, coalesce(line.units, 0), coalesce(reservation.quantity, 0),
       line.product_id IS DISTINCT FROM reservation.product_id
FROM (
    SELECT order_id, id AS line_id, product_id, ordered - cancelled - shipped AS units
    FROM ordering_write_orderitem WHERE ordered > cancelled + shipped AND {0}
) line
FULL JOIN (SELECT * FROM ordering_write_reservation WHERE {0}) reservation
     USING (order_id, line_id)
WHERE line.units IS DISTINCT FROM reservation.quantity
   OR line.product_id IS DISTINCT FROM reservation.product_id
ORDER BY order_id, line_id
"""


class NoSuchStreamError(Exception):
    """The log has no stream of this name."""


class Finding(NamedTuple):
    """Something that is wrong: with a version of a stream, or with the log as a whole."""

    stream: str
    version: int | None
    wrong: str

    def __str__(self) -> str:
        place = self.stream or "the log"
        version = "" if self.version is None else f", version {self.version}"
        return f"{place}{version}: {self.wrong}"


def verify(*, stream: str | None = None, progress: Callable[[int], object]) -> Iterator[Finding]:
    """Everything that is wrong with the log and the rows of the write side, or with one stream.

    ``progress`` is called with the number of events of each page. Commands may go on meanwhile:
    the rows of an aggregate are compared in the snapshot in which its last event was read. Must
    not be called in a transaction. Raises NoSuchStreamError.
    """
    if stream is None:
        yield from _wrong_positions()
        yield from _rows_without_events()
        yield from _wrong_reservations(None)
    elif not OutboxEvent.objects.filter(stream=stream).exists():
        raise NoSuchStreamError(f"The log has no stream {stream}.")
    elif stream.startswith(f"{Order.stream_prefix}-"):
        yield from _wrong_reservations(stream)
    yield from _wrong_streams(stream, progress)


# --- Streams -----------------------------------------------------------------------------------
def _wrong_streams(only: str | None, progress: Callable[[int], object]) -> Iterator[Finding]:
    """Goes through the events by stream and version, in pages whatever the length of a stream."""
    current: _Stream | None = None
    size = _PAGE
    while size == _PAGE:
        found: list[Finding] = []
        with _snapshot():
            rows = _events_after(current, only)
            size = len(rows)
            ended = []
            for row in rows:
                if current is None or row["stream"] != current.name:
                    ended += [current] if current else []
                    current = _Stream(row["stream"])
                    if current.aggregate is None:
                        found.append(Finding(current.name, None, "no aggregate has such a name"))
                found += current.add(row)
            if size < _PAGE and current:
                ended.append(current)
            found += _differences(ended)
        progress(size)
        yield from found


@contextmanager
def _snapshot() -> Iterator[None]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _events_after(last: "_Stream | None", only: str | None) -> list[dict[str, Any]]:
    parameters: list[Any] = [last.name, last.version] if last else ["", 0]
    one_stream = ""
    if only is not None:
        one_stream = "AND event.stream = %s"
        parameters.append(only)
    return reading.fetch(
        f"{_EVENTS} {one_stream} ORDER BY event.stream, event.version LIMIT %s",
        [*parameters, _PAGE],
    )


class _Stream:
    """A stream as far as it has been read, and the aggregate that its events make."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = 0
        aggregate_type = _AGGREGATES.get(name.partition("-")[0])
        # None when there is none, or when what the events make can't be known any more.
        self.aggregate = aggregate_type() if aggregate_type else None
        # Columns that can't be told from the events any more.
        self.erased: set[str] = set()
        # Whether somebody was erased here, and whether there are personal fields.
        self._is_erased = self._is_personal = False
        self._hash = ""
        self._position = 0.0

    def add(self, row: Mapping[str, Any]) -> Iterator[Finding]:
        """Go on by one event; what is wrong with it."""
        wrong = [*self._wrong_chain(row), *self._wrong_place(row), *self._wrong_content(row)]
        self.version, self._hash = row["version"], row["hash"]
        return (Finding(self.name, self.version, each) for each in wrong)

    def _wrong_chain(self, row: Mapping[str, Any]) -> Iterator[str]:
        if row["version"] != self.version + 1:
            self.aggregate = None
            yield f"the event before it is missing, the last one there has version {self.version}"
        elif row["hash"] != content_hash(row, self._hash):
            yield "it or the event before it was changed: its hash doesn't fit"
        if row["personal"] and row["personal_digest"] != digest(row["personal"], row["salt"]):
            yield "its personal fields were changed: their digest doesn't fit"

    def _wrong_place(self, row: Mapping[str, Any]) -> Iterator[str]:
        position = math.inf if row["position"] is None else row["position"]
        if position <= self._position and position != math.inf:
            yield f"its position {position} isn't after that of the event before it"
        if row["lost"]:
            yield "it has no position and doesn't wait for one"
        self._position = position

    def _wrong_content(self, row: Mapping[str, Any]) -> Iterator[str]:
        event = reading.decode(row)
        if isinstance(event, UndecodableEvent):
            self.aggregate = None
            yield f"it can't be read: {event.reason}"
        if row["personal_id"] and row["personal"] is None:
            self.erased |= event.personal
        if isinstance(event, CustomerErased | OrderAnonymized):
            self._is_erased = True
            # What the rows must say is known again.
            self.erased.clear()
        self._is_personal = self._is_personal or bool(row["personal"])
        if self._is_erased and self._is_personal:
            self._is_personal = False
            yield "the customer was erased, but there are personal fields"
        if self.aggregate is None:
            return
        try:
            self.aggregate.evolve(event)
            self.aggregate.version += 1
        except Exception as error:
            self.aggregate = None
            yield f"it can't be applied: {type(error).__name__}: {error}"


# --- Rows --------------------------------------------------------------------------------------
def _differences(streams: Sequence[_Stream]) -> Iterator[Finding]:
    """What the rows of these streams' aggregates have otherwise than their events say."""
    for aggregate_type, load in _STORED.items():
        folded = {s: s.aggregate for s in streams if isinstance(s.aggregate, aggregate_type)}
        stored = load([aggregate.pk for aggregate in folded.values()])
        for stream, aggregate in folded.items():
            for wrong in _wrong_row(stored.get(aggregate.pk), aggregate, stream):
                yield Finding(stream.name, stream.version, wrong)


def _wrong_row(stored: Aggregate | None, folded: Aggregate, stream: _Stream) -> Iterator[str]:
    if folded.stream != stream.name:
        yield f"its events are those of {folded.stream}"
    elif stored is None:
        yield "it has events but no row"
    else:
        if isinstance(stored, StockItem):
            yield from _wrong_sum(stored)
        yield from _wrong_parts(_parts(stored), _parts(folded), stream)


def _wrong_sum(item: StockItem) -> Iterator[str]:
    held = sum(item.reservations.values())
    if held != item.reserved:
        yield f"reserved is {item.reserved}, its reservations add up to {held}"


def _wrong_parts(there: _Parts, told: _Parts, stream: _Stream) -> Iterator[str]:
    for part in sorted(there.keys() | told.keys()):
        if part not in there:
            yield f"{part} is missing"
        elif part not in told:
            yield f"{part} is in no event"
        else:
            yield from _wrong_columns(part, there[part], told[part], stream)


def _wrong_columns(
    part: str, there: Mapping[str, Any], told: Mapping[str, Any], stream: _Stream
) -> Iterator[str]:
    for name, value in there.items():
        if value == told[name] or name in stream.erased:
            continue
        if isinstance(stream.aggregate, Customer) and name in CustomerRegistered.personal:
            # Not shown: personal fields stay where they are.
            yield f"{name} of {part} isn't what its events say"
        else:
            yield f"{name} of {part} is {value}, its events say {told[name]}"


def _parts(aggregate: Aggregate) -> _Parts:
    parts = {"its row": _columns(aggregate)}
    match aggregate:
        case Order():
            for line in aggregate.lines.values():
                parts[f"line {line.pk}"] = _columns(line)
            for shipment in aggregate.shipments.values():
                parts[f"shipment {shipment.pk}"] = _columns(shipment)
        case StockItem():
            for (order_id, line_id), quantity in aggregate.reservations.items():
                name = f"the reservation for line {line_id} of order {order_id}"
                parts[name] = {"quantity": quantity}
    return parts


def _columns(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def _stored_orders(ids: Collection[UUID]) -> Mapping[UUID, Aggregate]:
    orders = Order.objects.in_bulk(ids)
    Order.add_parts(orders)
    return orders


def _stored_stock(ids: Collection[UUID]) -> Mapping[UUID, Aggregate]:
    items = StockItem.objects.in_bulk(ids)
    for row in Reservation.objects.filter(product_id__in=items):
        items[row.product_id].reservations[row.order_id, row.line_id] = row.quantity
    return items


_STORED: Mapping[type[Aggregate], Callable[[Collection[UUID]], Mapping[UUID, Aggregate]]] = {
    Order: _stored_orders,
    StockItem: _stored_stock,
    Customer: Customer.objects.in_bulk,
}
_AGGREGATES = {each.stream_prefix: each for each in _STORED}


def _rows_without_events() -> Iterator[Finding]:
    for prefix, aggregate_type in _AGGREGATES.items():
        stream = Concat(Value(f"{prefix}-"), Cast(OuterRef("pk"), models.CharField()))
        rows = aggregate_type._default_manager.order_by("pk").annotate(
            has_events=Exists(OutboxEvent.objects.filter(stream=stream))
        )
        last = UUID(int=0)
        while page := rows.filter(pk__gt=last).values_list("pk", "has_events")[:_ROWS_AT_ONCE]:
            for last, has_events in page:
                if not has_events:
                    yield Finding(f"{prefix}-{last}", None, "it has a row but no events")


def _wrong_reservations(stream: str | None) -> Iterator[Finding]:
    """Lines for which other units are set aside than wait to leave, of all orders or of one.

    One statement sees both in one moment.
    """
    order_id = stream and stream.partition("-")[2]
    sql = _HELD.format("order_id = %s::uuid" if order_id else "true")
    with transaction.atomic(), connection.cursor() as cursor:
        # It takes as long as there are open orders.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(sql, [order_id, order_id] if order_id else [])
        rows = cursor.fetchall()
    for order, line, units, held, is_of_another_product in rows:
        wrong = f"line {line} has {units} units to send, and {held} are set aside for it"
        if is_of_another_product and units == held:
            wrong = f"what is set aside for line {line} is another product"
        yield Finding(f"{Order.stream_prefix}-{order}", None, wrong)


# --- Positions ---------------------------------------------------------------------------------
def _wrong_positions() -> Iterator[Finding]:
    last = 0
    while page := _places_after(last):
        for position, event_is_gone in page:
            if position != last + 1:
                yield Finding("", None, f"positions {last + 1} to {position - 1} are missing")
            if event_is_gone:
                yield Finding("", None, f"the event at position {position} is missing")
            last = position


def _places_after(position: int) -> list[tuple[int, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [position, _ROWS_AT_ONCE])
        return list(cursor.fetchall())
