"""The worker processes: killed, stopped, cut off from the database and from notifications."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import psutil
import psycopg
import pytest

from tests.acceptance.service import ROOT, Databases, plain_environ, start, wait_until

# Registers a product and receives stock; prints the seconds from each commit to its row.
RECEIVE = """
import sys, time
from uuid import UUID
from uuid_utils.compat import uuid7
from ordering_read.engine import waiting
from ordering_write.client import ReceiveStock, RegisterStockItem
from ordering_write.bus import get_command_bus
from ordering_write.signals import events_committed
from ordering_write import outbox
count, pause, notify, wait = int({count}), float({pause}), {notify}, {wait}
if not notify:
    events_committed.disconnect(dispatch_uid="outbox.notify")
dispatch = get_command_bus().dispatch
made = dispatch(RegisterStockItem(user_id=UUID(int=1), sku=uuid7().hex, name="Sample", on_hand=0))
product = made[0].product_id
for _ in range(count):
    [event] = dispatch(ReceiveStock(user_id=UUID(int=1), product_id=product, quantity=1))
    began = time.monotonic()
    if wait:
        assert waiting.wait(event_id=event.recorded.event_id, projections=[], timeout=30)
        print(time.monotonic() - began)
    time.sleep(pause)
print(product)
"""


class Site:
    """Databases of their own, and the worker programs that run on them."""

    def __init__(self, folder: Path) -> None:
        self._logs = (folder / f"{number}.log" for number in count(1))
        self._databases = Databases("write", "read")
        self._write_url, self._read_url = self._databases.urls
        self._programs: list[subprocess.Popen[bytes]] = []
        self.environ = plain_environ() | {
            "DATABASE_URL": self._write_url,
            "READ_DATABASE_URL": self._read_url,
            "SECRET_KEY": uuid4().hex * 2,
            "HTTPS": "0",
        }
        self.manage("migrate", "-v", "0")

    def stop(self) -> None:
        """Stop what was started."""
        for program in self._programs:
            # The whole session: those of the stock cluster outlive their parent.
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self._programs.clear()

    def close(self) -> None:
        self._databases.drop()

    def manage(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environ,
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout

    def start(self, *command: str, **environ: str) -> psutil.Process:
        """Start a management command that stays."""
        self._log = next(self._logs)
        program = start(["manage.py", *command], self.environ | environ, self._log)
        self._programs.append(program)
        return psutil.Process(program.pid)

    def ended(self, supervisor: psutil.Process) -> bool:
        return any(one.pid == supervisor.pid and one.poll() is not None for one in self._programs)

    def log(self) -> str:
        """What the program that was started last has logged."""
        return self._log.read_text()

    def receive(
        self,
        times: int,
        *,
        pause: float = 0.0,
        notify: bool = True,
        wait: bool = False,
        **environ: str,
    ) -> subprocess.Popen[str]:
        """Start to receive stock of a new product, ``times`` times."""
        script = RECEIVE.format(count=times, pause=pause, notify=notify, wait=wait)
        return subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", script],
            env=self.environ | environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self, statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self._read_url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def write(self, statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self._write_url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def is_level(self) -> bool:
        [(events,)] = self.write("SELECT count(*) FROM event")
        positions = self.read("SELECT position FROM projection WHERE status = 'live'")
        return all(position == events for (position,) in positions)

    def on_hand(self, product: str) -> tuple[int, int]:
        """Stock and number of events of a product, as the read model has them."""
        [row] = self.read(
            "SELECT on_hand, inventory_level.version FROM inventory_level"
            " JOIN projection ON projection.id = projection_id"
            " WHERE product_id = %s AND status = 'live'",
            product,
        )
        return row

    def cut_connections(self) -> None:
        """What a restart of the databases does to everybody who is connected."""
        self.write(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
            self._databases.names,
        )


@pytest.fixture(scope="module")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("workers"))
    yield site
    site.close()


@pytest.fixture
def site(empty_site: Site) -> Iterator[Site]:
    yield empty_site
    empty_site.stop()


def cluster(supervisor: psutil.Process) -> list[psutil.Process]:
    """The sentinel, two workers, the monitor and the pusher, once all of them are there."""

    def complete() -> list[psutil.Process]:
        try:
            [sentinel] = supervisor.children()
            children = sentinel.children()
        except (ValueError, psutil.NoSuchProcess):
            return []
        return [sentinel, *children] if len(children) == 4 else []

    return wait_until(complete, missing="the workers didn't start")


def product_of(receiving: subprocess.Popen[str]) -> str:
    output, _ = receiving.communicate(timeout=120)
    assert receiving.returncode == 0
    return output.split()[-1]


def test_a_row_follows_its_commit_at_once(site: Site) -> None:
    cluster(site.start("workers"))

    output, _ = site.receive(40, pause=0.05, wait=True).communicate(timeout=120)

    seconds = [float(line) for line in output.split()[:-1]]
    # Far above what it takes, far below what polling would take.
    assert median(seconds) < 0.3


def test_lost_notifications_cost_two_seconds_at_most(site: Site) -> None:
    cluster(site.start("workers"))
    site.receive(1).communicate()
    wait_until(site.is_level)

    output, _ = site.receive(3, pause=0.3, notify=False, wait=True).communicate(timeout=120)

    assert max(float(line) for line in output.split()[:-1]) < 2.0


def test_every_event_is_projected_once_whoever_is_killed(site: Site) -> None:
    """Sentinel, workers, monitor and pusher, idle and busy, again and again."""
    supervisor = site.start("workers")
    before = cluster(supervisor)
    receiving = site.receive(400, pause=0.02)

    dice = random.Random(7)
    for number in range(10):
        # Each kind at least twice.
        victim = cluster(supervisor)[number % 5]
        victim.kill()
        wait_until(lambda gone=victim: not gone.is_running() or gone.status() == "zombie")
        time.sleep(dice.uniform(0, 0.4))

    product = product_of(receiving)
    wait_until(site.is_level, missing=f"not all was projected: {site.log()}")
    assert site.on_hand(product) == (400, 401)
    assert not any(process.is_running() for process in before)


def test_nothing_outlives_the_supervisor(site: Site) -> None:
    supervisor = site.start("workers")
    processes = cluster(supervisor)

    supervisor.kill()

    wait_until(lambda: not any(process.is_running() for process in processes), seconds=5)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to(site: Site, signum: signal.Signals) -> None:
    supervisor = site.start("workers")
    processes = cluster(supervisor)
    receiving = site.receive(50)

    os.kill(supervisor.pid, signum)

    wait_until(lambda: site.ended(supervisor), seconds=5)
    assert not any(process.is_running() for process in processes)
    assert "Traceback" not in site.log()
    product_of(receiving)


def test_it_goes_on_after_its_connections_were_cut(site: Site) -> None:
    supervisor = site.start("workers")
    before = cluster(supervisor)
    receiving = site.receive(100, pause=0.02)
    product_of(receiving)

    site.cut_connections()
    product = product_of(site.receive(20))

    wait_until(site.is_level)
    assert site.on_hand(product) == (20, 21)
    # The same processes: an outage is no reason to begin anew.
    assert cluster(supervisor) == before


def test_it_starts_and_stops_without_a_database(site: Site) -> None:
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    supervisor = site.start("workers", DATABASE_URL=nobody, READ_DATABASE_URL=nobody)
    processes = cluster(supervisor)
    wait_until(lambda: "Waiting for a database" in site.log())

    supervisor.terminate()

    wait_until(lambda: site.ended(supervisor), seconds=5)
    assert not any(process.is_running() for process in processes)
    assert site.log().count("Waiting for a database") == 1


@pytest.mark.parametrize(
    "broker", ["django_q.brokers.orm.ORM", "ordering_read.engine.broker.ProjectionBroker"]
)
def test_the_stock_cluster_does_too(site: Site, broker: str) -> None:
    site.start("qcluster", QUEUE_BROKER=broker)

    product = product_of(site.receive(30, pause=0.02, QUEUE_BROKER=broker))

    wait_until(site.is_level, missing=f"not all was projected: {site.log()}")
    assert site.on_hand(product) == (30, 31)
