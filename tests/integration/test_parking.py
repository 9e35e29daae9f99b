"""Parked events: which streams wait, which continue, and how parked ones are retried or skipped."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, InterfaceError, OperationalError, connection, connections
from django.db.models import DateTimeField, Func
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from ordering_read import projector
from ordering_read.engine import live, status
from ordering_read.engine.generations import IncompleteError
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import OrderSummary, ParkedEvent, Projection
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projections.sales_by_day import SalesByDayProjection
from ordering_write import log
from ordering_write.domain.events import DomainEvent, OrderStatus
from ordering_write.models import Customer, Order, StockItem
from ordering_write.subscriptions import parked
from tests import kit
from tests.kit_projections import (
    blocking,
    new_generation,
    parked_events,
    project,
    retry,
    rows_of,
    skip,
)

pytestmark = pytest.mark.usefixtures("db")

Category = ParkedEvent.Category


class Poison:
    """Makes a projection fail on chosen events; records the sizes of batches."""

    def __init__(self, projection: type[projector.Projector], patch: pytest.MonkeyPatch) -> None:
        self.events: set[UUID] = set()
        self.error: Callable[[], BaseException] = lambda: ValueError("no such colour")
        self.batches: list[int] = []
        apply = projection.apply

        def apply_or_fail(projector: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
            self.batches.append(len(batch))
            apply(projector, batch, projection_id)
            if any(event.recorded.event_id in self.events for event in batch):
                raise self.error()

        patch.setattr(projection, "apply", apply_or_fail)

    def add(self, order: Order, version: int) -> UUID:
        event_id = log.read_stream(order.stream)[version - 1].recorded.event_id
        self.events.add(event_id)
        return event_id


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Poison:
    """Makes order_view fail on chosen events."""
    return Poison(OrderProjection, monkeypatch)


class Shop:
    """A customer and a product, and orders of both."""

    def __init__(self) -> None:
        self.customer: Customer = kit.registered_customer()
        self.product: StockItem = kit.registered_product(on_hand=1_000)

    def order(self, *, lines: int = 1) -> Order:
        return kit.placed_order(self.customer, *[(self.product, 1)] * lines)


@pytest.fixture(scope="module")
def shop(module_db: None) -> Shop:
    return Shop()


def move(order: Order, status: OrderStatus = OrderStatus.CONFIRMED) -> None:
    kit.dispatch(kit.move(order, status))


def live_projection(name: str = "order_view") -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def shown() -> dict[UUID, str]:
    """Return the status of each order that readers see."""
    return dict(OrderSummary.live.values_list("order_id", "status"))


def waiting(name: str = "order_view") -> list[tuple[int, str]]:
    rows = parked_events(projection=name).filter(checkpoint=live_projection(name), skipped_at=None)
    return list(rows.order_by("position").values_list("version", "category"))


def check_equals_a_fold_without_failures(*models: Any) -> None:
    """Assert that the served rows are those of a fold of the whole log."""
    log.sequence()
    events = log.read_log(0, 100_000)
    for model in models:
        generation = new_generation(model.projection_name)
        project(events, generation)
        assert rows_of(model, generation) == rows_of(model, live_projection(model.projection_name))
        generation.delete()


def spoil(order: Order, change: str, *, version: int = 2) -> None:
    """Change a stored event behind the back of the trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"UPDATE event SET {change} WHERE stream = %s AND version = %s",
            [order.stream, version],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


