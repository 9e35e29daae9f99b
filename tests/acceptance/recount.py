"""Compares the read models with the log, which SQL of its own adds up."""

from typing import Any

from tests.acceptance.service import Service

_ORDERS_IN_LOG = """
SELECT (data->>'order_id')::uuid,
       (array_agg(data->>'status' ORDER BY version DESC)
           FILTER (WHERE data->>'status' IS NOT NULL))[1],
       coalesce(sum((data->'line_total'->>'amount')::numeric), 0)::numeric(19, 4),
       count(*) FILTER (WHERE type = 'OrderItemAdded'),
       coalesce(sum((data->>'quantity')::int) FILTER (WHERE type = 'OrderItemAdded'), 0),
       max(version)
FROM event WHERE stream LIKE 'order-%' GROUP BY 1 ORDER BY 1
"""
_ORDERS_READ = """
SELECT summary.id, summary.status, total_amount, item_count, unit_count, summary.version
FROM order_summary summary JOIN projection ON projection.id = projection_id
WHERE projection.status = 'live' ORDER BY 1
"""
_LINES_IN_LOG = """
SELECT (data->>'line_id')::uuid, (data->>'order_id')::uuid, (data->>'product_id')::uuid,
       (data->>'quantity')::int
FROM event WHERE type = 'OrderItemAdded' ORDER BY 1
"""
_LINES_READ = """
SELECT line_id, order_id, product_id, quantity
FROM order_line_view JOIN projection ON projection.id = projection_id
WHERE status = 'live' ORDER BY 1
"""
_STOCK_IN_LOG = """
SELECT product_id, received - dispatched, reserved - released - dispatched,
       received - reserved + released, version
FROM (
    SELECT (data->>'product_id')::uuid AS product_id, max(version) AS version,
           coalesce(sum(units) FILTER (WHERE type = 'StockReceived'), 0) AS received,
           coalesce(sum(units) FILTER (WHERE type = 'StockReserved'), 0) AS reserved,
           coalesce(sum(units) FILTER (WHERE type = 'StockReleased'), 0) AS released,
           coalesce(sum(units) FILTER (WHERE type = 'StockDispatched'), 0) AS dispatched
    FROM (SELECT *, (data->>'quantity')::int AS units FROM event) AS counted
    WHERE stream LIKE 'stock-%' GROUP BY 1
) AS summed ORDER BY 1
"""
_STOCK_READ = """
SELECT product_id, on_hand, reserved, available, level.version
FROM inventory_level level JOIN projection ON projection.id = projection_id
WHERE status = 'live' ORDER BY 1
"""
_CUSTOMERS_IN_LOG = """
SELECT (data->>'customer_id')::uuid FROM event WHERE type = 'CustomerRegistered' ORDER BY 1
"""
_CUSTOMERS_READ = """
SELECT customer_id FROM customer_view customer JOIN projection ON projection.id = projection_id
WHERE projection.status = 'live' ORDER BY 1
"""


def assert_read_models_equal_the_log(service: Service) -> None:
    """Wait until all events are projected, then compare every row with the events of the log."""
    service.settle()
    with service.write() as write, service.read() as read:
        for in_log, in_read_model in (
            (_ORDERS_IN_LOG, _ORDERS_READ),
            (_LINES_IN_LOG, _LINES_READ),
            (_STOCK_IN_LOG, _STOCK_READ),
            (_CUSTOMERS_IN_LOG, _CUSTOMERS_READ),
        ):
            expected: list[Any] = write.execute(in_log).fetchall()
            assert read.execute(in_read_model).fetchall() == expected
        positions = write.execute("SELECT count(*), max(position) FROM event_position").fetchone()
        events = write.execute("SELECT count(*) FROM event").fetchone()
        assert positions == (events[0], events[0])  # type: ignore[index]
