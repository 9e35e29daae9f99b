"""Several worker nodes on the same databases: killed and frozen nodes, restarted databases, and
projections that never end."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from config.databases import programs
from config.databases.embedded import EmbeddedServer
from tests.acceptance.service import wait_until
from tests.acceptance.site import Site, cluster, has_ended
from tests.databases import Databases
from tests.own_server import new_data_dir
from tests.patience import PATIENCE_SECONDS, on_this_machine
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


@pytest.fixture(scope="module")
def paced_site(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Site]:
    databases = Databases("write", "read", like=migrated)
    site = Site(tmp_path_factory.mktemp("nodes"), *databases.urls)
    site.read_all(PACED)
    yield site
    site.stop()
    databases.drop()


@pytest.fixture
def site(paced_site: Site) -> Iterator[Site]:
    """Yield a site without a delay, on which the nodes of the test before may still run."""
    yield paced_site
    set_pace(paced_site, 0)


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
    nodes = site.nodes(2)
    times = kills * 25
    receiving = site.receiving(times, pause=0.01)
    dice = random.Random(5)
    for number in range(kills):
        # Any process of either node, idle or busy. Nothing restarts a supervisor but this test.
        node = nodes[number % 2]
        victim = dice.choice([node, *node.children(recursive=True)])
        victim.kill()
        if victim == node:
            nodes[number % 2] = site.start_node()
        time.sleep(dice.uniform(0, 0.5))

    product = receiving.result(60 + times)

    wait_until(site.is_level, missing="not all was projected")
    assert_each_event_counted_once(site, product, times)


def test_a_projection_moves_to_the_other_node_when_its_node_is_killed(site: Site) -> None:
    nodes = site.nodes(2)
    set_pace(site, 30)
    product = site.receive(1)
    node, _process = busy_worker(site, nodes)

    os.killpg(node.pid, signal.SIGKILL)
    set_pace(site, 0)

    wait_until(site.is_level, seconds=on_this_machine(5))
    assert_each_event_counted_once(site, product, 1)


def test_a_projection_moves_to_the_other_node_when_its_node_freezes(site: Site) -> None:
    """A node that freezes in mid-batch, like a machine without a network, does no harm later."""
    nodes = site.nodes(2)
    set_pace(site, 2)
    receiving = site.receiving(1)
    node, _process = busy_worker(site, nodes)

    os.killpg(node.pid, signal.SIGSTOP)
    set_pace(site, 0)
    try:
        product = receiving.result(PATIENCE_SECONDS)
        # Its statement ends, and the database ends its transaction after 10 idle seconds.
        wait_until(site.is_level, seconds=on_this_machine(15))
    finally:
        os.killpg(node.pid, signal.SIGCONT)

    later = site.receive(20, pause=0.05)
    wait_until(site.is_level)
    assert_each_event_counted_once(site, product, 1)
    assert_each_event_counted_once(site, later, 20)


# The frozen one takes 4 seconds longer: left to `make proof`.
@pytest.mark.parametrize("frozen", [False, True][: size(1, full=2)], ids="frozen={}".format)
def test_a_projection_that_never_ends_is_killed(site: Site, frozen: bool) -> None:
    site.stop()
    supervisor = site.start("workers", PROJECTION_TIMEOUT_SECONDS="2")
    cluster(supervisor)
    # A worker that an earlier test has killed counts as lost until something was applied.
    site.receive(1)
    wait_until(site.is_level, missing=site.log(supervisor))
    set_pace(site, 50)
    product = site.receive(1)
    _node, process = busy_worker(site, [supervisor])
    if frozen:
        # It can't obey the signal that ends it.
        process.suspend()

    # Its other projections go on once it is killed.
    wait_until(lambda: has_ended(process), seconds=on_this_machine(10))
    set_pace(site, 0)

    wait_until(site.is_level, seconds=on_this_machine(10), missing=site.log(supervisor))
    assert_each_event_counted_once(site, product, 1)
    assert not site.ended(supervisor)
    site.stop()


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
def apart(
    folders: list[Path], tmp_path_factory: pytest.TempPathFactory, migrated: list[str]
) -> Iterator[Site]:
    write, read = (EmbeddedServer(folder) for folder in folders)
    urls = [write.url("orders_write"), read.url("orders_read")]
    copies = Databases("write", "read", like=migrated)
    for source, target in zip(copies.urls, urls, strict=True):
        copy_tables(source, target)
    copies.drop()
    site = Site(tmp_path_factory.mktemp("apart"), *urls)
    site.start_node()
    yield site
    site.stop()


def copy_tables(source: str, target: str) -> None:
    """Copy a database to another server, which takes less time than its migrations."""
    folder = programs.in_wheel()
    dump = [str(folder / "pg_dump"), "--no-privileges", source]
    tables = subprocess.run(dump, stdout=subprocess.PIPE, check=True).stdout
    restore = [str(folder / "psql"), "--quiet", "--set", "ON_ERROR_STOP=1", target]
    subprocess.run(restore, input=tables, stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize("which", [0, 1], ids=["write", "read"])
def test_a_database_that_crashes_loses_nothing(
    apart: Site, folders: list[Path], which: int
) -> None:
    crashes = size(1, full=10)
    times = crashes * 50
    receiving = apart.receiving(times, pause=0.02, persist=True)
    home = (folders[which] / "postgres").resolve()
    for _ in range(crashes):
        # In the middle of the commands.
        time.sleep(0.4)
        restart = ("restart", "-w", "-m", "immediate", "-D", str(home / "data"))
        programs.run("pg_ctl", *restart, home=home)
    back_at = time.monotonic()

    product = receiving.result(2 * PATIENCE_SECONDS)

    patience = on_this_machine(10)
    wait_until(apart.is_level, seconds=max(patience, back_at + patience - time.monotonic()))
    assert_each_event_counted_once(apart, product, times)
