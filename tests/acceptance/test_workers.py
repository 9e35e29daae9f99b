"""The worker processes: killed, stopped, without connections and without notifications."""

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from statistics import median

import pytest

from tests.acceptance.service import wait_until
from tests.acceptance.site import Site, cluster, has_ended, product_of
from tests.databases import Databases
from tests.patience import PATIENCE_SECONDS, on_this_machine


@pytest.fixture(scope="module")
def empty_site(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Site]:
    databases = Databases("write", "read", like=migrated)
    yield Site(tmp_path_factory.mktemp("workers"), *databases.urls)
    databases.drop()


@pytest.fixture
def site(empty_site: Site) -> Iterator[Site]:
    yield empty_site
    empty_site.stop()


def test_a_row_follows_its_commit_at_once(site: Site) -> None:
    cluster(site.start("workers"))

    output, _ = site.receive(40, pause=0.05, wait=True).communicate(timeout=2 * PATIENCE_SECONDS)

    seconds = [float(line) for line in output.split()[:-1]]
    # Far above the time of a notification, far below that of polling.
    assert median(seconds) < on_this_machine(0.3)


def test_a_lost_notification_costs_a_second_at_most(site: Site) -> None:
    cluster(site.start("workers"))
    site.receive(1).communicate()
    wait_until(site.is_level)

    output, _ = site.receive(7, pause=0.3, notify=False, wait=True).communicate(
        timeout=2 * PATIENCE_SECONDS
    )

    seconds = [float(line) for line in output.split()[:-1]]
    # Other processes of this machine may delay some of them.
    assert median(seconds) < on_this_machine(1.0)
    assert max(seconds) < on_this_machine(2.0)


def test_every_event_is_projected_once_while_processes_are_killed(site: Site) -> None:
    """Kill the sentinel, workers, monitor and pusher, idle and busy, several times."""
    supervisor = site.start("workers")
    before = cluster(supervisor)
    receiving = site.receive(400, pause=0.02)

    dice = random.Random(7)
    for number in range(10):
        # Each process at least twice.
        victim = cluster(supervisor)[number % 5]
        victim.kill()
        wait_until(partial(has_ended, victim))
        time.sleep(dice.uniform(0, 0.4))

    product = product_of(receiving)
    wait_until(site.is_level, missing=f"not all was projected: {site.log()}")
    assert site.on_hand(product) == (400, 401)
    assert not any(process.is_running() for process in before)


def test_no_process_outlives_the_supervisor(site: Site) -> None:
    supervisor = site.start("workers")
    processes = cluster(supervisor)

    supervisor.kill()

    wait_until(
        lambda: not any(process.is_running() for process in processes), seconds=on_this_machine(5)
    )


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_workers_stop_on_a_signal(site: Site, signum: signal.Signals) -> None:
    supervisor = site.start("workers")
    processes = cluster(supervisor)
    receiving = site.receive(50)

    os.kill(supervisor.pid, signum)

    wait_until(lambda: site.ended(supervisor), seconds=on_this_machine(5))
    assert not any(process.is_running() for process in processes)
    assert "Traceback" not in site.log()
    product_of(receiving)


def test_the_workers_go_on_after_their_connections_were_cut(site: Site) -> None:
    supervisor = site.start("workers")
    before = cluster(supervisor)
    receiving = site.receive(100, pause=0.02)
    product_of(receiving)

    site.cut_connections()
    product = product_of(site.receive(20))

    wait_until(site.is_level)
    assert site.on_hand(product) == (20, 21)
    # The same processes: an outage needs no restart.
    assert cluster(supervisor) == before


def test_the_workers_start_and_stop_without_a_database(site: Site) -> None:
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    supervisor = site.start("workers", DATABASE_URL=nobody, READ_DATABASE_URL=nobody)
    processes = cluster(supervisor)
    wait_until(lambda: "Waiting for a database" in site.log())

    supervisor.terminate()

    wait_until(lambda: site.ended(supervisor), seconds=on_this_machine(5))
    assert not any(process.is_running() for process in processes)
    assert site.log().count("Waiting for a database") == 1


@pytest.mark.parametrize(
    "broker", ["django_q.brokers.orm.ORM", "config.workers.broker.ProjectionBroker"]
)
def test_the_stock_cluster_projects_every_event_too(site: Site, broker: str) -> None:
    site.start("qcluster", QUEUE_BROKER=broker)

    product = product_of(site.receive(30, pause=0.02, QUEUE_BROKER=broker))

    wait_until(site.is_level, missing=f"not all was projected: {site.log()}")
    assert site.on_hand(product) == (30, 31)