# --- Parking -----------------------------------------------------------------------------------
def test_a_failing_event_parks_its_stream_and_no_other(
    poison: Poison, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    orders = [shop.order() for _ in range(5)]
    for order in orders:
        move(order)
    bad = poison.add(orders[2], version=2)

    live.run("order_view")

    assert shown() == {
        order.pk: "pending" if order is orders[2] else "confirmed" for order in orders
    }
    assert waiting() == [(2, Category.PROJECTION_ERROR), (3, Category.WAITING)]
    [row] = blocking()
    assert (row.event_id, row.stream, row.tries) == (bad, orders[2].stream, 1)
    assert row.message == "ValueError: no such colour"
    assert "in apply_or_fail" in row.traceback
    assert live_projection().position == log.head()
    assert live_projection().error == ""
    assert [line.getMessage() for line in caplog.records] == [
        f"order_view, generation 1: a stream is parked behind OrderItemAdded {bad} "
        f"({orders[2].stream}, version 2): ValueError: no such colour"
    ]


def test_later_events_of_a_parked_stream_wait(poison: Poison, shop: Shop) -> None:
    bad, good = shop.order(), shop.order()
    poison.add(bad, version=1)
    live.run("order_view")
    assert live.run("order_view") == 0

    move(bad)
    move(good)
    live.run("order_view")

    assert shown() == {good.pk: "confirmed"}
    assert [version for version, _ in waiting()] == [1, 2, 3]
    assert live_projection().parked_streams == 1
    assert "order_view" not in live.PROJECTIONS.lease().behind


def test_parking_does_not_depend_on_the_size_of_batches(
    poison: Poison, shop: Shop, settings: Any
) -> None:
    dice = random.Random(5)
    orders = [shop.order() for _ in range(12)]
    for order in dice.sample(orders, 7):
        move(order)
    bad = {order.stream: poison.add(order, dice.randint(1, 2)) for order in dice.sample(orders, 4)}

    for _ in range(15):
        settings.PROJECTION_BATCH = dice.randint(1, 30)
        live.run("order_view", seconds=0)
    live.run("order_view")

    assert dict(blocking().values_list("stream", "event_id")) == bad
    assert live_projection().parked_streams == 4
    poison.events.clear()
    retry(blocking())
    check_equals_a_fold_without_failures(OrderSummary)


def test_one_failing_event_is_found_in_few_tries(poison: Poison, shop: Shop, settings: Any) -> None:
    settings.PROJECTION_BATCH = 10_000
    orders = [shop.order(lines=4) for _ in range(40)]
    poison.add(orders[31], version=2)

    live.run("order_view")

    # The batch is applied once more in all, and what fails is halved eight times.
    assert len(poison.batches) < 20
    assert sum(poison.batches) < 5 * 200
    assert len(shown()) == 40


def test_a_batch_without_failures_costs_no_extra_statement(shop: Shop) -> None:
    shop.order()
    with CaptureQueriesContext(connections["read"]) as captured:
        live.run("order_view")

    statements = [query["sql"] for query in captured.captured_queries]
    assert not [sql for sql in statements if "parked_event" in sql]
    # Each transaction of the runner is a savepoint inside that of the test. The leases end by one
    # statement without a transaction.
    savepoints = [sql for sql in statements if sql.startswith("SAVEPOINT")]
    locks = [sql for sql in statements if sql.startswith("SELECT") and "FOR UPDATE" in sql]
    assert len(savepoints) == len(locks)


def test_a_stream_is_parked_where_rows_mix_streams_too(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = Poison(SalesByDayProjection, monkeypatch)
    orders = [shop.order() for _ in range(3)]
    poison.add(orders[1], version=2)

    live.run("sales_by_day")

    assert (SalesByDay.live.get().orders, SalesByDay.live.get().units) == (3, 2)
    poison.events.clear()
    kit.dispatch(kit.cancel(orders[1]))
    live.run("sales_by_day")
    assert waiting("sales_by_day") == [(2, Category.PROJECTION_ERROR), (3, Category.WAITING)]
    retry(blocking())
    check_equals_a_fold_without_failures(SalesByDay)


def test_the_message_of_a_parked_event_has_no_values_of_the_row(poison: Poison, shop: Shop) -> None:
    poison.error = lambda: DataError("value too long\nDETAIL: Failing row contains (Robin).")
    poison.add(shop.order(), version=1)

    live.run("order_view")

    [row] = blocking()
    assert row.message == "DataError: value too long"
    assert "Robin" not in row.traceback


# --- Events that can't be read -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "category", "message"),
    [
        ("type = 'OrderBlessed'", Category.UNKNOWN_TYPE, "this type is unknown"),
        ("data = '[]'", Category.UNDECODABLE, "'list' object is not a mapping"),
    ],
)
def test_an_unreadable_event_parks_its_stream(
    shop: Shop, change: str, category: str, message: str
) -> None:
    bad, good = shop.order(), shop.order()
    move(bad)
    spoil(bad, change)

    live.run("order_view")
    live.run("customer_view")

    assert shown() == {bad.pk: "pending", good.pk: "pending"}
    assert waiting() == [(2, category), (3, Category.WAITING)]
    assert message in blocking(projection="order_view").get().message
    # A projection can't know whether it wants an event of an unknown type.
    known_and_unwanted = category == Category.UNDECODABLE
    assert live_projection("customer_view").parked_streams == (0 if known_and_unwanted else 1)


def test_a_parked_event_is_applied_when_it_can_be_read_again(shop: Shop) -> None:
    order = shop.order()
    move(order)
    spoil(order, "type = 'OrderBlessed'")
    live.run("order_view")

    spoil(order, "type = 'OrderItemAdded'")
    [retried] = retry(blocking(projection="order_view"))

    assert (retried.applied, retried.blocked_by) == (2, None)
    check_equals_a_fold_without_failures(OrderSummary)


def test_a_parked_event_that_is_not_wanted_is_unparked(shop: Shop) -> None:
    order = shop.order()
    spoil(order, "type = 'OrderBlessed'")
    live.run("customer_view")

    spoil(order, "type = 'OrderItemAdded'")
    retry(blocking())

    assert live_projection("customer_view").parked_streams == 0
    assert not ParkedEvent.objects.exists()


# --- Retry -------------------------------------------------------------------------------------
def test_a_retry_after_the_fix_makes_the_rows_of_a_fold(poison: Poison, shop: Shop) -> None:
    orders = [shop.order() for _ in range(4)]
    for order in orders:
        move(order)
    poison.add(orders[0], version=1)
    poison.add(orders[1], version=3)
    live.run("order_view")
    poison.events.clear()

    retried = retry(blocking())

    assert [(result.stream, result.applied) for result in retried] == [
        (orders[0].stream, 3),
        (orders[1].stream, 1),
    ]
    assert live_projection().parked_streams == 0
    assert not ParkedEvent.objects.exists()
    check_equals_a_fold_without_failures(OrderSummary)
    move(orders[0], OrderStatus.SHIPPED)
    live.run("order_view")
    assert shown()[orders[0].pk] == "shipped"


def test_an_event_that_fails_again_stays_parked(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    first = poison.add(order, version=2)
    live.run("order_view")
    poison.error = lambda: KeyError("shape")

    [retried] = retry(blocking())

    assert retried.applied == 0
    assert retried.blocked_by
    row = parked.find(live.PROJECTIONS, retried.blocked_by.pk)
    assert (row.event_id, row.message, row.tries) == (first, "KeyError: 'shape'", 2)
    assert live_projection().parked_streams == 1


def test_a_retry_applies_events_up_to_the_next_failure(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    move(order)
    poison.add(order, version=1)
    live.run("order_view")
    poison.events.clear()
    poison.add(order, version=3)

    [retried] = retry(blocking())

    assert retried.applied == 2
    assert waiting() == [(3, Category.PROJECTION_ERROR)]
    assert shown() == {order.pk: "pending"}
    assert live_projection().parked_streams == 1


def test_a_retry_is_restricted_to_the_chosen_stream(poison: Poison, shop: Shop) -> None:
    chosen, other = shop.order(), shop.order()
    poison.add(chosen, version=1)
    poison.add(other, version=1)
    live.run("order_view")
    poison.events.clear()

    retry(blocking(projection="order_view", stream=chosen.stream))

    assert set(shown()) == {chosen.pk}
    assert blocking().get().stream == other.stream


# --- Skip --------------------------------------------------------------------------------------
def test_a_skipped_event_keeps_its_row_and_the_rest_is_applied(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    move(order)
    bad = poison.add(order, version=2)
    live.run("order_view")

    skipped = skip(blocking().get(), reason="A test", by="robin")

    assert (skipped.applied, skipped.blocked_by) == (1, None)
    row = ParkedEvent.objects.get()
    assert (row.event_id, row.skipped_by, row.skip_reason) == (bad, "robin", "A test")
    assert row.skipped_at is not None
    assert shown() == {order.pk: "confirmed"}
    assert OrderSummary.live.get().unit_count == 0
    assert live_projection().parked_streams == 0
    assert retry(parked_events()) == []


def test_the_last_event_of_a_stream_can_be_skipped(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    poison.add(order, version=2)
    live.run("order_view")

    skip(blocking().get(), reason="A test", by="robin")
    move(order)
    live.run("order_view")

    assert live_projection().parked_streams == 0
    assert shown() == {order.pk: "confirmed"}


def test_waiting_and_skipped_events_can_not_be_skipped(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    move(order)
    bad = poison.add(order, version=2)
    live.run("order_view")
    first, second = parked_events().order_by("position")

    with pytest.raises(parked.EventWaitsError, match="retry or skip that one"):
        skip(second, reason="A test", by="robin")
    with pytest.raises(parked.EventWaitsError):
        parked.skip_event(live.PROJECTIONS, second.event_id, reason="A test", by="robin")
    parked.skip_event(live.PROJECTIONS, bad, reason="A test", by="robin")
    with pytest.raises(parked.EventSkippedError, match="skipped already"):
        skip(first, reason="A test", by="robin")
    with pytest.raises(parked.ParkedEventNotFoundError):
        skip(second, reason="A test", by="robin")


# --- What never parks --------------------------------------------------------------------------
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_transient_error_is_retried_and_parks_no_stream(
    poison: Poison, shop: Shop, error: type[Exception]
) -> None:
    order = shop.order()
    poison.add(order, version=1)
    poison.error = lambda: error("deadlock detected")

    live.run("order_view")

    # The event is applied once with the others, and three times by itself.
    assert len(poison.batches) == 1 + 3
    assert not ParkedEvent.objects.exists()
    assert live_projection().error == f"{error.__name__}: deadlock detected"
    poison.events.clear()
    live.run("order_view")
    assert shown() == {order.pk: "pending"}


def test_a_transient_error_during_bisection_parks_no_stream(poison: Poison, shop: Shop) -> None:
    errors = iter([ValueError("no"), ValueError("no"), OperationalError("deadlock detected")])
    poison.add(shop.order(), version=1)
    poison.error = lambda: next(errors, ValueError("at last"))

    live.run("order_view")

    assert blocking().get().message == "ValueError: at last"


def test_a_gap_in_the_log_parks_no_stream(poison: Poison, shop: Shop) -> None:
    shop.order()
    log.sequence()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM event_position WHERE position = 2")
        cursor.execute("SET LOCAL session_replication_role = origin")

    live.run("order_view")

    assert live_projection().error == "LogGapError: Position 2 of the log is missing."
    assert not ParkedEvent.objects.exists()


# --- Too many ----------------------------------------------------------------------------------
def test_too_many_parked_streams_stop_the_projection(
    poison: Poison, shop: Shop, settings: Any
) -> None:
    settings.PROJECTION_MAX_PARKED_STREAMS = 2
    for _ in range(2):
        poison.add(shop.order(), version=1)
    live.run("order_view")
    position = live_projection().position

    third = shop.order()
    poison.add(third, version=1)
    live.run("order_view")

    assert (live_projection().position, live_projection().parked_streams) == (position, 2)
    assert live_projection().error.startswith("TooManyParkedError: More streams are blocked than")
    assert third.stream in live_projection().error
    [failed] = [shown for shown in status.statuses() if shown.name == "order_view"]
    assert (failed.status, failed.parked_streams) == ("failed", 2)
    poison.events.clear()
    retry(blocking())
    live.run("order_view")
    assert live_projection().error == ""
    check_equals_a_fold_without_failures(OrderSummary)


# --- Rebuild -----------------------------------------------------------------------------------
def test_a_rebuild_tries_parked_events_again(poison: Poison, shop: Shop) -> None:
    orders = [shop.order() for _ in range(3)]
    poison.add(orders[0], version=2)
    live.run("order_view")
    poison.events.clear()

    rebuild("order_view")

    assert live_projection().parked_streams == 0
    assert not live_projection().parked_events.exists()
    check_equals_a_fold_without_failures(OrderSummary)


def test_a_rebuild_parks_events_that_fail_in_it(poison: Poison, shop: Shop) -> None:
    orders = [shop.order() for _ in range(12)]
    for order in orders:
        move(order)
    poison.add(orders[8], version=2)
    live.run("order_view")

    rebuild("order_view", batch=7)

    assert live_projection().generation == 2
    assert (live_projection().parked_streams, waiting()[-2:]) == (
        1,
        [(2, Category.PROJECTION_ERROR), (3, Category.WAITING)],
    )
    assert len(shown()) == 12
    poison.events.clear()
    retry(blocking())
    check_equals_a_fold_without_failures(OrderSummary)


def test_a_rebuild_that_lacks_an_applied_event_is_not_promoted(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    live.run("order_view")
    poison.add(order, version=1)

    with pytest.raises(IncompleteError, match=f"{order.stream}, version 1"):
        rebuild("order_view")

    assert shown() == {order.pk: "pending"}
    assert Projection.objects.filter(name="order_view").count() == 1
    poison.events.clear()
    rebuild("order_view")
    assert live_projection().generation == 2


@pytest.mark.parametrize("batch", [1, 5, 1_000])
def test_a_rebuild_skips_skipped_events(poison: Poison, shop: Shop, batch: int) -> None:
    orders = [shop.order() for _ in range(4)]
    for order in orders:
        move(order)
    poison.add(orders[1], version=2)
    spoil(orders[2], "type = 'OrderBlessed'")
    live.run("order_view")
    for row in blocking():
        skip(row, reason="A test", by="robin")
    before = shown()

    rebuild("order_view", batch=batch)

    assert set(before.values()) == {"confirmed"}
    assert shown() == before
    assert live_projection().parked_streams == 0
    rows = live_projection().parked_events.values_list(
        "stream", "version", "skipped_by", "skip_reason"
    )
    assert set(rows) == {(order.stream, 2, "robin", "A test") for order in orders[1:3]}


def test_a_rebuild_applies_a_skipped_event_once_it_can(poison: Poison, shop: Shop) -> None:
    order = shop.order()
    poison.add(order, version=2)
    live.run("order_view")
    skip(blocking().get(), reason="A test", by="robin")
    poison.events.clear()

    rebuild("order_view")

    assert not live_projection().parked_events.exists()
    check_equals_a_fold_without_failures(OrderSummary)


# --- What kills the process --------------------------------------------------------------------
class Killed(BaseException):
    """Stands for the end of the process: no code of the runner runs after it."""


def lease_and_run() -> None:
    """Run the projection like a broker and a worker; the events may kill the worker."""
    just_over = Now() - timedelta(milliseconds=1)
    Projection.objects.exclude(leased_until=None).update(leased_until=just_over)
    if "order_view" in live.PROJECTIONS.lease().behind:
        live.run("order_view")


def test_an_event_that_kills_three_runners_is_parked(poison: Poison, shop: Shop) -> None:
    orders = [shop.order() for _ in range(4)]
    bad = poison.add(orders[1], version=2)
    poison.error = Killed

    for _ in range(3):
        with pytest.raises(Killed):
            lease_and_run()
        assert not ParkedEvent.objects.exists()
    lease_and_run()

    [row] = blocking()
    assert (row.event_id, row.category) == (bad, Category.CRASH)
    assert len(shown()) == 4
    assert live_projection().position == log.head()
    assert live_projection().crash_suspicion == 0
    poison.events.clear()
    retry(blocking())
    check_equals_a_fold_without_failures(OrderSummary)


def test_runners_killed_by_other_causes_park_no_event(poison: Poison, shop: Shop) -> None:
    orders = [shop.order() for _ in range(3)]
    poison.error = Killed
    poison.add(orders[0], version=1)
    for _ in range(2):
        with pytest.raises(Killed):
            lease_and_run()
    poison.events.clear()

    # Events are applied one by one, and none fails.
    lease_and_run()

    assert not ParkedEvent.objects.exists()
    assert max(poison.batches[2:]) == 1
    assert live_projection().position == log.head()
    shop.order()
    shop.order()
    lease_and_run()
    assert max(poison.batches[-1:]) == 4
    check_equals_a_fold_without_failures(OrderSummary)


def test_a_restart_of_the_server_raises_no_crash_suspicion(poison: Poison, shop: Shop) -> None:
    poison.add(shop.order(), version=1)
    poison.error = Killed
    started_at = Func(function="pg_postmaster_start_time", output_field=DateTimeField())
    # A runner was lost before, and this one has counted its start.
    Projection.objects.filter(name="order_view").update(crash_suspicion=2)

    for _ in range(4):
        Projection.objects.filter(name="order_view").update(leased_until=started_at)
        assert "order_view" in live.PROJECTIONS.lease().behind
        assert live_projection().crash_suspicion == 1
        with pytest.raises(Killed):
            live.run("order_view")
        assert live_projection().crash_suspicion == 2

    assert not ParkedEvent.objects.exists()
    assert not live_projection().isolated


def test_an_exception_raises_no_crash_suspicion(poison: Poison, shop: Shop) -> None:
    poison.add(shop.order(), version=1)
    poison.error = lambda: OperationalError("deadlock detected")

    for _ in range(6):
        lease_and_run()

    assert not ParkedEvent.objects.exists()
    assert (live_projection().crash_suspicion, live_projection().isolate_until) == (0, 0)


def test_a_probing_checkpoint_is_left_to_its_runner(poison: Poison, shop: Shop) -> None:
    shop.order()
    Projection.objects.filter(name="order_view").update(crash_suspicion=2)

    assert live.run("order_view") == 0
    assert poison.batches == []


# --- The command line --------------------------------------------------------------------------
def output_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    call_command(*command)
    return capsys.readouterr().out


def test_parked_lists_the_events_that_block_streams(
    poison: Poison, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert output_of(capsys, "parked") == "Nothing is parked.\n"
    order = shop.order()
    bad = poison.add(order, version=1)
    live.run("order_view")

    lines = output_of(capsys, "parked", "--stream", order.stream).splitlines()

    assert lines[:2] == [
        f"order_view, generation 1: OrderCreated {bad} ({order.stream}, version 1)",
        "  projection-error: ValueError: no such colour",
    ]
    assert lines[2].endswith("tried 1 time; 1 event behind it")
    assert output_of(capsys, "parked", "--projection", "customer_view") == "Nothing is parked.\n"
    with pytest.raises(CommandError, match="There is no projection 'nothing'"):
        call_command("parked", "--projection", "nothing")
    [row] = [
        line for line in output_of(capsys, "projection_status").splitlines() if "order_v" in line
    ]
    assert row.split()[6] == "1"


def test_retry_parked_prints_the_result_of_each_stream(
    poison: Poison, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    order = shop.order()
    poison.add(order, version=2)
    live.run("order_view")

    with pytest.raises(CommandError, match=r"^1 stream is still parked\.$"):
        call_command("retry_parked")
    assert "still blocked by OrderItemAdded" in capsys.readouterr().out
    poison.events.clear()
    assert output_of(capsys, "retry_parked", "--projection", "order_view") == (
        f"order_view, generation 1, {order.stream}: 1 event applied, done\n"
    )
    assert output_of(capsys, "retry_parked") == "Nothing is parked.\n"


def test_skip_parked_records_name_and_reason(
    poison: Poison, shop: Shop, capsys: pytest.CaptureFixture[str], admin_user: Any, clerk: Any
) -> None:
    order = shop.order()
    bad = str(poison.add(order, version=2))
    live.run("order_view")

    for arguments, refusal in (
        (["--reason", "A test", "--user", "who"], "There is no user who."),
        (["--reason", "A test", "--user", "clerk"], "needs the permission ordering_read.manage"),
        (["--reason", " "], "--reason: String should have at least 1 character"),
    ):
        with pytest.raises(CommandError, match=refusal):
            call_command("skip_parked", bad, *arguments)
    output_of(capsys, "skip_parked", bad, "--reason", "A test", "--user", "admin")

    row = ParkedEvent.objects.get()
    assert row.skipped_by == f"admin (user {admin_user.pk})"
    assert row.skip_reason == "A test"
    with pytest.raises(CommandError, match="The event was skipped already"):
        call_command("skip_parked", bad, "--reason", "A test")
    with pytest.raises(CommandError, match="Parked event not found"):
        call_command("skip_parked", str(order.pk), "--reason", "A test")
