"""The read model of orders by one statement inside PostgreSQL, which makes the same rows."""

import psycopg
from django.conf import settings

# The parts of the log that the statement reads, as tables of the read database.
_COPIED = {
    "event": (
        "id bigint PRIMARY KEY, version int, type text, timestamp timestamptz, data jsonb,"
        " personal_id uuid"
    ),
    "event_position": "position bigint PRIMARY KEY, event_id bigint UNIQUE",
    "personal_data": "id uuid PRIMARY KEY, fields jsonb",
}
_TABLES = ("order_summary", "order_line_view")

# One statement for both tables; {generation} is the key of the generation of its rows. Unlike the
# projection, it ignores events that this log doesn't have: payments, shipments and so on.
IN_SQL = """
WITH order_event AS MATERIALIZED (
    SELECT event.*, event_position.position, personal_data.fields AS personal, event.data AS d
    FROM log.event JOIN log.event_position ON event_position.event_id = event.id
    LEFT JOIN log.personal_data ON personal_data.id = event.personal_id
    WHERE event.type LIKE 'Order%'
), lines AS (
    INSERT INTO order_line_view (projection_id, order_id, line_id, number, product_id,
        sku, sku_key, name, quantity, cancelled, packed, shipped, delivered, failed,
        return_requested, returned, unit_price, line_total, price_source, price_reason)
    SELECT {generation}, (d->>'order_id')::uuid, (d->>'line_id')::uuid, (d->>'item_count')::int,
        (d->>'product_id')::uuid, d->>'sku', lower(d->>'sku'), d->>'name', (d->>'quantity')::int,
        0, 0, 0, 0, 0, 0, 0,
        (d->'unit_price'->>'amount')::numeric, (d->'line_total'->>'amount')::numeric,
        d->>'price_source', coalesce(d->>'price_reason', '')
    FROM order_event WHERE type = 'OrderItemAdded'
)
INSERT INTO order_summary (projection_id, id, order_number, customer_id,
    customer_name, status, payment_status, fulfilment_status, return_status, hold_reason,
    total_amount, balance, authorized, captured, refunded, currency, item_count, unit_count,
    external_reference, assigned_to, tags, shipping_address, billing_address,
    adjustments, shipments, payments, refunds, returns, notes, created_at, placed_on, updated_at,
    version, position)
SELECT {generation}, (d->>'order_id')::uuid,
    max(d->>'order_number'),
    max(d->>'customer_id')::uuid,
    max(personal->'customer'->>'name'),
    (array_agg(d->>'status' ORDER BY version DESC) FILTER (WHERE d ? 'status'))[1],
    'unpaid', 'unfulfilled', 'none', '',
    (array_agg((d->'total'->>'amount')::numeric ORDER BY version DESC)
        FILTER (WHERE d ? 'total'))[1],
    (array_agg((d->'balance'->>'amount')::numeric ORDER BY version DESC)
        FILTER (WHERE d ? 'balance'))[1],
    0, 0, 0,
    max(d->>'currency'),
    max((d->>'item_count')::int),
    coalesce(sum((d->>'quantity')::int) FILTER (WHERE type = 'OrderItemAdded'), 0),
    coalesce(max(d->>'external_reference'), ''),
    '',
    coalesce(array_agg(d->>'tag' ORDER BY version) FILTER (WHERE type = 'OrderTagged'), '{{}}'),
    (array_agg(personal->'shipping_address') FILTER (WHERE type = 'OrderCreated'))[1],
    (array_agg(personal->'billing_address') FILTER (WHERE type = 'OrderCreated'))[1],
    '[]', '[]', '[]', '[]', '[]', '[]',
    max((d->>'placed_at')::timestamptz),
    max(((d->>'placed_at')::timestamptz AT TIME ZONE '{zone}')::date),
    max(timestamp),
    max(version),
    max(position)
FROM order_event GROUP BY (d->>'order_id')::uuid
"""


def copy_log(write_url: str, read_url: str) -> None:
    """Copy the log into the schema "log" of the read database."""
    with psycopg.connect(write_url) as write, psycopg.connect(read_url) as read:
        read.execute("CREATE SCHEMA log")
        for table, columns in _COPIED.items():
            read.execute(f"CREATE TABLE log.{table} ({columns})")
            names = ", ".join(column.split()[0] for column in columns.split(", "))
            with (
                write.cursor().copy(f"COPY {table} ({names}) TO STDOUT (FORMAT binary)") as source,
                read.cursor().copy(f"COPY log.{table} FROM STDIN (FORMAT binary)") as target,
            ):
                for block in source:
                    target.write(block)
    with psycopg.connect(read_url, autocommit=True) as read:
        read.execute("VACUUM ANALYZE")


class SqlFold:
    """Makes the rows of a generation of its own, which nobody reads."""

    def __init__(self, read_url: str) -> None:
        self._connection = psycopg.connect(read_url, autocommit=True)
        self._connection.execute("SET statement_timeout = 0")
        # A name that no projection has, so that no rebuild touches its rows.
        [(self.generation,)] = self._connection.execute(
            "INSERT INTO projection SELECT (jsonb_populate_record(NULL::projection, to_jsonb(live)"
            """ || '{"id": 1000000, "name": "sql_fold", "status": "retired"}')).*"""
            " FROM projection live WHERE name = 'order_view' AND status = 'live' RETURNING id"
        ).fetchall()

    def run(self) -> None:
        statement = IN_SQL.format(generation=self.generation, zone=settings.STORE_TIME_ZONE)
        self._connection.execute(statement)

    def delete_rows(self) -> None:
        for table in _TABLES:
            self._connection.execute(
                f"DELETE FROM {table} WHERE projection_id = %s", [self.generation]
            )
            self._connection.execute(f"VACUUM ANALYZE {table}")

    def check_equal(self) -> None:
        """Fail if the rows differ from those of the live generation."""
        for table in _TABLES:
            [(differing,)] = self._connection.execute(
                "SELECT count(*) FROM (SELECT to_jsonb(t) - '{key,projection_id}'::text[] AS r"
                f" FROM {table} t GROUP BY 1 HAVING count(*) <> 2) odd"
            ).fetchall()
            assert differing == 0, f"{table}: {differing} rows differ"

    def close(self) -> None:
        self._connection.close()
