"""Measures a rebuild, and compares it with one SQL statement and with a library.

    python -m tests.benchmarks.rebuild [ORDERS]

It makes a database of its own with four events per order, by default 250,000 orders, and measures
one after the other: (b) one statement that computes the tables of OrderView inside PostgreSQL;
(a) ``manage.py rebuild_projections order_view``, which must make the same rows; (c) the
ProjectionRunner of the library "eventsourcing" with one row per order.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import django
import psutil
import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402

from tests.acceptance.service import ROOT, plain_environ  # noqa: E402
from tests.benchmarks import library  # noqa: E402
from tests.databases import Databases  # noqa: E402

EVENTS_OF_AN_ORDER = 4
# Fewer orders for the library, since it applies events one by one.
LIBRARY_ORDERS = 5_000

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
        'item_count', 0, 'order_number', '2026-'
            -- At least six digits: without the maximum, longer numbers would be cut.
            || lpad(number::text, greatest(6, length(number::text)), '0'),
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

# One statement for both tables; {generation} is the key of the generation of its rows. Unlike (a),
# it ignores events that this log doesn't have: payments, shipments and so on.
IN_SQL = """
WITH order_event AS MATERIALIZED (
    SELECT event.*, event_position.position, personal_data.fields AS personal, event.data AS d
    FROM event JOIN event_position ON event_position.event_id = event.id
    LEFT JOIN personal_data ON personal_data.id = event.personal_id
    WHERE event.type LIKE 'Order%'
), lines AS (
    INSERT INTO ordering_read.order_line_view (projection_id, order_id, line_id, number, product_id,
        sku, name, quantity, cancelled, packed, shipped, delivered, failed, return_requested,
        returned, unit_price, line_total, price_source, price_reason)
    SELECT {generation}, (d->>'order_id')::uuid, (d->>'line_id')::uuid, (d->>'item_count')::int,
        (d->>'product_id')::uuid, d->>'sku', d->>'name', (d->>'quantity')::int,
        0, 0, 0, 0, 0, 0, 0,
        (d->'unit_price'->>'amount')::numeric, (d->'line_total'->>'amount')::numeric,
        d->>'price_source', coalesce(d->>'price_reason', '')
    FROM order_event WHERE type = 'OrderItemAdded'
)
INSERT INTO ordering_read.order_summary (projection_id, id, order_number, customer_id,
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


@dataclass
class Watched:
    """Measurements of a running rebuild."""

    seconds: float = 0.0
    # The largest memory of one of its processes, in MB: in its first third, and in all.
    early_memory: float = 0.0
    memory: float = 0.0
    # Seconds left after a tenth: as the rebuild estimated, and in truth.
    estimate: float = 0.0
    truth: float = 0.0
    _samples: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Cost:
    """Seconds on the clock, and of processors, with those of the database server.

    The seconds of processors are about the same however busy the machine is.
    """

    seconds: float = 0.0
    processor: float = 0.0


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 250_000
    with site() as (environ, url):
        with psycopg.connect(url, autocommit=True) as connection:
            server = psutil.Process(connection.info.backend_pid).parent()
            events = make_log(connection, orders)
            generation = new_generation(connection, events)
            statement = IN_SQL.format(generation=generation, zone=settings.STORE_TIME_ZONE)
            with spent(server) as in_sql:
                connection.execute(statement)
            connection.execute("VACUUM ANALYZE")
            with spent(server) as rebuilding:
                rebuilt = rebuild(environ, url)
            check_equal(connection)
        library_environ, last = library.prepare(url, LIBRARY_ORDERS)
        with spent(server) as running:
            library.run(library_environ, last)
    print(f"{events:,} events{'':<34}{'events/s':>10}{'processor time of one':>24}")
    for name, cost, number in (
        ("(a) rebuild_projections order_view", rebuilding, events),
        ("(b) one SQL statement", in_sql, events),
        ("(c) ProjectionRunner of eventsourcing", running, last),
    ):
        microseconds = 1e6 * cost.processor / number
        print(f"{name:<50}{number / cost.seconds:>10,.0f}{microseconds:>21,.0f} µs")
    # Ratios of the cost of one event.
    by_clock = running.seconds / last * events / rebuilding.seconds
    by_processor = running.processor / last * events / rebuilding.processor
    for name, figure in {
        "(a) to (b)": f"{in_sql.seconds / rebuilding.seconds:.2f}",
        "(a) to (b), by processor time": f"{in_sql.processor / rebuilding.processor:.2f}",
        "(a) to (c)": f"{by_clock:.1f}",
        "(a) to (c), by processor time": f"{by_processor:.1f}",
        "memory of a process in the first third, MB": f"{rebuilt.early_memory:.0f}",
        "memory of a process at most, MB": f"{rebuilt.memory:.0f}",
        "time left as estimated after 10 %, s": f"{rebuilt.estimate:.1f}",
        "time left in truth, s": f"{rebuilt.truth:.1f}",
    }.items():
        print(f"{name:<50}{figure:>10}")


@contextmanager
def spent(server: psutil.Process) -> Iterator[Cost]:
    """Measure the block: this process, its children and ``server``."""
    cost = Cost(-time.monotonic(), -processor_seconds(server))
    yield cost
    cost.seconds += time.monotonic()
    cost.processor += processor_seconds(server)


def processor_seconds(server: psutil.Process) -> float:
    process = psutil.Process()
    family = (process, *process.children(recursive=True), server, *server.children(recursive=True))
    return sum(sum(member.cpu_times()[:4]) for member in family)


@contextmanager
def site() -> Iterator[tuple[dict[str, str], str]]:
    """Yield the environment and the URL of a migrated database for both sides."""
    databases = Databases("bench")
    [url] = databases.urls
    environ = plain_environ() | {"DATABASE_URL": url, "SECRET_KEY": uuid4().hex * 2, "HTTPS": "0"}
    try:
        manage(environ, "migrate", "-v", "0")
        yield environ, url
    finally:
        databases.drop()


def manage(environ: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], env=environ, cwd=ROOT, check=True)


