"""Fill from the log the columns of orders that were added when their events existed already.

Rows that hold what their events say stay untouched, and so does every other column.
"""

from typing import Any

from django.db import migrations

# Orders of one statement, which is a transaction: an order is locked for a moment only.
BATCH = 1_000

PAGE = "SELECT id FROM ordering_write_order WHERE id > %s::uuid ORDER BY id LIMIT %s"
# A note that the row knows may have been redacted, so the row's own value wins.
FILL = """
UPDATE ordering_write_order AS orders
SET delivered_at = greatest(orders.delivered_at, facts.delivered_at),
    notes = facts.notes || orders.notes
FROM (
    SELECT page.id, max(event.timestamp) FILTER (WHERE event.type = 'ShipmentDelivered')
               AS delivered_at,
           coalesce(jsonb_object_agg(event.data->>'note_id', true)
                    FILTER (WHERE event.type = 'NoteAdded'), '{}') AS notes
    FROM unnest(%s::uuid[]) AS page (id) JOIN event ON event.stream = 'order-' || page.id::text
    WHERE event.type IN ('ShipmentDelivered', 'NoteAdded')
    GROUP BY page.id
) facts
WHERE orders.id = facts.id
  AND (greatest(orders.delivered_at, facts.delivered_at) IS DISTINCT FROM orders.delivered_at
       OR facts.notes || orders.notes <> orders.notes)
"""


def fill(apps: Any, schema_editor: Any) -> None:
    last = "00000000-0000-0000-0000-000000000000"
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(PAGE, [last, BATCH])
            ids = [order_id for (order_id,) in cursor.fetchall()]
            if not ids:
                return
            cursor.execute(FILL, [ids])
            last = ids[-1]


class Migration(migrations.Migration):
    # Each batch commits for itself. A migration that was killed begins again, and finds the rows
    # that it has filled to be right.
    atomic = False
    dependencies = [("ordering_write", "0017_pending_events")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
