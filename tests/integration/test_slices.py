"""Slices: one projection, shared out by a hash of the stream over several workers."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django_q.conf import Conf
from prometheus_client import generate_latest

from config.accounts.models import User
from config.metrics import DatabaseCollector
from config.workers.broker import _task_arguments
from ordering_read.engine import gaps, generations, live, slices, status, waiting
from ordering_read.engine.freshness import freshness
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.verify import verify
from ordering_read.models import OrderSummary, ParkedEvent, Projection, Worker
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projector import registered
from ordering_write import log, subscriptions
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.log import LogGapError, Slice
from ordering_write.models import Order
from ordering_write.subscriptions import Share, parked
from ordering_write.subscriptions.checkpoint import CrashSuspicion
from tests import kit

pytestmark = pytest.mark.usefixtures("db")

NAME = "order_view"
COUNT = 4


@pytest.fixture
def cut(settings: Any) -> None:
    """Cut the projections whose rows belong to streams into four slices."""
    settings.PROJECTION_SLICES = COUNT
    assert slices.share_out_all()


def placed_orders(number: int) -> list[Order]:
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    return [kit.placed_order(customer, (product, 1)) for _ in range(number)]


def orders_in_all_slices() -> dict[int, Order]:
    """Place orders until each slice has one; return one of each slice."""
    orders: dict[int, Order] = {}
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    while len(orders) < COUNT:
        order = kit.placed_order(customer, (product, 1))
        [number] = [n for n in range(COUNT) if Slice(n, COUNT).has(order.stream)]
        orders[number] = order
    return orders


def refuse(order: Order, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Let order_view fail on the events of ``order`` while its stream is in the returned set."""
    failing = {order.stream}
    apply = OrderProjection.apply

    def apply_or_fail(projection: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        if any(event.recorded.stream in failing for event in batch):
            raise ValueError("no such colour")
        apply(projection, batch, projection_id)

    monkeypatch.setattr(OrderProjection, "apply", apply_or_fail)
    return failing


def checkpoints(name: str = NAME, **conditions: Any) -> list[Projection]:
    return list(Projection.objects.filter(name=name, **conditions).order_by("slice_number"))


def shown() -> set[Any]:
    return set(OrderSummary.live.values_list("order_id", flat=True))


def differing_rows(*names: str) -> dict[str, int]:
    """Compare the rows with those that the log makes; return how many differ, by table."""
    tables = [table for name in names for table in verify(name).tables]
    return {table.table: table.differing for table in tables if table.differing}


# --- The hash ----------------------------------------------------------------------------------
def test_the_database_and_python_put_a_stream_into_the_same_slice_on_every_machine() -> None:
    streams = [f"order-{number}" for number in range(64)] + ["stock-ÄÖ\\x", "customer-東京"]
    for count in log.COUNTS:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT get_byte(sha256(convert_to(stream, 'UTF8')), 0) %% %s"
                " FROM unnest(%s::text[]) AS stream",
                [count, streams],
            )
            numbers = [number for (number,) in cursor.fetchall()]
        assert all(
            Slice(number, count).has(stream)
            for stream, number in zip(streams, numbers, strict=True)
        )
        assert len(Counter(numbers)) == count

    assert [Slice(number, 4).has("order-1") for number in range(4)] == [False, False, False, True]


def test_the_slices_of_a_batch_are_the_batch_and_end_with_its_commit() -> None:
    placed_orders(3)
    log.sequence()

    whole = log.read_batch(0, 4)
    parts = [log.read_batch(0, 4, Slice(number, COUNT)) for number in range(COUNT)]

    assert whole is not None
    assert {(part.position, part.event_id, part.size) for part in parts if part} == {whole[1:]}
    events = sorted(
        (event for part in parts if part for event in part.events),
        key=lambda event: event.recorded.position or 0,
    )
    assert events == whole.events
    assert log.read_batch(log.head(), 4, Slice(1, COUNT)) is None


def test_a_hole_in_the_positions_raises_in_every_slice() -> None:
    orders_in_all_slices()
    log.sequence()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM event_position WHERE position = 3")
        cursor.execute("SET LOCAL session_replication_role = origin")

    for number in range(COUNT):
        with pytest.raises(LogGapError, match=r"^Position 3 of the log is missing\.$"):
            log.read_batch(0, 100, Slice(number, COUNT))
        assert log.read_batch(3, 100, Slice(number, COUNT))


