"""The broker, and the tasks it hands out; the ORM broker's wake-ups."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pydoc import locate
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import DatabaseError, connections
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from config.workers import schedule, tasks
from config.workers.broker import Handout, ProjectionBroker
from ordering_read.engine import live, status
from ordering_read.models import OrderSummary
from ordering_read.projector import registered
from ordering_write import log
from ordering_write.log import outbox
from ordering_write.models import CommandRecord
from ordering_write.signals import events_committed
from tests import kit
from tests.patience import on_this_machine

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "read"])


@pytest.fixture
def broker(settings: Any) -> Iterator[ProjectionBroker]:
    broker = ProjectionBroker("orders")
    yield broker
    if broker._listener is not None:
        broker._listener.close()
    OrmQ.objects.all().delete()


def task_of(handout: Handout) -> dict[str, Any]:
    task: dict[str, Any] = SignedPackage.loads(handout[1])
    return task


def names(handouts: list[Handout] | None) -> set[str]:
    """The projections in these tasks."""
    return {name for handout in to_project(handouts) for name in task_of(handout)["args"][1:]}


def to_project(handouts: list[Handout] | None) -> list[Handout]:
    """The tasks for projections: the policies are a task of their own."""
    return [task for task in handouts or [] if task_of(task)["args"][:1] == ("projections",)]


def test_the_broker_hands_out_late_subscribers_without_a_row_in_the_queue(
    broker: ProjectionBroker,
) -> None:
    kit.registered_product()

    handouts = broker.dequeue() or []

    assert names(handouts) == set(registered())
    assert {task_of(handout)["func"] for handout in handouts} == {"config.workers.tasks.run"}
    assert [task_of(handout)["args"][0] for handout in handouts] == ["projections", "policies"]
    assert not any(task_of(handout)["save"] for handout in handouts)
    # These tasks need no acknowledgement: the checkpoint records their progress.
    assert {handout[0] for handout in handouts} == {None}
    assert not OrmQ.objects.exists()


def test_late_projections_are_one_task(
    broker: ProjectionBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conf, "WORKERS", 2)
    kit.registered_product()

    [task] = to_project(broker.dequeue())

    assert names([task]) == set(registered())


@pytest.fixture
def far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count two events as far behind, and run two workers."""
    monkeypatch.setattr(Conf, "WORKERS", 2)
    monkeypatch.setattr("config.workers.broker._FAR_BEHIND", 2)


@pytest.mark.usefixtures("far_behind")
def test_projections_far_behind_are_one_task_for_each_worker(broker: ProjectionBroker) -> None:
    kit.registered_product()

    first, second = to_project(broker.dequeue())

    assert names([first]) | names([second]) == set(registered())
    half = len(registered()) / 2
    assert {len(names([first])), len(names([second]))} == {math.floor(half), math.ceil(half)}


@pytest.mark.usefixtures("far_behind")
def test_half_of_the_projections_far_behind_are_one_task(broker: ProjectionBroker) -> None:
    kit.registered_product()
    behind = list(registered())[: math.ceil(len(registered()) / 2)]
    live.run(*registered().keys() - set(behind))

    [task] = to_project(broker.dequeue())

    assert names([task]) == set(behind)


def test_a_commit_wakes_the_broker(broker: ProjectionBroker, settings: Any) -> None:
    settings.PROJECTION_POLL_SECONDS = 20
    broker._listening()

    def commit() -> None:
        kit.registered_product()
        connections.close_all()

    later = threading.Timer(0.2, commit)
    later.start()
    began = time.monotonic()

    assert not broker.dequeue()

    assert time.monotonic() - began < on_this_machine(10)
    later.join()
    assert names(broker.dequeue()) == set(registered())


def test_a_listening_runner_wakes_the_broker_when_it_releases_its_checkpoints(
    broker: ProjectionBroker, settings: Any
) -> None:
    kit.registered_product()
    assert names(broker.dequeue()) == set(registered())
    settings.PROJECTION_POLL_SECONDS = 20
    heard: list[str] = []

    def work() -> None:
        time.sleep(0.1)
        kit.registered_product()
        heard.append("an event")
        live.run(*registered())
        connections.close_all()

    runner = threading.Timer(0.0, work)
    runner.start()

    assert not broker.dequeue()

    assert heard == ["an event"]
    runner.join()


def test_the_broker_polls_without_a_notification(
    broker: ProjectionBroker, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PROJECTION_POLL_SECONDS = 0.1
    assert not broker.dequeue()
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "notify", lambda: None)
        kit.registered_product()

    assert names(broker.dequeue()) == set(registered())


def test_an_idle_broker_makes_one_statement_for_each_subscription_and_a_heartbeat(
    broker: ProjectionBroker, settings: Any, django_assert_num_queries: Any
) -> None:
    settings.PROJECTION_POLL_SECONDS = 0
    broker.dequeue()

    # The head, the lease of the policies and the webhook endpoints; the lease of the projections.
    with django_assert_num_queries(3, using="default"), django_assert_num_queries(1, using="read"):
        broker.dequeue()
    assert status.workers_seen() == 1


