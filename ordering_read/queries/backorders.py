"""The backordered units of lines, and the time at which the last of them is expected."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from config.databases import prepared, tables
from ordering_read.documents import ExpectationView
from ordering_read.models import OrderLine, OrderSummary

EXPECTED = TypeAdapter(tuple[ExpectationView, ...])
# ``ahead`` are the backordered units of a product up to those of the line: the oldest line gets its
# units first. Almost all lines have no backorder, so nothing is summed up for them.
_LINES = """
SELECT {columns}, coalesce(backorder.backordered, 0) AS backordered, backorder.ahead,
       backorder.expected
FROM order_line_view AS line LEFT JOIN LATERAL (
    SELECT own.backordered, (
        SELECT sum(older.backordered) FROM stock_reservation AS older
        WHERE older.projection_id = own.projection_id AND older.product_id = own.product_id
          AND older.backordered > 0 AND older.line_id <= own.line_id
    ) AS ahead, (
        SELECT expected FROM inventory_level
        WHERE projection_id = own.projection_id AND product_id = own.product_id
    ) AS expected
    FROM stock_reservation AS own
    WHERE own.projection_id = (
        SELECT id FROM projection WHERE name = 'inventory_level' AND status = 'live'
    )
      AND own.order_id = line.order_id AND own.line_id = line.line_id AND own.backordered > 0
) backorder ON true
WHERE line.projection_id = {projection} AND line.order_id = {order} ORDER BY line.number
"""
# An order of the live generation with its lines, as JSON: its documents are read with it at once.
_ORDER = """
SELECT row_to_json(found)::text FROM (
    SELECT {columns}, (SELECT json_agg(line) FROM ({lines}) AS line) AS lines
    FROM order_summary WHERE projection_id = (
        SELECT id FROM projection WHERE name = 'order_view' AND status = 'live'
    ) AND {condition}
) AS found
"""
_EXTRA = ("backordered", "ahead", "expected")


def lines_of(order: OrderSummary) -> list[OrderLine]:
    """Return the lines of ``order`` with their backorders, in one statement.

    The lines are those of the generation of ``order``, which a promotion may have just retired.
    """
    statement = _lines(projection="%s", order="%s")
    lines = tables.load(OrderLine, statement, [order.projection_id, order.order_id], extra=_EXTRA)
    for line in lines:
        if line.backordered:
            vars(line)["expected"] = from_json(vars(line)["expected"])
    return _with_expectations(lines)


def order_with_lines(**values: Any) -> tuple[OrderSummary, list[OrderLine]] | None:
    """Return the live order whose fields have these ``values``, and its lines with their
    backorders, in one statement; None without such an order. Ids and times of both stay texts."""
    found = prepared.fetch("read", _order(*values), list(values.values()))
    if not found:
        return None
    record = tables.read_json(found[0][0])
    lines = tables.rows_of_json(OrderLine, record["lines"] or (), extra=_EXTRA)
    [order] = tables.rows_of_json(OrderSummary, [record])
    return order, _with_expectations(lines)


@cache
def _lines(*, projection: str, order: str) -> str:
    columns = ", ".join(f"line.{column}" for column in tables.columns(OrderLine))
    return _LINES.format(columns=columns, projection=projection, order=order)


@cache
def _order(*names: str) -> str:
    return _ORDER.format(
        columns=", ".join(tables.columns(OrderSummary)),
        lines=_lines(projection="order_summary.projection_id", order="order_summary.id"),
        condition=" AND ".join(f"{name} = %s" for name in tables.columns(OrderSummary, *names)),
    )


def _with_expectations(lines: list[OrderLine]) -> list[OrderLine]:
    for line in lines:
        if line.backordered:
            expected = EXPECTED.validate_python(vars(line)["expected"])
            line.expected_at = expected_at(vars(line)["ahead"], expected)
    return lines


def backorder_of(lines: Sequence[OrderLine]) -> dict[str, Any]:
    """Return ``backordered`` and ``expected_at`` of the whole order that has these ``lines``."""
    backordered_lines = [line for line in lines if line.backordered]
    times = [line.expected_at for line in backordered_lines if line.expected_at]
    units = sum(line.backordered or 0 for line in backordered_lines)
    is_known = all(line.backordered is not None for line in lines)
    return {
        "backordered": units if is_known else None,
        "expected_at": max(times) if times and len(times) == len(backordered_lines) else None,
    }


def expected_at(ahead: int, expected: Iterable[ExpectationView]) -> datetime | None:
    """Return the time at which the last of ``ahead`` units is expected, None if it isn't.

    ``expected`` are the units that are expected, the earliest first.
    """
    for expectation in expected:
        ahead -= expectation.quantity
        if ahead <= 0:
            return expectation.at
    return None
