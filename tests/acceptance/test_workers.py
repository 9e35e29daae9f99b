"""The worker processes: killed, stopped, cut off from the database and from notifications."""

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from statistics import median

import psutil
import pytest

from tests.acceptance.service import wait_until
from tests.acceptance.site import Site, cluster, product_of
from tests.databases import Databases


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

    output, _ = site.receive(40, pause=0.05, wait=True).communicate(timeout=120)

    seconds = [float(line) for line in output.split()[:-1]]
    # Far above what it takes, far below what polling would take.
    assert median(seconds) < 0.3


def test_a_lost_notification_costs_a_second_at_most(site: Site) -> None:
    cluster(site.start("workers"))
    site.receive(1).communicate()
    wait_until(site.is_level)

    output, _ = site.receive(7, pause=0.3, notify=False, wait=True).communicate(timeout=120)

    seconds = [float(line) for line in output.split()[:-1]]
    # Who else is at work on this machine may delay one or the other.
    assert median(seconds) < 1.0
    assert max(seconds) < 2.0


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


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
        wait_until(partial(has_ended, victim))
        time.sleep(dice.uniform(0, 0.4))

    product = product_of(receiving)
    wait_until(site.is_level, seconds=60, missing=f"not all was projected: {site.log()}")
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
    "broker", ["django_q.brokers.orm.ORM", "config.workers.broker.ProjectionBroker"]
)
def test_the_stock_cluster_does_too(site: Site, broker: str) -> None:
    site.start("qcluster", QUEUE_BROKER=broker)

    product = product_of(site.receive(30, pause=0.02, QUEUE_BROKER=broker))

    wait_until(site.is_level, seconds=60, missing=f"not all was projected: {site.log()}")
    assert site.on_hand(product) == (30, 31)