def make_log(connection: psycopg.Connection[Any], orders: int) -> int:
    connection.execute(MAKE_LOG.format(orders=orders, events_of_an_order=EVENTS_OF_AN_ORDER))
    connection.execute("RESET ALL")
    connection.execute("SET statement_timeout = 0")
    connection.execute("VACUUM ANALYZE")
    return orders * EVENTS_OF_AN_ORDER


def new_generation(connection: psycopg.Connection[Any], position: int) -> int:
    """Return the live generation at ``position``; the SQL statement makes its rows."""
    [(key,)] = connection.execute(
        "UPDATE ordering_read.projection SET position = %s WHERE name = 'order_view' RETURNING id",
        [position],
    ).fetchall()
    return int(key)


def rebuild(environ: dict[str, str], url: str) -> Watched:
    watched = Watched()
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "rebuild_projections", "order_view"], env=environ, cwd=ROOT
    )
    watcher = threading.Thread(target=watch, args=(process.pid, url, watched, began))
    watcher.start()
    assert process.wait() == 0
    watched.seconds = time.monotonic() - began
    watcher.join()
    third = [memory for at, memory in watched._samples if at < watched.seconds / 3]
    watched.early_memory = max(third, default=0.0)
    watched.memory = max((memory for _at, memory in watched._samples), default=0.0)
    watched.truth += watched.seconds
    return watched


def watch(pid: int, url: str, watched: Watched, began: float) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while psutil.pid_exists(pid):
            now = time.monotonic() - began
            try:
                parent = psutil.Process(pid)
                family = [parent, *parent.children()]
                memory = max(member.memory_full_info().uss for member in family) / 1e6
            except psutil.NoSuchProcess:
                return
            watched._samples.append((now, memory))
            if not watched.estimate:
                row = connection.execute(
                    "SELECT (events_total - events_done) / events_per_second"
                    " FROM ordering_read.projection WHERE status = 'building'"
                    " AND events_done >= events_total / 10 AND events_per_second > 0"
                ).fetchone()
                if row:
                    watched.estimate, watched.truth = row[0], -now
            time.sleep(0.1)


def check_equal(connection: psycopg.Connection[Any]) -> None:
    for table in ("order_summary", "order_line_view"):
        [(differing,)] = connection.execute(
            f"SELECT count(*) FROM (SELECT to_jsonb(t) - '{{key,projection_id}}'::text[] AS r"
            f" FROM ordering_read.{table} t GROUP BY 1 HAVING count(*) <> 2) odd"
        ).fetchall()
        assert differing == 0, f"{table}: {differing} rows differ"


if __name__ == "__main__":
    main()