def test_queued_tasks_are_handed_out_once_and_acknowledged(broker: ProjectionBroker) -> None:
    broker.dequeue()
    async_task("time.time", broker=broker)
    # Its notification makes the broker read the queue next time.
    assert not broker.dequeue()

    [handout] = broker.dequeue() or []

    assert task_of(handout)["func"] == "time.time"
    assert not broker._claim()
    broker.acknowledge(handout[0])
    assert not OrmQ.objects.exists()


def test_an_outage_is_logged_once_and_survived(
    broker: ProjectionBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kit.registered_product()

    def away() -> int:
        raise DatabaseError("gone\nfor a while")

    with monkeypatch.context() as outage, caplog.at_level(logging.WARNING):
        outage.setattr(log.PRIMARY, "head", away)
        for _ in range(3):
            assert broker.dequeue() is None

    with caplog.at_level(logging.WARNING):
        assert names(broker.dequeue()) == set(registered())
    assert [line.getMessage() for line in caplog.records] == [
        "Waiting for a database: gone for a while",
        "The databases can be reached again.",
    ]


# --- Tasks -------------------------------------------------------------------------------------
def test_the_task_runs_its_projection() -> None:
    customer, product = kit.registered_customer(), kit.registered_product()
    kit.placed_order(customer, (product, 1))

    tasks.run("projections", "order_view")

    assert OrderSummary.live.count() == 1


def test_the_task_of_the_orm_broker_runs_all_projections() -> None:
    kit.registered_product()

    tasks.project_all()

    positions = {name: position for name, (position, _) in status.checkpoints().items()}
    assert positions == dict.fromkeys(registered(), 2)
    assert status.workers_seen() == 1
    assert not live.PROJECTIONS.lease().behind


@pytest.fixture
def orm_broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ORM]:
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"broker_class": "django_q.brokers.orm.ORM"}
    monkeypatch.setattr(schedule, "get_broker", lambda: ORM("orders"))
    schedule.connect()
    yield ORM("orders")
    events_committed.disconnect(dispatch_uid="tasks.enqueue_wake_up")
    OrmQ.objects.all().delete()


def test_under_the_orm_broker_commits_enqueue_one_wake_up(orm_broker: ORM) -> None:
    for _ in range(3):
        kit.registered_product()
    assert OrmQ.objects.count() == 1

    # A task that was taken may have begun before the commit, so it doesn't count.
    [(key, _payload)] = orm_broker.dequeue()
    kit.registered_product()
    assert OrmQ.objects.count() == 2

    assert OrmQ.objects.get(pk=key).func() == "config.workers.tasks.project_all"
    assert OrmQ.objects.get(pk=key).args() == ()


def test_another_queued_task_is_no_wake_up(orm_broker: ORM) -> None:
    async_task("time.time", broker=orm_broker)

    kit.registered_product()

    assert OrmQ.objects.count() == 2


def test_a_broken_queue_fails_no_command(
    orm_broker: ORM, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise DatabaseError("no such table")

    monkeypatch.setattr(schedule, "get_broker", broken)

    with caplog.at_level(logging.WARNING):
        assert kit.registered_product().pk

    assert "A wake-up can't be enqueued: no such table" in caplog.text


def test_commits_enqueue_nothing_under_our_broker() -> None:
    schedule.connect()

    kit.registered_product()

    assert not OrmQ.objects.exists()


def test_a_wake_up_is_scheduled_each_minute() -> None:
    schedule.keep_schedules(using="default", apps=apps)

    [stored] = Schedule.objects.filter(name="projections")
    assert (stored.func, stored.minutes) == ("config.workers.tasks.project_all", 1)


def test_old_command_records_are_deleted_daily(broker: ProjectionBroker, settings: Any) -> None:
    settings.COMMAND_RECORD_DAYS, settings.PROJECTION_POLL_SECONDS = 0, 0
    for _ in range(2):
        schedule.keep_schedules(using="default", apps=apps)
    kit.registered_product()

    scheduler(broker=broker)
    scheduler(broker=broker)

    stored = Schedule.objects.get(name="prune_commands")
    assert stored.schedule_type == Schedule.DAILY
    assert timedelta(hours=23) < stored.next_run - timezone.now() <= timedelta(days=1)
    # Each call hands out one task, and all scheduled tasks may be due.
    queued = [handout for _ in schedule._SCHEDULES for handout in broker.dequeue() or []]
    [task] = [
        task
        for task in map(task_of, queued)
        if task["func"] == "config.workers.tasks.prune_commands"
    ]
    assert task["save"] is False
    assert CommandRecord.objects.exists()
    locate(task["func"])(*task["args"], **task["kwargs"])  # type: ignore[operator]
    assert not CommandRecord.objects.exists()


def test_the_queue_has_no_admin_pages() -> None:
    for model in apps.get_app_config("django_q").get_models():
        assert not admin.site.is_registered(model)
