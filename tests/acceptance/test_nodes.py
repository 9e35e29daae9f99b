"""Several worker nodes on the same databases: killed and frozen nodes, restarted databases, and
projections that never end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from config.databases import programs
from config.databases.embedded import EmbeddedServer
from tests.acceptance.service import ROOT, wait_until
from tests.acceptance.site import Site, cluster, has_ended, product_of
from tests.databases import Databases
from tests.own_server import new_data_dir
from tests.patience import on_this_machine
from tests.proof import size

pytestmark = pytest.mark.proof

# Delays each batch of the stock list by the seconds in `pace`.
PACED = """
CREATE TABLE pace (seconds float);
INSERT INTO pace VALUES (0);
CREATE FUNCTION keep_pace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(seconds) FROM pace WHERE seconds > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER pace AFTER INSERT OR UPDATE ON inventory_level
    FOR EACH STATEMENT EXECUTE FUNCTION keep_pace();
"""

# Receives stock, and repeats each command until it succeeds; prints the product.
PERSISTENT = """
import time
from uuid import UUID
from django.db import DatabaseError, InterfaceError, connections
from uuid_utils.compat import uuid7
from ordering_write.client import ReceiveStock, RegisterStockItem
from ordering_write.bus import get_command_bus
def dispatch(command):
    while True:
        try:
            return get_command_bus().dispatch(command)
        except (DatabaseError, InterfaceError):
            connections.close_all()
            time.sleep(0.05)
[registered, *_] = dispatch(
    RegisterStockItem(user_id=UUID(int=1), sku=uuid7().hex, name="Sample", on_hand=0)
)
product = registered.product_id
for _ in range({times}):
    dispatch(ReceiveStock(user_id=UUID(int=1), product_id=product, quantity=1))
    time.sleep(0.02)
