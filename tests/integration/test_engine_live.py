"""Following the log: every event once, in order, with its checkpoint; failures and leases."""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.models.functions import Now

from ordering_read import projector
from ordering_read.engine import live
from ordering_read.models import InventoryLevel, Projection, ReadModelWrittenError, Worker
from ordering_read.projector import Projector, UnknownProjectionError
from ordering_write import published
from ordering_write.client import ReceiveStock
from ordering_write.log import sequencer
from ordering_write.published import DomainEvent
from ordering_write.subscriptions import group
from tests import kit
from tests.parallel import at_once


class Recorder(Projector):
    """Writes a row for each event, which can't be written twice; does ``before`` it what it is
    told."""

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
    """A projection beside the others; its rows are those of Worker."""
    recorder = Recorder()
    monkeypatch.setitem(projector._projectors, recorder.name, recorder)
    live.PROJECTIONS.ensure_checkpoints()
    return recorder


def checkpoint(name: str = "recorder") -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def recorded() -> list[int]:
    return list(Worker.objects.order_by("pid").values_list("pid", flat=True))


def test_it_applies_what_the_log_has_and_remembers_it(recorder: Recorder) -> None:
    kit.registered_product()
    kit.registered_product()

    assert live.run("recorder") == 4
    assert live.run("recorder") == 0
    assert recorded() == [1, 2, 3, 4]
    assert checkpoint().position == 4
    assert checkpoint().leased_until is None


def test_events_that_nobody_wants_move_the_checkpoint_only(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "events", (published.events.OrderEvent,))
    kit.registered_product()

    live.run("recorder")

    assert recorder.batches == []
    assert checkpoint().position == 2


def test_an_unknown_name_is_refused_with_the_known_ones(recorder: Recorder) -> None:
    with pytest.raises(UnknownProjectionError, match=r"'nothing'; there are: .*order_view"):
        live.run("nothing")


@pytest.fixture
def never_parks(settings: Any) -> None:
    """What fails stops the projection at once."""
    settings.PROJECTION_MAX_PARKED_STREAMS = 0


@pytest.mark.usefixtures("never_parks")
def test_rows_and_checkpoint_move_together_or_not_at_all(recorder: Recorder) -> None:
    def fail(batch: Sequence[DomainEvent]) -> None:
        raise ValueError("no")

    kit.registered_product()
    recorder.before = fail

    assert live.run("recorder") == 0
    assert recorded() == []
    assert checkpoint().position == 0


