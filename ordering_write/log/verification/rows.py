"""Compares the rows of aggregates with what their events say."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Value
from django.db.models.functions import Cast, Concat

from ordering_write.domain.events import CustomerRegistered
from ordering_write.log.verification import finding
from ordering_write.log.verification.finding import Finding
from ordering_write.models import (
    Aggregate,
    Customer,
    Order,
    OutboxEvent,
    StockItem,
    aggregate_types,
)

# Columns and their values, by the name of an aggregate's part.
_Parts = Mapping[str, Mapping[str, Any]]

# A line must have reserved all of its units that are neither cancelled nor shipped.
_RESERVATIONS = """
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


def compare(
    stored: Aggregate | None, folded: Aggregate, *, stream: str, unknown: Collection[str]
) -> Iterator[str]:
    """Yield the differences between the rows of an aggregate and the fold of ``stream``.

    ``unknown`` are columns whose values were erased from the events.
    """
    if folded.stream != stream:
        yield f"its events are those of {folded.stream}"
    elif stored is None:
        yield "it has events but no row"
    else:
        if isinstance(stored, StockItem):
            yield from _compare_sum(stored)
        yield from _compare_parts(_parts(stored), _parts(folded), _personal(folded), unknown)


def _compare_sum(item: StockItem) -> Iterator[str]:
    reserved = sum(item.reservations.values())
    if reserved != item.reserved:
        yield f"reserved is {item.reserved}, its reservations add up to {reserved}"


def _compare_parts(
    stored: _Parts, folded: _Parts, personal: Collection[str], unknown: Collection[str]
) -> Iterator[str]:
    for part in sorted(stored.keys() | folded.keys()):
        if part not in stored:
            yield f"{part} is missing"
        elif part not in folded:
            yield f"{part} is in no event"
        else:
            for name, value in stored[part].items():
                if value == folded[part][name] or name in unknown:
                    continue
                if name in personal:
                    # Without the values, which must not be copied to a terminal.
                    yield f"{name} of {part} isn't what its events say"
                else:
                    yield f"{name} of {part} is {value}, its events say {folded[part][name]}"


def _personal(aggregate: Aggregate) -> Collection[str]:
    return CustomerRegistered.personal if isinstance(aggregate, Customer) else ()


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
                backordered = aggregate.backorders.get((order_id, line_id), 0)
                parts[name] = {"quantity": quantity, "backordered": backordered}
    return parts


def _columns(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def find_rows_without_events() -> Iterator[Finding]:
    """Yield the aggregates that have a row but no events."""
    for prefix, aggregate_type in aggregate_types().items():
        stream = Concat(Value(f"{prefix}-"), Cast(OuterRef("pk"), models.CharField()))
        rows = aggregate_type._default_manager.order_by("pk").annotate(
            has_events=Exists(OutboxEvent.objects.filter(stream=stream))
        )
        last = UUID(int=0)
        while page := rows.filter(pk__gt=last).values_list("pk", "has_events")[: finding.PAGE]:
            for last, has_events in page:
                if not has_events:
                    yield Finding(f"{prefix}-{last}", None, "it has a row but no events")


def compare_reservations(stream: str | None = None) -> Iterator[Finding]:
    """Yield the lines whose reserved units differ from their units to send, of all orders or one.

    One statement sees orders and reservations at the same moment.
    """
    order_id = stream and stream.partition("-")[2]
    statement = _RESERVATIONS.format("order_id = %s::uuid" if order_id else "true")
    with transaction.atomic(), connection.cursor() as cursor:
        # This statement takes longer with more open orders.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(statement, [order_id, order_id] if order_id else [])
        mismatches = cursor.fetchall()
    for order, line, units, reserved, is_of_another_product in mismatches:
        fault = f"line {line} has {units} units to send, and {reserved} are set aside for it"
        if is_of_another_product and units == reserved:
            fault = f"another product is set aside for line {line}"
        yield Finding(f"{Order.stream_prefix}-{order}", None, fault)
