"""Measures the processor time of a relayed event: the relay's, PostgreSQL's, and the NATS server's.

    python -m tests.benchmarks.relay [ORDERS]

The log of 5,000 orders by default, four events each, is published to one real server.
"""

import os
import sys

from tests.benchmarks.measuring import seconds_on_cpu
from tests.benchmarks.server import benchmark_server, set_up_django


def main() -> None:
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    set_up_django()
    with benchmark_server():
        measure(orders)


def measure(orders: int) -> None:
    import psycopg
    from django.conf import settings
    from django.db import connection

    from config.streams import Stream
    from ordering_write import relay
    from tests.benchmarks.log import make_log
    from tests.databases import MigratedDatabases, connected_to
    from tests.nats_servers import nats_servers

    migrated = MigratedDatabases(keep=True)
    with psycopg.connect(migrated.urls[0], autocommit=True) as session:
        events = make_log(session, orders)
    with connected_to(migrated.names), nats_servers() as servers:
        settings.RELAY, settings.STREAM = "nats", Stream(nats_servers=servers.urls)
        relay.SUBSCRIPTION.ensure_checkpoints()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [backend] = cursor.fetchone()
        processes = {"relay": os.getpid(), "PostgreSQL": backend, "NATS": servers.pid(0)}
        before = {name: seconds_on_cpu([pid]) for name, pid in processes.items()}
        published = relay.SUBSCRIPTION.run("nats")
        assert published == events == relay.stream_end()
        for name, pid in processes.items():
            cost = (seconds_on_cpu([pid]) - before[name]) / events
            print(f"{name}: {1e6 * cost:.0f} µs of processor time an event")
    migrated.drop()


if __name__ == "__main__":
    main()
