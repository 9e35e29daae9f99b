"""Allocates the units on hand of oversold products to their reservations, the oldest lines first.

The write side does the same; the next rebuild of ``inventory_level`` makes the same rows.
"""

from typing import Any

from django.db import migrations

# The ids of lines (UUID version 7) are in the order in which the lines were made.
FILL_RESERVATIONS = """
UPDATE stock_reservation AS reservation SET backordered = allocated.backordered
FROM (
    SELECT reservation.key, least(reservation.quantity, greatest(sum(reservation.quantity) OVER (
        PARTITION BY reservation.projection_id, reservation.product_id
        ORDER BY reservation.line_id
    ) - greatest(level.on_hand, 0), 0)) AS backordered
    FROM stock_reservation AS reservation JOIN inventory_level AS level
        ON level.projection_id = reservation.projection_id
        AND level.product_id = reservation.product_id
    WHERE level.available < 0
) allocated
WHERE reservation.key = allocated.key AND reservation.backordered <> allocated.backordered
"""
FILL_LEVELS = """
UPDATE inventory_level SET backordered = reserved - greatest(on_hand, 0)
WHERE available < 0 AND reserved > greatest(on_hand, 0)
"""


def fill(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(FILL_RESERVATIONS)
        cursor.execute(FILL_LEVELS)


class Migration(migrations.Migration):
    dependencies = [("ordering_read", "0030_backorders")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