@pytest.mark.usefixtures("never_parks")
def test_a_failure_is_kept_logged_once_and_tried_again_later(
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
    assert "version 1): ValueError: no such colour. Correct it" in checkpoint().error
    assert checkpoint().failed_at == failed_at
    # Not before its pause is over, and then it is well again.
    assert "recorder" not in live.PROJECTIONS.lease().behind
    Projection.objects.filter(name="recorder").update(leased_until=Now() - timedelta(seconds=1))
    assert "recorder" in live.PROJECTIONS.lease().behind
    recorder.before = lambda batch: None
    live.run("recorder")
    assert checkpoint().error == ""
    assert checkpoint().failed_at is None
    assert recorded() == [1, 2]


@pytest.mark.usefixtures("never_parks")
def test_the_longer_it_fails_the_longer_it_pauses(recorder: Recorder) -> None:
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


def test_what_the_database_breaks_off_is_tried_again(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    breaks = iter([True, True, False])

    def fail(batch: Sequence[DomainEvent]) -> None:
        if next(breaks):
            raise OperationalError("deadlock detected")

    kit.registered_product()
    recorder.before = fail

    assert live.run("recorder") == 2
    assert recorded() == [1, 2]
    assert caplog.records == []


def test_a_batch_holds_whole_commits(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 1
    for _ in range(3):
        kit.registered_product()

    live.run("recorder")

    assert recorder.batches == [[1, 2], [3, 4], [5, 6]]


def test_an_event_that_comes_during_the_last_batch_is_not_left(recorder: Recorder) -> None:
    """Its wake-up found the checkpoint locked, so nobody else would come for it."""
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
    # It has let go, so that the next turn can be given at once.
    assert "recorder" in live.PROJECTIONS.lease().behind
    assert live.run("recorder") == 4


def test_side_by_side_they_read_the_log_once(
    recorder: Recorder, django_assert_num_queries: Any
) -> None:
    everybody = projector.registered()
    kit.registered_product()
    live.run(*everybody)
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    published.sequence()
    head = published.head()

    # The mark of the log, sequencing, the events, and a last look at the head; how to plan, before
    # and afterwards.
    with django_assert_num_queries(4 + 2, using="default"):
        live.run(*everybody)

    assert {checkpoint(name).position for name in everybody} == {head}


def test_side_by_side_they_move_in_one_transaction(
    recorder: Recorder, django_assert_num_queries: Any
) -> None:
    settled = kit.registered_product()
    live.run(*projector.registered())
    kit.dispatch(ReceiveStock(user_id=kit.USER, product_id=settled.pk, quantity=1))

    # How to plan, before and afterwards; the savepoint and its release, the checkpoints with their
    # locks, and their move; one to read the stock list, one to write it and its history, and one of
    # the recorder's. Three to let go.
    with django_assert_num_queries(2 + 4 + 3 + 3, using="read"):
        live.run(*projector.registered())


def test_rows_that_a_crash_would_lose_are_made_again_so_that_nobody_waits_for_the_disk(
    recorder: Recorder,
) -> None:
    def waits() -> str:
        with connections["read"].cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    kit.registered_product()
    assert waits() == "on"

    live.run("recorder")

    # As long as the transaction of this test lasts.
    assert waits() == "off"


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_a_runner_that_stays_hears_of_what_comes(recorder: Recorder) -> None:
    def commit() -> None:
        kit.registered_product()
        connections.close_all()

    kit.registered_product()
    later = threading.Timer(0.3, commit)
    later.start()
    began = time.monotonic()

    live.run("recorder", seconds=0.2, idle_wait=20)

    assert time.monotonic() - began < 10
    assert recorded() == [1, 2, 3, 4]
    assert checkpoint().leased_until is None
    later.join()


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_a_sequencer_that_hangs_keeps_no_runner(
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


def test_a_runner_that_stays_leaves_when_nothing_comes(recorder: Recorder) -> None:
    kit.registered_product()

    live.run("recorder", idle_wait=0.01)

    assert recorded() == [1, 2]
    assert checkpoint().leased_until is None


@pytest.mark.usefixtures("never_parks")
def test_one_that_fails_keeps_nobody_up(recorder: Recorder) -> None:
    def fail(batch: Sequence[DomainEvent]) -> None:
        raise ValueError("no")

    kit.registered_product()
    recorder.before = fail

    assert live.run("recorder", "inventory_level") == 2
    assert checkpoint("inventory_level").position == 2
    assert checkpoint("recorder").position == 0
    assert "recorder" not in live.PROJECTIONS.lease().behind


def test_those_at_different_positions_come_level(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 2
    for number in range(4):
        kit.registered_product()
        if number == 1:
            live.run("inventory_level")

    assert live.run("inventory_level", "recorder") == 4 + 8
    assert recorded() == list(range(1, 9))
    assert InventoryLevel.live.count() == 4


def test_who_is_furthest_behind_comes_first(recorder: Recorder) -> None:
    kit.registered_product()
    live.run("order_view", "status_counter")
    kit.registered_product()

    assert list(live.PROJECTIONS.lease().behind)[-2:] == ["order_view", "status_counter"]


def test_who_is_behind_is_handed_out_once(recorder: Recorder) -> None:
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


def test_a_lease_that_is_over_is_given_again(recorder: Recorder) -> None:
    kit.registered_product()
    live.PROJECTIONS.lease()

    Projection.objects.update(leased_until=Now() - timedelta(milliseconds=1))

    assert "recorder" in live.PROJECTIONS.lease().behind


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_four_runners_at_once_apply_each_event_once(recorder: Recorder, settings: Any) -> None:
    settings.PROJECTION_BATCH = 3
    calls = [lambda: live.run("recorder")] * 4 + [kit.registered_product] * 20

    at_once(calls * 2)

    live.run("recorder")
    assert recorded() == list(range(1, 81))
    assert [position for batch in sorted(recorder.batches) for position in batch] == recorded()


def test_checkpoints_that_are_missing_are_made_and_no_others(recorder: Recorder) -> None:
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
