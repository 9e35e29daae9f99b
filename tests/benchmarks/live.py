"""Measures how soon a row follows its commit, with the real web server and workers.

    python -m tests.benchmarks.live [SECONDS]

PostgreSQL records the time of each commit. Measured are, one after the other: orders over HTTP at
50 a second, for 30 seconds by default; commands whose notification is lost; a burst of 2,000
orders; the same burst while the workers are stopped, then projected by one worker and by two; and
an idle service.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from tests.benchmarks.measuring import family, measured, seconds_on_cpu
from tests.benchmarks.server import benchmark_server, set_up_django

RATE = 50
BURST = 2_000
LINES = 2
IDLE_SECONDS = 10
# Seconds between two looks at the positions of the projections.
_SAMPLE_SECONDS = 0.05
# Receives stock without notifications, at moments that are independent of any poll.
RECEIVE_SILENTLY = """
import random, time
from uuid import UUID
from ordering_write.bus import get_command_bus
from ordering_write.client import ReceiveStock
from ordering_write.signals import events_committed
assert events_committed.disconnect(dispatch_uid="outbox.notify")
for number in range(20):
    product = UUID({product!r})
    [event] = get_command_bus().dispatch(
        ReceiveStock(user_id=UUID(int=1), product_id=product, quantity=1)
    )
    print(event.recorded.event_id)
    time.sleep(1 + random.random())
