"""A relay, once declared, has a lease, runs, parking, a status, metrics and an alarm."""

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

    class RelayCheckpoint(Checkpoint):
        name = models.CharField(max_length=20, unique=True)
        objects: models.Manager[Any] = models.Manager()

        class Meta:
            app_label = "ordering_write"
            db_table = "relay_checkpoint"

        def __str__(self) -> str:
            return f"the relay {self.name}"

    class RelayParkedEvent(ParkedEvent):
        checkpoint = models.ForeignKey(
            RelayCheckpoint, on_delete=models.CASCADE, related_name="parked_events"
        )

        class Meta:
            app_label = "ordering_write"
            db_table = "relay_parked_event"
            ordering = ["id"]


class Killed(BaseException):
    """Stands for the end of the process: no code of the runner runs after it."""


class Relays(Subscription):
    """Sends events of orders to one address, here a list; ``errors`` are raised instead."""

    name = "relays"
    noun = "relay"
    checkpoint_model = RelayCheckpoint
    parked_event_model = RelayParkedEvent
    metric_prefix = "orders_relay"
    metric_label = "relay"
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

    def checkpoint(self) -> RelayCheckpoint:
        return RelayCheckpoint.objects.get()


@pytest.fixture
def relays(monkeypatch: pytest.MonkeyPatch) -> Relays:
    kit.registered_product()
    with connection.schema_editor() as editor:
        editor.create_model(RelayCheckpoint)
        editor.create_model(RelayParkedEvent)
    relays = Relays()
    monkeypatch.setitem(registry._subscriptions, relays.name, relays)
    subscriptions.ensure_checkpoints()
    return relays


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


def test_a_new_checkpoint_stands_at_the_head(relays: Relays) -> None:
    assert relays.checkpoint().position == log.head() == 2
    subscriptions.ensure_checkpoints()
    assert RelayCheckpoint.objects.count() == 1


def test_the_broker_hands_out_a_subscription_once_and_a_worker_runs_it(
    relays: Relays, broker: ProjectionBroker
) -> None:
    order = new_order()

    arguments = [SignedPackage.loads(task)["args"] for _id, task in broker.dequeue() or []]

    assert ("relays", "billing") in arguments
    assert not relays.lease().behind
    tasks.run("relays", "billing")
    assert [event.recorded.stream for event in relays.sent] == [order.stream] * 2
    assert isinstance(relays.sent[0], OrderCreated)
    assert relays.checkpoint().position == log.head()
    assert not relays.lease().behind


def test_the_task_of_the_orm_broker_runs_a_subscription(relays: Relays) -> None:
    new_order()

    tasks.project_all()

    assert len(relays.sent) == 2


def test_an_event_that_fails_is_parked_listed_and_retried(relays: Relays) -> None:
    failing, other = new_order(), new_order()
    relays.errors[created_event_id(failing)] = ValueError

    tasks.run("relays", "billing")

    assert {event.recorded.stream for event in relays.sent} == {other.stream}
    assert relays.checkpoint().parked_streams == 1
    listed = output_of("parked", "--subscription", "relays", "--name", "billing")
    assert f"the relay billing: OrderCreated {created_event_id(failing)}" in listed
    assert "projection-error: ValueError: no such address" in listed
    assert "1 event behind it" in listed
    for command in ("parked", "retry_parked"):
        assert output_of(command) == (
            "Nothing is parked for the projections.\n"
            "1 stream is parked for the relays: manage.py parked --subscription relays\n"
        )
    with pytest.raises(CommandError, match="for the relays: add --subscription relays"):
        output_of("skip_parked", str(created_event_id(failing)), "--reason", "A test")
    with pytest.raises(CommandError, match="There is no relay 'other'; there are: billing"):
        output_of("parked", "--subscription", "relays", "--name", "other")

    with pytest.raises(CommandError, match="1 stream is still parked"):
        output_of("retry_parked", "--subscription", "relays")
    relays.errors.clear()
    assert output_of("retry_parked", "--subscription", "relays") == (
        f"the relay billing, {failing.stream}: 2 events applied, done\n"
    )
    assert relays.checkpoint().parked_streams == 0


