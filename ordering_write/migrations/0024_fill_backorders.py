"""Allocates the units on hand of oversold products to their reservations, the oldest lines first.

Until now only the sum of the reservations said that a product is oversold.
"""

from typing import Any

from django.db import migrations, transaction

OVERSOLD = """
SELECT product_id FROM ordering_write_stockitem WHERE reserved > greatest(on_hand, 0)
"""
LOCK = """
SELECT greatest(on_hand, 0) FROM ordering_write_stockitem WHERE product_id = %s FOR UPDATE
"""
# The ids of lines (UUID version 7) are in the order in which the lines were made.
FILL = """
UPDATE ordering_write_reservation AS reservation SET backordered = allocated.backordered
FROM (
    SELECT id, least(quantity, greatest(sum(quantity) OVER (ORDER BY line_id) - %s, 0))
        AS backordered
    FROM ordering_write_reservation WHERE product_id = %s
) allocated
WHERE reservation.id = allocated.id AND reservation.backordered <> allocated.backordered
"""
SUM = """
UPDATE ordering_write_stockitem SET backordered = (
    SELECT coalesce(sum(backordered), 0) FROM ordering_write_reservation WHERE product_id = %s
) WHERE product_id = %s
"""


def fill(apps: Any, schema_editor: Any) -> None:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute(OVERSOLD)
        products = [product_id for (product_id,) in cursor.fetchall()]
        for product_id in products:
            with transaction.atomic(using=connection.alias):
                cursor.execute(LOCK, [product_id])
                [free] = cursor.fetchone()
                cursor.execute(FILL, [free, product_id])
                cursor.execute(SUM, [product_id, product_id])


class Migration(migrations.Migration):
    # Each product commits by itself; a repeat allocates again, to the same lines.
    atomic = False
    dependencies = [("ordering_write", "0023_backorders")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
