"""Projections follow the log: each event once and in order; failures and leases."""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from ordering_read import projector
from ordering_read.engine import live
from ordering_read.models import (
    InventoryLevel,
    OrderSummary,
    Projection,
    ReadModelWrittenError,
    Worker,
)
from ordering_read.projector import Projector, UnknownProjectionError, registered
from ordering_write import published
from ordering_write.client import ReceiveStock
from ordering_write.log import sequencer
from ordering_write.published import DomainEvent
from ordering_write.subscriptions import group
from tests import kit
from tests.parallel import at_once
from tests.patience import on_this_machine


class Recorder(Projector):
    """Writes a unique row for each event, and then calls ``before`` with the batch."""

    name = "recorder"
    version = 1
    events = (DomainEvent,)
    models = ()
    sliced_by = None

    def __init__(self) -> None:
        self.before: Any = lambda batch: None
        self.batches: list[list[int | None]] = []

    def apply(self, batch: Sequence[DomainEvent], projection_id: int) -> None:
        Worker.objects.bulk_create(
            Worker(host=str(event.recorded.event_id), pid=event.recorded.position or 0)
            for event in batch
        )
        self.batches.append([event.recorded.position for event in batch])
        self.before(batch)


pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Register a projection whose rows are those of Worker."""
    recorder = Recorder()
    monkeypatch.setitem(projector._projectors, recorder.name, recorder)
    live.PROJECTIONS.ensure_checkpoints()
    return recorder


def checkpoint(name: str = "recorder") -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def recorded_positions() -> list[int]:
    return list(Worker.objects.order_by("pid").values_list("pid", flat=True))


def test_a_run_applies_all_events_and_moves_the_checkpoint(recorder: Recorder) -> None:
    kit.registered_product()
    kit.registered_product()

    assert live.run("recorder") == 4
    assert live.run("recorder") == 0
    assert recorded_positions() == [1, 2, 3, 4]
    assert checkpoint().position == 4
    assert checkpoint().leased_until is None


def test_rows_that_an_event_creates_are_not_looked_for() -> None:
    names = ("order_view", "fulfilment_queue", "search")
    live.run(*names)
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(on_hand=9), 1))

    with CaptureQueriesContext(connections["read"]) as statements:
        live.run(*names)

    tables = [model._meta.db_table for name in names for model in registered()[name].models]
    reads = [sql for query in statements if (sql := query["sql"].lstrip()).startswith("SELECT")]
    assert not [sql for sql in reads if any(f"FROM {table}" in sql for table in tables)]
    assert OrderSummary.live.get().order_id == order.pk


def test_unwanted_events_only_move_the_checkpoint(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "events", (published.events.OrderEvent,))
    kit.registered_product()

    live.run("recorder")

    assert recorder.batches == []
    assert checkpoint().position == 2


def test_an_unknown_projection_is_refused_with_a_list_of_names(recorder: Recorder) -> None:
    with pytest.raises(UnknownProjectionError, match=r"'nothing'; there are: .*order_view"):
        live.run("nothing")


@pytest.fixture
def no_parking(settings: Any) -> None:
    """Let a failing event stop its projection at once."""
    settings.PROJECTION_MAX_PARKED_STREAMS = 0


@pytest.mark.usefixtures("no_parking")
def test_rows_and_checkpoint_move_together_or_not_at_all(recorder: Recorder) -> None:
    def fail(batch: Sequence[DomainEvent]) -> None:
        raise ValueError("no")

    kit.registered_product()
    recorder.before = fail

    assert live.run("recorder") == 0
    assert recorded_positions() == []
    assert checkpoint().position == 0


@pytest.mark.usefixtures("no_parking")
def test_a_failure_is_recorded_logged_once_and_retried_after_a_pause(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(batch: Sequence[DomainEvent]) -> None:
        raise ValueError("no such colour")

    kit.registered_product()
    recorder.before = fail
    with caplog.at_level(logging.ERROR):
        live.run("recorder")
        failed_at = checkpoint().failed_at
        live.run("recorder")

    assert [line.getMessage() for line in caplog.records] == [
        "recorder, generation 1 can't go on and will be tried again."
    ]
    assert checkpoint().error.startswith("TooManyParkedError: ")
    assert "version 1): ValueError: no such colour. Correct the code" in checkpoint().error
    assert checkpoint().failed_at == failed_at
    # The projection is leased again after its pause, and can go on.
    assert "recorder" not in live.PROJECTIONS.lease().behind
    Projection.objects.filter(name="recorder").update(leased_until=Now() - timedelta(seconds=1))
    assert "recorder" in live.PROJECTIONS.lease().behind
    recorder.before = lambda batch: None
    live.run("recorder")
    assert checkpoint().error == ""
    assert checkpoint().failed_at is None
    assert recorded_positions() == [1, 2]


@pytest.mark.usefixtures("no_parking")
def test_pauses_grow_with_the_duration_of_the_failure(recorder: Recorder) -> None:
    def fail(batch: Sequence[DomainEvent]) -> None:
        raise ValueError("no")

    kit.registered_product()
    recorder.before = fail
    rows = Projection.objects.filter(name="recorder")
    pauses: list[Any] = []
    for failing_for in (0, 10, 3600):
        rows.update(failed_at=Now() - timedelta(seconds=failing_for), leased_until=None)
        live.run("recorder")
        pauses += rows.annotate(now=Now()).values_list("leased_until", "now")

    seconds = [round((until - now).total_seconds()) for until, now in pauses]
    assert seconds == [1, 10, 60]


def test_a_batch_is_retried_after_transient_errors(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    breaks = iter([True, True, False])

    def fail(batch: Sequence[DomainEvent]) -> None:
        if next(breaks):
            raise OperationalError("deadlock detected")

    kit.registered_product()
    recorder.before = fail

    assert live.run("recorder") == 2
    assert recorded_positions() == [1, 2]
    assert caplog.records == []


def test_a_batch_holds_whole_commits(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 1
    for _ in range(3):
        kit.registered_product()

    live.run("recorder")

    assert recorder.batches == [[1, 2], [3, 4], [5, 6]]


def test_an_event_committed_during_the_last_batch_is_applied(recorder: Recorder) -> None:
    """The wake-up of the event found the checkpoint locked, so no other runner would apply it."""
    more = iter([True, True, False])

    def commit_another(batch: Sequence[DomainEvent]) -> None:
        if next(more, False):
            kit.registered_product()

    kit.registered_product()
    recorder.before = commit_another

    assert live.run("recorder") == 6
    assert checkpoint().position == 6


def test_a_turn_ends_between_two_batches(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 2
    for _ in range(3):
        kit.registered_product()

    assert live.run("recorder", seconds=0) == 2
    # The checkpoint was released, so that it can be leased again at once.
    assert "recorder" in live.PROJECTIONS.lease().behind
    assert live.run("recorder") == 4


def test_projections_at_one_position_read_the_log_once(
    recorder: Recorder, django_assert_num_queries: Any
) -> None:
    everybody = projector.registered()
    kit.registered_product()
    live.run(*everybody)
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    published.sequence()
    head = published.head()

    # The fingerprint of the log, sequencing, the events, and the head at the end; planner settings
    # before and afterwards.
    with django_assert_num_queries(4 + 2, using="default"):
        live.run(*everybody)

    assert {checkpoint(name).position for name in everybody} == {head}


def test_projections_at_one_position_move_in_one_transaction(
    recorder: Recorder, django_assert_num_queries: Any
) -> None:
    settled = kit.registered_product()
    live.run(*projector.registered())
    kit.dispatch(ReceiveStock(user_id=kit.USER, product_id=settled.pk, quantity=1))

    # Planner settings before and afterwards; the savepoint and its release, the locked checkpoints,
    # and their move; one to read the stock list, one to write it and its history, and one of the
    # recorder's. One to release the checkpoints.
    with django_assert_num_queries(2 + 4 + 3 + 1, using="read"):
        live.run(*projector.registered())


def test_batches_of_projections_commit_without_waiting_for_the_disk(
    recorder: Recorder,
) -> None:
    def waits() -> str:
        with connections["read"].cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    kit.registered_product()
    assert waits() == "on"

    live.run("recorder")

    # The setting stays until the end of this test's transaction.
    assert waits() == "off"


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_a_listening_runner_applies_new_events(recorder: Recorder) -> None:
    def commit() -> None:
        kit.registered_product()
        connections.close_all()

    kit.registered_product()
    later = threading.Timer(0.3, commit)
    later.start()
    began = time.monotonic()

    live.run("recorder", seconds=0.2, idle_wait=20)

    assert time.monotonic() - began < on_this_machine(10)
    assert recorded_positions() == [1, 2, 3, 4]
    assert checkpoint().leased_until is None
    later.join()


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_a_hanging_sequencer_blocks_no_runner(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "MAX_READS", 3)
    kit.registered_product()
    other = connections["default"].copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [sequencer._SEQUENCER_LOCK])
        assert live.run("recorder") == 0
    other.close()

    assert live.run("recorder") == 2


def test_a_listening_runner_ends_after_its_idle_wait(recorder: Recorder) -> None:
    kit.registered_product()

    live.run("recorder", idle_wait=0.01)

    assert recorded_positions() == [1, 2]
    assert checkpoint().leased_until is None


@pytest.mark.usefixtures("no_parking")
def test_a_failing_projection_delays_no_other(recorder: Recorder) -> None:
    def fail(batch: Sequence[DomainEvent]) -> None:
        raise ValueError("no")

    kit.registered_product()
    recorder.before = fail

    assert live.run("recorder", "inventory_level") == 2
    assert checkpoint("inventory_level").position == 2
    assert checkpoint("recorder").position == 0
    assert "recorder" not in live.PROJECTIONS.lease().behind


def test_projections_at_different_positions_become_level(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 2
    for number in range(4):
        kit.registered_product()
        if number == 1:
            live.run("inventory_level")

    assert live.run("inventory_level", "recorder") == 4 + 8
    assert recorded_positions() == list(range(1, 9))
    assert InventoryLevel.live.count() == 4


def test_the_projection_furthest_behind_comes_first(recorder: Recorder) -> None:
    kit.registered_product()
    live.run("order_view", "status_counter")
    kit.registered_product()

    assert list(live.PROJECTIONS.lease().behind)[-2:] == ["order_view", "status_counter"]


def test_a_checkpoint_is_leased_once(recorder: Recorder) -> None:
    everybody = set(projector.registered())
    assert not live.PROJECTIONS.lease().behind
    kit.registered_product()

    assert set(live.PROJECTIONS.lease().behind) == everybody
    assert not live.PROJECTIONS.lease().behind
    for name in everybody:
        live.run(name)
    assert not live.PROJECTIONS.lease().behind
    kit.registered_product()
    assert set(live.PROJECTIONS.lease().behind) == everybody


def test_an_expired_lease_is_given_again(recorder: Recorder) -> None:
    kit.registered_product()
    live.PROJECTIONS.lease()

    Projection.objects.update(leased_until=Now() - timedelta(milliseconds=1))

    assert "recorder" in live.PROJECTIONS.lease().behind


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_four_concurrent_runners_apply_each_event_once(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 3
    calls = [lambda: live.run("recorder")] * 4 + [kit.registered_product] * 20

    at_once(calls * 2)

    live.run("recorder")
    assert recorded_positions() == list(range(1, 81))
    assert [
        position for batch in sorted(recorder.batches) for position in batch
    ] == recorded_positions()


def test_only_missing_checkpoints_are_created(recorder: Recorder) -> None:
    kit.registered_product()
    live.run("recorder")
    Projection.objects.filter(name="order_view").delete()

    live.PROJECTIONS.ensure_checkpoints()

    assert checkpoint("order_view").position == 0
    assert checkpoint("recorder").position == 2
    assert Projection.objects.count() == len(projector.registered())


def test_only_a_projection_writes_its_read_model(subtests: pytest.Subtests) -> None:
    kit.registered_product()
    live.run("inventory_level")
    row = InventoryLevel.live.get()
    cases: list[Any] = [
        lambda row: row.save(),
        lambda row: row.delete(),
        lambda row: InventoryLevel.objects.create(projection_id=row.projection_id),
        lambda row: InventoryLevel.objects.bulk_create([row]),
        lambda row: InventoryLevel.objects.bulk_update([row], ["on_hand"]),
        lambda row: InventoryLevel.live.update(on_hand=1_000),
        lambda row: InventoryLevel.live.filter(pk=row.pk).delete(),
    ]
    for write in cases:
        with (
            subtests.test(write=write),
            pytest.raises(ReadModelWrittenError, match="command bus"),
        ):
            write(row)