# --- Running -----------------------------------------------------------------------------------
@pytest.mark.usefixtures("cut")
def test_slices_that_two_workers_move_make_the_rows_of_the_log(subtests: Any) -> None:
    names = [name for name, projection in registered().items() if projection.sliced_by == "stream"]
    orders = orders_in_all_slices()

    live.run(*names, slices=[0, 2])

    assert shown() & {order.id for order in orders.values()} == {orders[0].id, orders[2].id}
    live.run(*names, slices=[1, 3])
    assert {order.id for order in orders.values()} <= shown()
    for name in names:
        assert {row.position for row in checkpoints(name)} == {log.head()}
    assert not differing_rows(*names)
    with subtests.test("text", key="a sample of streams"):
        assert verify(NAME, sample=2).tables[0].stored_rows


@pytest.mark.usefixtures("cut")
def test_projections_whose_rows_mix_streams_stay_whole() -> None:
    counts = {name: len(checkpoints(name)) for name in registered()}

    assert counts == {
        name: COUNT if projection.sliced_by == "stream" else 1
        for name, projection in registered().items()
    }


def test_a_killed_runner_of_a_slice_is_replaced_and_its_event_is_parked(cut: None) -> None:
    orders = orders_in_all_slices()
    log.sequence()
    killing = log.read_stream(orders[1].stream)[0].recorded
    before = (killing.position or 0) - 1
    log_id, event_id = log.fingerprint(before)
    Projection.objects.filter(name=NAME, slice_number=1).update(
        position=before, log_id=log_id, event_id=event_id, isolate_until=log.head(),
        crash_suspicion=CrashSuspicion.PROBING, leased_until=Now() - timedelta(seconds=1),
    )  # fmt: skip

    assert live.PROJECTIONS.lease(share=Share(0, 4)).slices[NAME] == [0, 1]
    live.run(NAME)

    [event] = ParkedEvent.objects.filter(category=ParkedEvent.Category.CRASH)
    assert event.event_id == killing.event_id
    assert event.checkpoint.slice_number == 1
    assert {orders[number].id for number in (0, 2, 3)} <= shown()


# --- Sharing out -------------------------------------------------------------------------------
@pytest.mark.usefixtures("cut")
def test_each_cluster_leases_its_share_and_the_slices_of_a_lost_runner() -> None:
    placed_orders(1)
    first = live.PROJECTIONS.lease(share=Share(0, 2))

    assert sorted(first.slices[NAME]) == [0, 2]
    assert set(first.behind) == set(registered())
    assert not first.all_taken
    assert not live.PROJECTIONS.lease(share=Share(0, 2)).behind
    Projection.objects.filter(name=NAME, slice_number=2).update(
        leased_until=Now() - timedelta(seconds=1)
    )
    second = live.PROJECTIONS.lease(share=Share(1, 2))
    assert sorted(second.slices[NAME]) == [1, 2, 3]
    assert second.all_taken


def test_the_clusters_that_are_alive_share_out_the_slices(settings: Any) -> None:
    assert status.share() == subscriptions.WHOLE
    status.heartbeat()
    assert status.share() == Share(0, 1)
    Worker.objects.create(host="!first", pid=1)
    Worker.objects.create(host="!gone", pid=2, seen_at=Now() - timedelta(seconds=5))

    assert status.share() == Share(1, 2)


def test_a_cluster_shares_out_its_slices_over_all_workers_but_one(
    cut: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conf, "WORKERS", 3)
    placed_orders(1)

    leased = live.PROJECTIONS.lease()
    (names, numbers), (other_names, other_numbers) = _task_arguments(live.PROJECTIONS, leased)

    assert (numbers, other_numbers) == ([0, 2], [1, 3])
    assert set(names) == {"projections", *registered()}
    assert set(other_names) == {
        "projections",
        *(name for name, projection in registered().items() if projection.sliced_by),
    }


