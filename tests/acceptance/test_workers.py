"""The worker processes: killed, stopped, without connections and without notifications."""

import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from statistics import median

import psutil
import pytest
from django.conf import settings
from django_q.conf import Conf

from config.workers import schedule
from ordering_write.signals import events_committed
from tests.acceptance.service import wait_until
from tests.acceptance.site import Site, cluster, has_ended
from tests.databases import Databases
from tests.patience import PATIENCE_SECONDS, on_this_machine
from tests.proof import size


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Site]:
    databases = Databases("write", "read", like=migrated)
    site = Site(tmp_path_factory.mktemp("workers"), *databases.urls)
    yield site
    site.stop()
    databases.drop()


@pytest.fixture
def supervisor(site: Site) -> psutil.Process:
    """Return the supervisor of running workers, those of the test before if they still run."""
    [node] = site.nodes(1)
    return node


@pytest.mark.usefixtures("supervisor")
def test_a_row_follows_its_commit_at_once(site: Site) -> None:
    receipts = site.receive_timed(20, pause=0.05, wait=True)

    # Far above the time of a notification, far below that of polling.
    assert median(receipts.seconds) < on_this_machine(0.3)


@pytest.mark.usefixtures("supervisor")
def test_a_lost_notification_costs_a_second_at_most(site: Site) -> None:
    site.receive(1)
    wait_until(site.is_level)

    receipts = site.receive_timed(7, pause=0.3, notify=False, wait=True)

    # Other processes of this machine may delay some of them.
    assert median(receipts.seconds) < on_this_machine(1.0)
    assert max(receipts.seconds) < on_this_machine(2.0)


@pytest.mark.proof
def test_every_event_is_projected_once_while_processes_are_killed(
    site: Site, supervisor: psutil.Process
) -> None:
    """Kill the sentinel, workers, monitor and pusher, idle and busy."""
    before = cluster(supervisor)
    kills = size(5, full=10)
    times = kills * 40
    receiving = site.receiving(times, pause=0.02)

    dice = random.Random(7)
    for number in range(kills):
        # Each process once at least.
        victim = cluster(supervisor)[number % 5]
        victim.kill()
        wait_until(partial(has_ended, victim))
        time.sleep(dice.uniform(0, 0.4))

    product = receiving.result(2 * PATIENCE_SECONDS)
    wait_until(site.is_level, missing=f"not all was projected: {site.log(supervisor)}")
    assert site.on_hand(product) == (times, times + 1)
    assert not any(process.is_running() for process in before)


def test_no_process_outlives_the_supervisor(site: Site, supervisor: psutil.Process) -> None:
    processes = cluster(supervisor)

    supervisor.kill()

    wait_until(
        lambda: not any(process.is_running() for process in processes), seconds=on_this_machine(5)
    )


def test_the_workers_stop_on_a_signal(site: Site, supervisor: psutil.Process) -> None:
    processes = cluster(supervisor)
    receiving = site.receiving(50)
    former_log = site.log(supervisor)

    supervisor.terminate()

    wait_until(lambda: site.ended(supervisor), seconds=on_this_machine(5))
    assert not any(process.is_running() for process in processes)
    assert "Traceback" not in site.log(supervisor).removeprefix(former_log)
    receiving.result(PATIENCE_SECONDS)


def test_the_workers_go_on_after_their_connections_were_cut(
    site: Site, supervisor: psutil.Process
) -> None:
    before = cluster(supervisor)
    site.receive(100, pause=0.02)

    site.cut_connections()
    product = site.receive(20)

    wait_until(site.is_level)
    assert site.on_hand(product) == (20, 21)
    # The same processes: an outage needs no restart.
    assert cluster(supervisor) == before


def test_the_workers_start_and_stop_without_a_database(site: Site) -> None:
    nobody = "postgresql://nobody@127.0.0.1:1/none"
    supervisor = site.start("workers", DATABASE_URL=nobody, READ_DATABASE_URL=nobody)
    processes = cluster(supervisor)
    wait_until(lambda: "Waiting for a database" in site.log(supervisor))

    # The other signal that stops workers.
    supervisor.send_signal(signal.SIGINT)

    wait_until(lambda: site.ended(supervisor), seconds=on_this_machine(5))
    assert not any(process.is_running() for process in processes)
    assert site.log(supervisor).count("Waiting for a database") == 1


@pytest.fixture(params=["django_q.brokers.orm.ORM", "config.workers.broker.ProjectionBroker"])
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let this process enqueue tasks as QUEUE_BROKER says."""
    name: str = request.param
    monkeypatch.setitem(settings.Q_CLUSTER, "broker_class", name)
    monkeypatch.setattr(Conf, "BROKER_CLASS", name)
    schedule.connect()
    yield name
    events_committed.disconnect(dispatch_uid="tasks.enqueue_wake_up")


def test_the_stock_cluster_projects_every_event_too(site: Site, broker: str) -> None:
    # No other workers.
    site.stop()
    stock_cluster = site.start("qcluster", QUEUE_BROKER=broker)

    product = site.receive(30, pause=0.02)

    wait_until(site.is_level, missing=f"not all was projected: {site.log(stock_cluster)}")
    assert site.on_hand(product) == (30, 31)
    site.stop()
