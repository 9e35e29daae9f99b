"""A log of orders, made by one script of SQL: four events and two lines each."""

from typing import Any

import psycopg

EVENTS_OF_AN_ORDER = 4

# Orders are confirmed some time after they are placed, so that streams interleave.
MAKE_LOG = """
SET session_replication_role = replica;
SET statement_timeout = 0;
SET TIME ZONE 'UTC';
SELECT setseed(0.5);

CREATE TEMPORARY TABLE placed AS
SELECT number, gen_random_uuid() AS customer,
       -- Ids of version 7 grow with time, as those of orders do.
       (lpad(to_hex(1780000000000 + number * 1000), 12, '0') || '7'
        || substr(md5('o' || number), 1, 3) || '8'
        || substr(md5('p' || number), 1, 15))::uuid AS id,
       timestamptz '2026-03-01' + number * interval '1 second' AS at,
       gen_random_uuid() AS first_commit, gen_random_uuid() AS second_commit,
       gen_random_uuid() AS personal
FROM generate_series(1, {orders}) AS number;

INSERT INTO personal_data (id, customer_id, fields, salt)
SELECT personal, customer, jsonb_build_object(
    'customer', jsonb_build_object('name', 'Robin Sample ' || number, 'email', 'r@example.com'),
    'shipping_address', jsonb_build_object(
        'name', 'Robin Sample', 'line1', number || ' Example Street', 'line2', '',
        'city', 'Sampleton', 'region', '', 'postal_code', '', 'country', 'ES', 'phone', '')
), md5('s' || number) FROM placed;

CREATE TEMPORARY TABLE happened AS
SELECT placed.*, version,
    (ARRAY['OrderCreated', 'OrderItemAdded', 'OrderItemAdded', 'OrderStatusChanged'])[version]
        AS type,
    number + CASE version WHEN 4 THEN 500.5 ELSE 0 END AS moment,
    jsonb_build_object('order_id', id, 'customer_id', customer, 'status',
        CASE version WHEN 4 THEN 'confirmed' ELSE 'pending' END)
    || CASE version
    WHEN 1 THEN jsonb_build_object(
        'total', jsonb_build_object('amount', '0.00', 'currency', 'EUR'),
        'balance', jsonb_build_object('amount', '0.00', 'currency', 'EUR'),
        'item_count', 0, 'order_number', '2026-' || to_char(number, 'FM00000000'),
        'currency', 'EUR', 'placed_at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'source', '00000000-0000-0000-0000-000000000001')
    WHEN 4 THEN jsonb_build_object('status_before', 'pending', 'from_status', 'pending',
        'to_status', 'confirmed', 'reason', '')
    ELSE jsonb_build_object(
        'total', jsonb_build_object('amount', (19.90 * (version - 1))::text, 'currency', 'EUR'),
        'balance', jsonb_build_object('amount', (19.90 * (version - 1))::text, 'currency', 'EUR'),
        'item_count', version - 1, 'line_id', gen_random_uuid(), 'product_id', gen_random_uuid(),
        'sku', 'SAMPLE-' || version, 'name', 'Sample ' || version, 'quantity', 2,
        'unit_price', jsonb_build_object('amount', '9.95', 'currency', 'EUR'),
        'line_total', jsonb_build_object('amount', '19.90', 'currency', 'EUR'),
        'price_source', 'client')
    END AS fields
FROM placed CROSS JOIN generate_series(1, {events_of_an_order}) AS version;

INSERT INTO event (event_id, stream, version, type, schema_version, timestamp, recorded_at, actor,
    channel, command_id, correlation_id, causation_id, commit_id, data, personal_id,
    personal_digest, hash)
SELECT gen_random_uuid(), 'order-' || id, version, type, 1, at, at,
    '{{"type": "user", "id": "00000000-0000-0000-0000-000000000001", "label": ""}}', 'python',
    commit_id, commit_id, commit_id, commit_id, fields,
    CASE version WHEN 1 THEN personal END, '', ''
FROM (
    SELECT *, CASE version WHEN 4 THEN second_commit ELSE first_commit END AS commit_id
    FROM happened
) made
ORDER BY moment, version;

INSERT INTO event_position (position, event_id)
SELECT row_number() OVER (ORDER BY id), id FROM event;
"""


def make_log(connection: psycopg.Connection[Any], orders: int) -> int:
    """Write the events of ``orders`` orders; return the number of events."""
    connection.execute(MAKE_LOG.format(orders=orders, events_of_an_order=EVENTS_OF_AN_ORDER))
    connection.execute("DROP TABLE placed, happened")
    connection.execute("RESET ALL")
    connection.execute("SET statement_timeout = 0")
    connection.execute("VACUUM ANALYZE")
    return orders * EVENTS_OF_AN_ORDER


def go_to_head(write_url: str, read_url: str) -> None:
    """Let all projections and policies begin after the log; that of orders has its rows already."""
    with psycopg.connect(write_url) as write, psycopg.connect(read_url, autocommit=True) as read:
        [(head,)] = write.execute("SELECT max(position) FROM event_position").fetchall()
        write.execute("UPDATE policy_checkpoint SET position = %s", [head])
        read.execute("UPDATE projection SET position = %s WHERE status = 'live'", [head])
        read.execute("VACUUM ANALYZE")