def test_another_number_of_slices_goes_on_where_all_slices_are_level(
    cut: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = orders_in_all_slices()
    failing = refuse(orders[3], monkeypatch)
    live.run(NAME, slices=[1, 3])
    settings.PROJECTION_SLICES = 2

    assert slices.share_out_all()

    assert [row.slice_count for row in checkpoints()] == [2, 2]
    assert {row.position for row in checkpoints()} == {log.head()}
    assert [row.parked_streams for row in checkpoints()] == [0, 1]
    [parked_event] = parked.blocking_events(live.PROJECTIONS)
    assert parked_event.checkpoint.slice_number == 1
    settings.PROJECTION_SLICES = 1
    assert slices.share_out_all()
    [whole] = checkpoints()
    assert (whole.slice_count, whole.parked_streams) == (1, 1)
    failing.clear()
    assert parked.retry(live.PROJECTIONS, parked.blocking_events(live.PROJECTIONS))
    assert not differing_rows(NAME)


def test_slices_stay_as_they_are_while_one_of_them_has_stopped(
    cut: None, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    placed_orders(1)
    Projection.objects.filter(name=NAME, slice_number=2).update(error="no", failed_at=Now())
    settings.PROJECTION_SLICES = 1

    assert not slices.share_out_all()

    assert len(checkpoints()) == COUNT
    assert "order_view, generation 1, slice 3 of 4, is behind the other slices: no" in caplog.text


# --- Generations -------------------------------------------------------------------------------
@pytest.mark.usefixtures("cut")
def test_a_rebuild_takes_over_from_a_cut_generation_and_can_be_rolled_back() -> None:
    orders = orders_in_all_slices()
    live.run(NAME, slices=[0, 1, 2])

    rebuilt = rebuild(NAME)

    assert [(table.differing, table.folded_rows > 0) for table in rebuilt.compared] == [
        (0, True)
    ] * len(rebuilt.compared)
    assert {order.id for order in orders.values()} <= shown()
    assert slices.share_out_all()
    assert len(checkpoints(generation=2)) == len(checkpoints(generation=1)) == COUNT
    late = orders_in_all_slices()
    generations.roll_back(NAME)
    assert {order.id for order in late.values()} <= shown()
    assert [row.generation for row in checkpoints(status="live")] == [1]
    generations.discard_former(NAME)
    assert not checkpoints(generation=2)


# --- Watching and waiting ----------------------------------------------------------------------
def test_a_projection_is_as_late_as_its_slowest_slice(
    cut: None, client: Client, admin_user: User
) -> None:
    orders_in_all_slices()
    live.run(NAME, slices=[0, 1, 3])

    [shown_status] = [found for found in status.statuses() if found.name == NAME]
    metrics = generate_latest(DatabaseCollector()).decode()
    client.force_login(admin_user)
    page = client.get("/admin/system/").content.decode()
    listed = client.get("/admin/ordering_read/projection/").content.decode()

    assert (shown_status.position, shown_status.lag_events) == (0, log.head())
    assert [part.lag_events > 0 for part in shown_status.slices] == [False, False, True, False]
    assert freshness([NAME]).position == 0
    assert f'slice_position{{projection="{NAME}",slice="1"}} {float(log.head())}' in metrics
    assert re.search(rf'slice_lag_seconds{{projection="{NAME}",slice="2"}} \S*[1-9]', metrics)
    assert f'orders_projection_position{{projection="{NAME}"}} 0.0' in metrics
    assert "4 slices, 1 behind" in page
    assert listed.count('class="action-select"') == len(registered())


@pytest.mark.usefixtures("cut")
def test_a_row_is_fresh_when_its_slice_is() -> None:
    orders = orders_in_all_slices()
    for order in orders.values():
        kit.dispatch(kit.move(order, OrderStatus.CONFIRMED))
    events = {number: log.read_stream(order.stream)[-1] for number, order in orders.items()}
    streams = log.streams_of_commit(events[0].recorded.event_id)
    needed = [number for number in range(COUNT) if any(map(Slice(number, COUNT).has, streams))]
    [stale, *_] = set(range(COUNT)) - {*needed}
    live.run(NAME, slices=needed)
    Projection.objects.filter(name=NAME, slice_number=stale).update(error="no", failed_at=Now())

    def wait(event_id: UUID) -> waiting.Visibility:
        return waiting.wait(event_id=event_id, projections=[NAME], timeout=0)

    assert wait(events[0].recorded.event_id)
    assert wait(events[stale].recorded.event_id).gap is not None
    assert not wait(uuid4())
    incomplete = freshness([NAME]).incomplete
    rows = [{NAME: [orders[number].stream]} for number in (0, stale)]
    gap_of_fresh, gap_of_stale = gaps.row_gaps(incomplete, rows)
    assert gap_of_fresh is None
    assert gap_of_stale is not None
    assert gap_of_stale.reason == gaps.GapReason.STOPPED