print(product)
"""


@pytest.fixture(scope="module")
def paced_site(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Site]:
    databases = Databases("write", "read", like=migrated)
    site = Site(tmp_path_factory.mktemp("nodes"), *databases.urls)
    site.read_all(PACED)
    yield site
    databases.drop()


@pytest.fixture
def site(paced_site: Site) -> Iterator[Site]:
    yield paced_site
    paced_site.stop()
    paced_site.read_all("UPDATE pace SET seconds = 0")


def set_pace(site: Site, seconds: float) -> None:
    site.read_all(f"UPDATE pace SET seconds = {seconds}")


def busy_worker(site: Site, nodes: list[psutil.Process]) -> tuple[psutil.Process, psutil.Process]:
    """Return the node, and its process, that is in the middle of a batch of the stock list."""

    def find() -> tuple[psutil.Process, psutil.Process] | None:
        ports = site.read("SELECT client_port FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        for node in nodes:
            for process in node.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    connections = process.net_connections()
                    own = {socket.laddr.port for socket in connections if socket.laddr}
                    if any(port in own for (port,) in ports):
                        return node, process
        return None

    return wait_until(find, missing="no worker updates the stock list")


def two_nodes(site: Site) -> list[psutil.Process]:
    nodes = [site.start("workers"), site.start("workers")]
    for node in nodes:
        cluster(node)
    return nodes


def assert_each_event_counted_once(site: Site, product: str, times: int) -> None:
    assert site.on_hand(product) == (times, times + 1)
    [(moved, entries)] = site.read(
        "SELECT sum(delta), count(*) FROM stock_ledger JOIN projection"
        " ON projection.id = projection_id WHERE product_id = %s AND status = 'live'",
        product,
    )
    assert (moved, entries) == (times, times)


def test_two_nodes_count_each_event_once_while_processes_are_killed(site: Site) -> None:
    """Each projection runs on one of them at a time: two at once would count events twice."""
    kills = size(4, full=1_000)
    nodes = two_nodes(site)
    times = kills * 25
    receiving = site.receive(times, pause=0.01)
    dice = random.Random(5)
    for number in range(kills):
        # Any process of either node, idle or busy. Nothing restarts a supervisor but this test.
        node = nodes[number % 2]
        victim = dice.choice([node, *node.children(recursive=True)])
        victim.kill()
        if victim == node:
            nodes[number % 2] = site.start("workers")
        time.sleep(dice.uniform(0, 0.5))

    product = product_of(receiving, seconds=60 + times)

    wait_until(site.is_level, missing=f"not all was projected: {site.log()}")
    assert_each_event_counted_once(site, product, times)


def test_a_projection_moves_to_the_other_node_when_its_node_is_killed(site: Site) -> None:
    nodes = two_nodes(site)
    set_pace(site, 30)
    product = product_of(site.receive(1))
    node, _process = busy_worker(site, nodes)

    os.killpg(node.pid, signal.SIGKILL)
    set_pace(site, 0)

    wait_until(site.is_level, seconds=on_this_machine(5))
    assert_each_event_counted_once(site, product, 1)


def test_a_projection_moves_to_the_other_node_when_its_node_freezes(site: Site) -> None:
    """A node that freezes in mid-batch, like a machine without a network, does no harm later."""
    nodes = two_nodes(site)
    set_pace(site, 2)
    receiving = site.receive(1)
    node, _process = busy_worker(site, nodes)

    os.killpg(node.pid, signal.SIGSTOP)
    set_pace(site, 0)
    try:
        product = product_of(receiving)
        # Its statement ends, and the database ends its transaction after 10 idle seconds.
        wait_until(site.is_level, seconds=on_this_machine(15))
    finally:
        os.killpg(node.pid, signal.SIGCONT)

    later = product_of(site.receive(20, pause=0.05))
    wait_until(site.is_level)
    assert_each_event_counted_once(site, product, 1)
    assert_each_event_counted_once(site, later, 20)


# The frozen one takes 4 seconds longer: left to `make proof`.
@pytest.mark.parametrize("frozen", [False, True][: size(1, full=2)], ids="frozen={}".format)
def test_a_projection_that_never_ends_is_killed(site: Site, frozen: bool) -> None:
    supervisor = site.start("workers", PROJECTION_TIMEOUT_SECONDS="2")
    cluster(supervisor)
    # A worker that an earlier test has killed counts as lost until something was applied.
    product_of(site.receive(1))
    wait_until(site.is_level, missing=site.log())
    set_pace(site, 50)
    product = product_of(site.receive(1))
    _node, process = busy_worker(site, [supervisor])
    if frozen:
        # It can't obey the signal that ends it.
        process.suspend()

    # Its other projections go on once it is killed.
    wait_until(lambda: has_ended(process), seconds=on_this_machine(10))
    set_pace(site, 0)

    wait_until(site.is_level, seconds=on_this_machine(10), missing=site.log())
    assert_each_event_counted_once(site, product, 1)
    assert not site.ended(supervisor)


# --- Databases that restart --------------------------------------------------------------------
@pytest.fixture(scope="module")
def folders() -> Iterator[list[Path]]:
    """Yield the DATA_DIR of a server for the write side and of one for the read side."""
    with ExitStack() as stack:
        folders = [stack.enter_context(new_data_dir()) for _ in range(2)]
        for folder in folders:
            EmbeddedServer(folder).start()
        yield folders


@pytest.fixture(scope="module")
def apart(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    write, read = (EmbeddedServer(folder) for folder in folders)
    site = Site(
        tmp_path_factory.mktemp("apart"), write.url("orders_write"), read.url("orders_read")
    )
    site.manage("migrate", "-v", "0")
    site.start("workers")
    yield site
    site.stop()


@pytest.mark.parametrize("which", [0, 1], ids=["write", "read"])
def test_a_database_that_crashes_loses_nothing(
    apart: Site, folders: list[Path], which: int
) -> None:
    times = 150
    receiving = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", PERSISTENT.format(times=times)],
        env=apart.environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    home = (folders[which] / "postgres").resolve()
    for _ in range(size(1, full=10)):
        time.sleep(1)
        restart = ("restart", "-w", "-m", "immediate", "-D", str(home / "data"))
        programs.run("pg_ctl", *restart, home=home)
    back_at = time.monotonic()

    product = product_of(receiving)

    patience = on_this_machine(10)
    wait_until(apart.is_level, seconds=max(patience, back_at + patience - time.monotonic()))
    assert_each_event_counted_once(apart, product, times)