"""


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    set_up_django()
    with benchmark_server(), TemporaryDirectory() as folder:
        measure(Path(folder), seconds)


def measure(folder: Path, seconds: int) -> None:
    from tests.acceptance.shop import Shop
    from tests.benchmarks.our_site import OurSite
    from tests.benchmarks.processes import backends_of
    from tests.databases import MigratedDatabases

    migrated = MigratedDatabases(keep=True)
    with OurSite(folder, like=migrated.names) as service:
        migrated.drop()
        backends = backends_of(service.write_url, service.read_url)
        shop = Shop(service)
        customer = shop.customer()
        products = [shop.product(1_000_000) for _ in range(20)]

        def body(number: int) -> dict[str, Any]:
            first = number * LINES
            lines = [products[(first + line) % len(products)] for line in range(LINES)]
            return shop.body(customer, *lines)

        # PostgreSQL plans for tables with rows.
        place_files(service, [json.dumps(body(number)) for number in range(BURST)])
        analyze(service)
        place(shop, [body(number) for number in range(100)])
        rest(service)
        before = head(service)
        with noted(f"orders over HTTP, {RATE} a second for {seconds} s"):
            bodies = [body(number) for number in range(seconds * RATE)]
            cost = measured(
                lambda: place_and_settle(shop, bodies),
                len(bodies),
                backends,
                own=family(service.web.pid),
                workers=family(service.workers.pid),
            )
            for name, spent in (
                ("the web server", cost.own),
                ("the workers", cost.workers),
                ("the database", cost.database),
            ):
                tell(f"processor time of {name} for each", f"{1_000 * spent:.1f} ms")
        for table in ("order_summary", "order_timeline", "stock_ledger"):
            tell_lags(f"commit to row of {table}", lags(service, table, after=before))
        with noted("commands whose notification is lost"):
            measure_lost_notifications(service, products[0])
        lines = [json.dumps(body(number)) for number in range(BURST)]
        with noted(f"a burst of {BURST} orders"):
            burst(service, lines)
        for workers in (1, 2):
            with noted(f"{BURST} orders that waited for {workers} worker(s)"):
                drain(service, lines, workers)
        rest(service)
        with noted("nothing to do"):
            idle(service)


def analyze(service: Any) -> None:
    rest(service)
    for connect in (service.write, service.read):
        with connect() as connection:
            connection.execute("VACUUM ANALYZE")


def rest(service: Any) -> None:
    """Wait until projections and policies have nothing left to do."""
    from tests.acceptance.service import wait_until

    service.settle(seconds=300)
    backlog = (
        "SELECT count(*) FROM event_pending UNION ALL"
        " SELECT count(*) FROM policy_timer WHERE due_at <= now() AND parked_at IS NULL UNION ALL"
        " SELECT (SELECT coalesce(max(position), 0) FROM event_position) - position"
        " FROM policy_checkpoint"
    )
    with service.write() as connection:
        wait_until(
            lambda: {0} == {count for (count,) in connection.execute(backlog)},
            seconds=300,
            missing="the policies lag behind",
        )


@contextmanager
def noted(title: str) -> Iterator[None]:
    """Print a title, and the load of the machine before and after."""
    before = os.getloadavg()[0]
    print(f"\n{title}", flush=True)
    yield
    tell("load average, before and after", f"{before:.1f} {os.getloadavg()[0]:6.1f}")


def tell(name: str, value: str) -> None:
    print(f"  {name:<46}{value:>24}", flush=True)


def tell_lags(name: str, lags: list[float]) -> None:
    cuts = quantiles(lags, n=100)
    p50, p99, most = (1_000 * seconds for seconds in (cuts[49], cuts[98], max(lags)))
    tell(f"{name}: p50, p99, max", f"{p50:.0f} {p99:6.0f} {most:6.0f} ms")


def place(shop: Any, bodies: list[dict[str, Any]]) -> None:
    """Place orders over HTTP at RATE a second, however long the responses take.

    The client is the plainest one: it runs on the same cores as the service.
    """
    host = shop.service.url.removeprefix("http://")
    headers = {**shop.admin.headers, "Content-Type": "application/json"}
    local = threading.local()

    def post(body: bytes) -> int:
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection(host)
        local.connection.request("POST", "/api/v1/orders", body, headers)
        response = local.connection.getresponse()
        response.read()
        return int(response.status)

    began = time.monotonic()
    with ThreadPoolExecutor(16) as threads:
        placed = []
        for number, body in enumerate(json.dumps(body).encode() for body in bodies):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            placed.append(threads.submit(post, body))
        assert {status.result() for status in placed} == {201}


def place_and_settle(shop: Any, bodies: list[dict[str, Any]]) -> None:
    place(shop, bodies)
    shop.service.settle()


def lags(service: Any, table: str, *, after: int) -> list[float]:
    """Return the seconds from the commit of each event after a position to that of its row."""
    # A row has the time of its last event.
    key = {"order_summary": "'order-' || id", "order_timeline": "'order-' || order_id"}.get(
        table, "'stock-' || product_id"
    )
    with service.write() as write, service.read() as read:
        committed = dict(
            write.execute(
                "SELECT event_position.position, pg_xact_commit_timestamp(event.xmin)"
                " FROM event JOIN event_position ON event_position.event_id = event.id"
            ).fetchall()
        )
        rows = read.execute(
            f"SELECT position, pg_xact_commit_timestamp(xmin), {key} FROM {table}"
            " WHERE position > %s",
            [after],
        ).fetchall()
    return [(at - committed[position]).total_seconds() for position, at, _stream in rows]


def measure_lost_notifications(service: Any, product: str) -> None:
    output = service.manage("shell", "-v", "0", "-c", RECEIVE_SILENTLY.format(product=product))
    service.settle()
    events = [UUID(line) for line in output.split()]
    with service.write() as write, service.read() as read:
        committed = dict(
            write.execute(
                "SELECT event_position.position, pg_xact_commit_timestamp(event.xmin)"
                " FROM event JOIN event_position ON event_position.event_id = event.id"
                " WHERE event.event_id = ANY(%s)",
                [events],
            ).fetchall()
        )
        rows = read.execute(
            "SELECT position, pg_xact_commit_timestamp(xmin) FROM stock_ledger"
            " WHERE position = ANY(%s)",
            [list(committed)],
        ).fetchall()
    assert len(rows) == len(events)
    seconds = [(at - committed[position]).total_seconds() for position, at in rows]
    tell("commit to row: mean, max", f"{sum(seconds) / len(seconds):.2f} {max(seconds):6.2f} s")


def burst(service: Any, lines: list[str]) -> None:
    """Place orders as fast as two processes can, and sample the projections."""
    watched, before = Watch(service), head(service)
    began = time.monotonic()
    place_files(service, lines)
    placed, events = time.monotonic(), head(service) - before
    service.settle(seconds=300)
    level = time.monotonic()
    watched.stop()
    commands_a_second, events_a_second = len(lines) / (placed - began), events / (placed - began)
    tell("commands and events a second", f"{commands_a_second:.0f} {events_a_second:6.0f}")
    most = f"{watched.most_events} events {watched.most_seconds:6.2f} s"
    tell("largest lag of any projection", most)
    tell("level after the last command", f"{level - placed:.2f} s")


def drain(service: Any, lines: list[str], workers: int) -> None:
    """Place orders while the workers are stopped, then start ``workers`` of them."""
    service.workers.terminate()
    service.workers.wait()
    place_files(service, lines)
    watched = Watch(service)
    service.environ["WORKERS"] = str(workers)
    service.start_workers()
    service.settle(seconds=300)
    watched.stop()
    events, seconds = watched.moved_by, watched.last_moved - watched.first_moved
    tell("events, seconds", f"{events} {seconds:6.2f}")
    rate = events / max(seconds, _SAMPLE_SECONDS)
    tell("events a second through all projections", f"{rate:.0f}")
    tell("applied a second and worker", f"{rate * watched.projections / workers:.0f}")
    with service.read() as read:
        for name, events_a_second in read.execute(
            "SELECT name, position / batch_seconds FROM projection WHERE status = 'live' ORDER BY 2"
        ):
            tell(f"  {name} alone, since the beginning", f"{events_a_second:.0f} events/s")


def place_files(service: Any, lines: list[str]) -> None:
    half = len(lines) // 2
    running = [
        subprocess.Popen(
            [sys.executable, "manage.py", "place_orders", "--user", "admin", "--file", "-"],
            env=service.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(2)
    ]
    for process, part in zip(running, (lines[:half], lines[half:]), strict=True):
        # A line of an earlier run would be a repetition: make new ones.
        note = f"{time.time_ns()}"
        part = [json.dumps({**json.loads(line), "note": note}) for line in part]
        threading.Thread(target=feed, args=(process, part)).start()
    assert [process.wait() for process in running] == [0, 0]


def feed(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n".join(lines))
    process.stdin.close()


def head(service: Any) -> int:
    with service.write() as write:
        [(events,)] = write.execute("SELECT count(*) FROM event").fetchall()
    return int(events)


class Watch:
    """Samples the positions of the projections twenty times a second until ``stop``."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self._stopped = threading.Event()
        self.most_events = 0
        self.most_seconds = 0.0
        self.first_moved = self.last_moved = 0.0
        self.moved_by = self.projections = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        first: list[int] = []
        seen: list[int] = []
        with self._service.write() as write, self._service.read() as read:
            while not self._stopped.wait(_SAMPLE_SECONDS):
                rows = read.execute(
                    "SELECT position FROM projection WHERE status = 'live' ORDER BY name"
                ).fetchall()
                positions = [position for (position,) in rows]
                first = first or positions
                if seen and positions != seen:
                    self.last_moved = time.monotonic()
                    self.first_moved = self.first_moved or self.last_moved
                seen = positions
                [(behind, age)] = write.execute(
                    "SELECT count(*), coalesce(extract(epoch FROM now() - min(recorded_at)), 0)"
                    " FROM event LEFT JOIN event_position ON event_position.event_id = event.id"
                    " WHERE position IS NULL OR position > %s",
                    [min(positions)],
                ).fetchall()
                self.most_events = max(self.most_events, behind)
                self.most_seconds = max(self.most_seconds, float(age))
        self.projections, self.moved_by = len(seen), min(seen) - min(first)


def idle(service: Any) -> None:
    """Measure the transactions and the processor time of a service that nobody uses."""
    workers = family(service.workers.pid)
    first_count, first_seconds = transactions(service), seconds_on_cpu(workers)
    time.sleep(IDLE_SECONDS)
    last_count, last_seconds = transactions(service), seconds_on_cpu(workers)
    # Two of the transactions are those that count.
    tell("transactions a second", f"{(last_count - first_count - 2) / IDLE_SECONDS:.1f}")
    tell(
        "one processor's time, workers",
        f"{100 * (last_seconds - first_seconds) / IDLE_SECONDS:.1f} %",
    )


def transactions(service: Any) -> int:
    """Return the transactions of both databases; a lone statement counts as one."""
    # Backends report their counts after a second of idleness.
    with service.write() as connection:
        [(count,)] = connection.execute(
            "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = ANY(%s)",
            [[urlsplit(url).path.lstrip("/") for url in (service.write_url, service.read_url)]],
        ).fetchall()
    return int(count)


if __name__ == "__main__":
    main()