def test_a_failing_batch_takes_back_no_position(relays: Relays) -> None:
    """The checkpoint is in the database of the log, so the batch is rolled back there."""
    relays.errors[created_event_id(new_order())] = ValueError

    tasks.run("relays", "billing")

    assert relays.checkpoint().position == log.last_position() == log.head()


def test_an_event_is_skipped_and_the_events_behind_it_are_applied(relays: Relays) -> None:
    order = new_order()
    relays.errors[created_event_id(order)] = ValueError
    tasks.run("relays", "billing")

    output_of(
        "skip_parked",
        str(created_event_id(order)),
        "--subscription",
        "relays",
        "--reason",
        "Sent by hand",
    )

    [event] = relays.sent
    assert event.recorded.version == 2
    [row] = parked.parked_events(relays)
    assert row.skip_reason == "Sent by hand"
    with pytest.raises(parked.EventSkippedError):
        parked.skip(relays, row, reason="Again", by="robin")


def test_an_event_that_kills_its_runner_is_parked(relays: Relays) -> None:
    order = new_order()
    relays.errors[created_event_id(order)] = Killed

    for suspicion in (CrashSuspicion.NONE, CrashSuspicion.SUSPECTED, CrashSuspicion.CONFIRMED):
        RelayCheckpoint.objects.exclude(leased_until=None).update(
            leased_until=Now() - timedelta(milliseconds=1)
        )
        assert relays.lease().behind == {"billing": 6}
        assert relays.checkpoint().crash_suspicion == suspicion
        with pytest.raises(Killed):
            tasks.run("relays", "billing")
    RelayCheckpoint.objects.update(leased_until=Now() - timedelta(milliseconds=1))
    relays.lease()
    tasks.run("relays", "billing")

    assert parked.blocking_events(relays).get().category == ParkedEvent.Category.CRASH
    assert relays.checkpoint().position == log.head()


def test_the_status_of_a_subscription_is_measured_like_all_others(relays: Relays) -> None:
    new_order()
    [late] = relays.statuses()
    assert (late.name, late.position, late.head, late.lag_events) == ("billing", 2, 8, 6)
    assert late.lag_seconds > 0

    tasks.run("relays", "billing")

    [level] = relays.statuses()
    assert (level.lag_events, level.lag_seconds, level.failed) == (0, 0.0, False)
    RelayCheckpoint.objects.update(
        error="ValueError: no", failed_at=Now() - timedelta(minutes=2), position=99
    )
    [failed] = relays.statuses()
    assert failed.failed
    assert failed.lag_seconds >= 120


def test_metrics_of_a_subscription(relays: Relays) -> None:
    new_order()
    tasks.run("relays", "billing")
    new_order()
    RelayCheckpoint.objects.update(parked_streams=3)

    lines = generate_latest(DatabaseCollector()).decode().splitlines()

    assert 'orders_relay_position{relay="billing"} 8.0' in lines
    assert 'orders_relay_head{relay="billing"} 14.0' in lines
    assert 'orders_relay_lag_events{relay="billing"} 6.0' in lines
    assert 'orders_relay_failed{relay="billing"} 0.0' in lines
    assert 'orders_relay_parked_streams{relay="billing"} 3.0' in lines
    assert 'orders_relay_batch_seconds_count{relay="billing"} 1.0' in lines


def test_the_lateness_of_a_subscription_is_reported_once(
    relays: Relays, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.PROJECTION_LAG_ALERT_SECONDS = 0
    new_order()

    for _ in range(2):
        assert alarm.look()["relays"] == {"billing"}
    assert caplog.text.count("Relay billing is late: 6 events, 0 seconds behind the log") == 1

    tasks.run("relays", "billing")
    for _ in range(2):
        assert alarm.look()["relays"] == set()
    assert caplog.text.count("Relay billing is no longer late.") == 1


def test_the_name_of_a_subscription_is_registered_once(relays: Relays) -> None:
    with pytest.raises(ValueError, match="Two subscriptions are named 'relays'"):
        subscriptions.register(Relays())
