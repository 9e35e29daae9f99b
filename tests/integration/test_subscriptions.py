"""A forwarder, once declared, has a lease, runs, parking, a status, metrics and an alarm."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.models.functions import Now
from django.test.utils import isolate_apps
from django_q.signing import SignedPackage
from prometheus_client import generate_latest

from config.metrics import DatabaseCollector
from config.workers import tasks
from config.workers.broker import ProjectionBroker
from ordering_write import log, subscriptions
from ordering_write.domain.events import DomainEvent, OrderCreated, OrderEvent
from ordering_write.models import Order
from ordering_write.subscriptions import Subscriber, Subscription, alarm, parked, registry
from ordering_write.subscriptions.checkpoint import Checkpoint, CrashSuspicion, ParkedEvent
from tests import kit

pytestmark = pytest.mark.usefixtures("db")

with isolate_apps():

    class ForwarderCheckpoint(Checkpoint):
        name = models.CharField(max_length=20, unique=True)
        objects: models.Manager[Any] = models.Manager()

        class Meta:
            app_label = "ordering_write"
            db_table = "forwarder_checkpoint"

        def __str__(self) -> str:
            return f"the forwarder {self.name}"

    class ForwarderParkedEvent(ParkedEvent):
        checkpoint = models.ForeignKey(
            ForwarderCheckpoint, on_delete=models.CASCADE, related_name="parked_events"
        )

        class Meta:
            app_label = "ordering_write"
            db_table = "forwarder_parked_event"
            ordering = ["id"]


class Killed(BaseException):
    """Stands for the end of the process: no code of the runner runs after it."""


class Forwarders(Subscription):
    """Sends events of orders to one address, here a list; ``errors`` are raised instead."""

    name = "forwarders"
    noun = "forwarder"
    checkpoint_model = ForwarderCheckpoint
    parked_event_model = ForwarderParkedEvent
    metric_prefix = "orders_forwarder"
    metric_label = "forwarder"
    starts_at_head = True

    def __init__(self) -> None:
        self.sent: list[DomainEvent] = []
        self.errors: dict[UUID, type[BaseException]] = {}

    def names(self) -> Sequence[str]:
        return ["billing"]

    def subscriber(self, checkpoint: Any) -> Subscriber:
        return Subscriber(
            wants=lambda event: isinstance(event, OrderEvent),
            apply=lambda _checkpoint, events: self._send(events),
            max_parked=10,
            find_skip=lambda _event: None,
        )

    def _send(self, events: Sequence[DomainEvent]) -> None:
        for event in events:
            if error := self.errors.get(event.recorded.event_id):
                raise error("no such address")
        self.sent += events

    def checkpoint(self) -> ForwarderCheckpoint:
        return ForwarderCheckpoint.objects.get()


@pytest.fixture
def forwarders(monkeypatch: pytest.MonkeyPatch) -> Forwarders:
    kit.registered_product()
    with connection.schema_editor() as editor:
        editor.create_model(ForwarderCheckpoint)
        editor.create_model(ForwarderParkedEvent)
    forwarders = Forwarders()
    monkeypatch.setitem(registry._subscriptions, forwarders.name, forwarders)
    subscriptions.ensure_checkpoints()
    return forwarders


@pytest.fixture
def broker() -> Iterator[ProjectionBroker]:
    broker = ProjectionBroker("orders")
    yield broker
    if broker._listener is not None:
        broker._listener.close()


def new_order() -> Order:
    return kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))


def created_event_id(order: Order) -> UUID:
    return log.read_stream(order.stream)[0].recorded.event_id


def output_of(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_a_new_checkpoint_stands_at_the_head(forwarders: Forwarders) -> None:
    assert forwarders.checkpoint().position == log.head() == 2
    subscriptions.ensure_checkpoints()
    assert ForwarderCheckpoint.objects.count() == 1


def test_the_broker_hands_out_a_subscription_once_and_a_worker_runs_it(
    forwarders: Forwarders, broker: ProjectionBroker
) -> None:
    order = new_order()

    arguments = [SignedPackage.loads(task)["args"] for _id, task in broker.dequeue() or []]

    assert ("forwarders", "billing") in arguments
    assert not forwarders.lease().behind
    tasks.run("forwarders", "billing")
    assert [event.recorded.stream for event in forwarders.sent] == [order.stream] * 2
    assert isinstance(forwarders.sent[0], OrderCreated)
    assert forwarders.checkpoint().position == log.head()
    assert not forwarders.lease().behind


def test_the_task_of_the_orm_broker_runs_a_subscription(forwarders: Forwarders) -> None:
    new_order()

    tasks.project_all()

    assert len(forwarders.sent) == 2


def test_an_event_that_fails_is_parked_listed_and_retried(forwarders: Forwarders) -> None:
    failing, other = new_order(), new_order()
    forwarders.errors[created_event_id(failing)] = ValueError

    tasks.run("forwarders", "billing")

    assert {event.recorded.stream for event in forwarders.sent} == {other.stream}
    assert forwarders.checkpoint().parked_streams == 1
    listed = output_of("parked", "--subscription", "forwarders", "--name", "billing")
    assert f"the forwarder billing: OrderCreated {created_event_id(failing)}" in listed
    assert "projection-error: ValueError: no such address" in listed
    assert "1 event behind it" in listed
    for command in ("parked", "retry_parked"):
        assert output_of(command) == (
            "Nothing is parked for the projections.\n"
            "1 stream is parked for the forwarders: manage.py parked --subscription forwarders\n"
        )
    with pytest.raises(CommandError, match="for the forwarders: add --subscription forwarders"):
        output_of("skip_parked", str(created_event_id(failing)), "--reason", "A test")
    with pytest.raises(CommandError, match="There is no forwarder 'other'; there are: billing"):
        output_of("parked", "--subscription", "forwarders", "--name", "other")

    with pytest.raises(CommandError, match="1 stream is still parked"):
        output_of("retry_parked", "--subscription", "forwarders")
    forwarders.errors.clear()
    assert output_of("retry_parked", "--subscription", "forwarders") == (
        f"the forwarder billing, {failing.stream}: 2 events applied, done\n"
    )
    assert forwarders.checkpoint().parked_streams == 0


def test_a_failing_batch_takes_back_no_position(forwarders: Forwarders) -> None:
    """The checkpoint is in the database of the log, so the batch is rolled back there."""
    forwarders.errors[created_event_id(new_order())] = ValueError

    tasks.run("forwarders", "billing")

    assert forwarders.checkpoint().position == log.last_position() == log.head()


def test_an_event_is_skipped_and_the_events_behind_it_are_applied(forwarders: Forwarders) -> None:
    order = new_order()
    forwarders.errors[created_event_id(order)] = ValueError
    tasks.run("forwarders", "billing")

    output_of(
        "skip_parked",
        str(created_event_id(order)),
        "--subscription",
        "forwarders",
        "--reason",
        "Sent by hand",
    )

    [event] = forwarders.sent
    assert event.recorded.version == 2
    [row] = parked.parked_events(forwarders)
    assert row.skip_reason == "Sent by hand"
    with pytest.raises(parked.EventSkippedError):
        parked.skip(forwarders, row, reason="Again", by="robin")


def test_an_event_that_kills_its_runner_is_parked(forwarders: Forwarders) -> None:
    order = new_order()
    forwarders.errors[created_event_id(order)] = Killed

    for suspicion in (CrashSuspicion.NONE, CrashSuspicion.SUSPECTED, CrashSuspicion.CONFIRMED):
        ForwarderCheckpoint.objects.exclude(leased_until=None).update(
            leased_until=Now() - timedelta(milliseconds=1)
        )
        assert forwarders.lease().behind == {"billing": 6}
        assert forwarders.checkpoint().crash_suspicion == suspicion
        with pytest.raises(Killed):
            tasks.run("forwarders", "billing")
    ForwarderCheckpoint.objects.update(leased_until=Now() - timedelta(milliseconds=1))
    forwarders.lease()
    tasks.run("forwarders", "billing")

    assert parked.blocking_events(forwarders).get().category == ParkedEvent.Category.CRASH
    assert forwarders.checkpoint().position == log.head()


def test_the_status_of_a_subscription_is_measured_like_all_others(forwarders: Forwarders) -> None:
    new_order()
    [late] = forwarders.statuses()
    assert (late.name, late.position, late.head, late.lag_events) == ("billing", 2, 8, 6)
    assert late.lag_seconds > 0

    tasks.run("forwarders", "billing")

    [level] = forwarders.statuses()
    assert (level.lag_events, level.lag_seconds, level.failed) == (0, 0.0, False)
    ForwarderCheckpoint.objects.update(
        error="ValueError: no", failed_at=Now() - timedelta(minutes=2), position=99
    )
    [failed] = forwarders.statuses()
    assert failed.failed
    assert failed.lag_seconds >= 120


def test_metrics_of_a_subscription(forwarders: Forwarders) -> None:
    new_order()
    tasks.run("forwarders", "billing")
    new_order()
    ForwarderCheckpoint.objects.update(parked_streams=3)

    lines = generate_latest(DatabaseCollector()).decode().splitlines()

    assert 'orders_forwarder_position{forwarder="billing"} 8.0' in lines
    assert 'orders_forwarder_head{forwarder="billing"} 14.0' in lines
    assert 'orders_forwarder_lag_events{forwarder="billing"} 6.0' in lines
    assert 'orders_forwarder_failed{forwarder="billing"} 0.0' in lines
    assert 'orders_forwarder_parked_streams{forwarder="billing"} 3.0' in lines
    assert 'orders_forwarder_batch_seconds_count{forwarder="billing"} 1.0' in lines


def test_the_lateness_of_a_subscription_is_reported_once(
    forwarders: Forwarders, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    new_order()

    for _ in range(2):
        assert alarm.look()["forwarders"] == {"billing"}
    assert caplog.text.count("Forwarder billing is late: 6 events, 0 seconds behind the log") == 1

    tasks.run("forwarders", "billing")
    for _ in range(2):
        assert alarm.look()["forwarders"] == set()
    assert caplog.text.count("Forwarder billing is no longer late.") == 1


def test_the_name_of_a_subscription_is_registered_once(forwarders: Forwarders) -> None:
    with pytest.raises(ValueError, match="Two subscriptions are named 'forwarders'"):
        subscriptions.register(Forwarders())
