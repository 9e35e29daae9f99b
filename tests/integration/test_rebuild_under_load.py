"""Rebuilds, verifications and retries under load.

Reads show the old rows or the new rows, never a mixture or an error.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from ordering_read.engine import fill, generations, live
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.status import statuses
from ordering_read.models import ParkedEvent, Projection
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.projections.sales_by_day import SalesByDayProjection
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import GetOrderById
from tests import kit
from tests.integration.test_parking import (
    Poison,
    Shop,
    check_equals_a_fold_without_failures,
    live_projection,
)
from tests.integration.test_verify_command import (
    only_live_generations_are_left,
    sql,
    verify_rows,
)
from tests.kit_projections import blocking, retry, rows_of
from tests.parallel import at_once
from tests.proof import size

pytestmark = pytest.mark.usefixtures("committed")

ORDERS = 8
READERS = 2
ROLLBACKS = size(8, full=40)
# The text in changed columns of the old rows, which tells them from the new rows.
OLD = "old"


def place_orders_with_old_rows() -> UUID:
    """Place orders, change their live rows and delete one of these; returns the id of an order."""
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    orders = [kit.placed_order(customer, (product, 1), (product, 2)) for _ in range(ORDERS)]
    live.run("order_view")
    with connections["read"].cursor() as cursor:
        cursor.execute("UPDATE order_summary SET customer_name = %s", [OLD])
        cursor.execute("UPDATE order_line_view SET name = %s", [OLD])
        cursor.execute("DELETE FROM order_summary WHERE id = %s", [orders[0].pk])
    return orders[1].pk


def page_is_old() -> bool:
    """Read a page; returns True if it shows the old rows."""
    page = get_query_bus().dispatch(ListOrders())
    are_old = {item.customer_name == OLD for item in page.items}
    is_old = page.count == ORDERS - 1
    assert are_old == {is_old}
    assert len(page.items) == page.count == (ORDERS - 1 if is_old else ORDERS)
    return is_old


def order_is_old(order_id: UUID) -> bool:
    """Read an order; returns True if it shows the old rows."""
    order = get_query_bus().dispatch(GetOrderById(order_id=order_id))
    is_old = order.customer_name == OLD
    assert [line.name == OLD for line in order.items] == [is_old, is_old]
    return is_old


def read_until(over: Event, reads: list[Callable[[], bool]]) -> list[bool]:
    """Read again and again until ``over``; returns the result of each read."""
    results = []
    try:
        while not over.is_set():
            results += [read() for read in reads]
    finally:
        connections.close_all()
    return results


@pytest.mark.proof
def test_no_read_fails_or_mixes_rows_during_promotions() -> None:
    order_id = place_orders_with_old_rows()
    over = Event()
    reads = [page_is_old, lambda: order_is_old(order_id)]
    with ThreadPoolExecutor(READERS) as threads:
        readers = [threads.submit(read_until, over, reads) for _ in range(READERS)]
        try:
            rebuild("order_view")
            for _ in range(ROLLBACKS):
                generations.roll_back("order_view")
        finally:
            over.set()
        results = [is_old for reader in readers for is_old in reader.result()]

    assert set(results) == {True, False}
    assert len(results) > ROLLBACKS


def test_several_processes_fill_the_slices_of_a_generation() -> None:
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    for _ in range(ORDERS):
        kit.placed_order(customer, (product, 1), (product, 2))
    live.run("order_view")

    rebuilt = rebuild("order_view", workers=3, batch=5)

    assert rebuilt.events == ORDERS * 3
    assert [table.differing for table in rebuilt.compared] == [0, 0]
    assert page_is_old() is False


@contextmanager
def other_session() -> Iterator[Any]:
    """A cursor of another session of the read database."""
    other = connections["read"].copy()
    try:
        with other.cursor() as cursor:
            yield cursor
    finally:
        other.close()


TRY_LOCK = "SELECT pg_try_advisory_lock(7301002, hashtext('order_view'))"


def lose_the_connection_before_step(
    number: int, lost: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the read database crash in the middle of a rebuild, and call ``lost`` after that."""
    step, steps = fill._apply_next_batch, count(1)

    def after_a_crash(*arguments: Any) -> int | None:
        if next(steps) == number:
            with other_session() as cursor:
                ours = connections["read"].connection.info.backend_pid
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])
            lost()
        return step(*arguments)

    monkeypatch.setattr(fill, "_apply_next_batch", after_a_crash)


def test_a_rebuild_with_a_lost_connection_goes_on_and_takes_its_lock_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place_orders_with_old_rows()
    lose_the_connection_before_step(3, lambda: None, monkeypatch)
    is_free = []

    def look(done: int, total: int) -> None:
        with other_session() as cursor:
            cursor.execute(TRY_LOCK)
            is_free.append(cursor.fetchone()[0])

    rebuilt = rebuild("order_view", batch=5, progress=look)

    assert rebuilt.events == ORDERS * 3
    assert len(is_free) > 3
    assert not any(is_free)
    assert page_is_old() is False


def test_a_rebuild_with_a_lost_connection_ends_when_another_rebuild_has_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place_orders_with_old_rows()
    with other_session() as cursor:
        lose_the_connection_before_step(3, lambda: cursor.execute(TRY_LOCK), monkeypatch)

        with pytest.raises(generations.BusyError):
            rebuild("order_view", batch=5)

    assert page_is_old() is True
    assert rebuild("order_view", batch=5).events == ORDERS * 3
    assert page_is_old() is False


# The start of processes takes a larger part of a short rebuild than of a long one.
@pytest.mark.proof
@pytest.mark.parametrize("workers", [1, 2][: size(1, full=2)])
def test_the_time_left_after_a_tenth_is_within_a_quarter_of_the_truth(workers: int) -> None:
    """The throttle makes the rate independent of other load."""
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=10_000)
    for _ in range(size(20, full=130)):
        kit.placed_order(customer, *[(product, 1)] * 8)
    live.run("order_view")
    estimates: list[tuple[float, float]] = []

    def look(done: int, total: int) -> None:
        [progress] = [status.rebuild for status in statuses() if status.name == "order_view"]
        if done >= total / 10 and not estimates and progress and progress.seconds_left:
            estimates.append((progress.seconds_left, time.monotonic()))

    rebuild("order_view", workers=workers, batch=20, throttle=45, progress=look)

    [(seconds_left, estimated_at)] = estimates
    assert seconds_left == pytest.approx(time.monotonic() - estimated_at, rel=0.25)


def test_events_that_are_committed_during_a_rebuild_are_in_its_rows() -> None:
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    kit.placed_order(customer, (product, 1))
    over = Event()

    def place() -> None:
        try:
            while not over.is_set():
                kit.placed_order(customer, (product, 1))
                live.run("order_view")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        placing = threads.submit(place)
        try:
            results = [rebuild("order_view", batch=5) for _ in range(2)]
        finally:
            over.set()
        placing.result()

    live.run("order_view")
    assert [table.differing for result in results for table in result.compared] == [0] * 4
    retired = Projection.objects.get(name="order_view", status="retired")
    served = Projection.objects.get(name="order_view", status="live")
    for model in registered()["order_view"].models:
        assert rows_of(model, retired) == rows_of(model, served)


def test_commands_and_runners_go_on_during_a_verification() -> None:
    # Rows of streams, and rows that mix streams.
    names = ("order_timeline", "sales_by_product")
    customer, product = kit.registered_customer(), kit.registered_product(10_000)
    live.run(*names)
    over = Event()

    def place() -> None:
        while not over.is_set():
            kit.placed_order(customer, (product, 1))

    def work() -> None:
        while not over.is_set():
            live.run(*names)

    def spoil_and_verify() -> list[set[str]]:
        try:
            first = wrong_projections()
            sql("UPDATE order_timeline SET actor = '?'")
            sql("UPDATE sales_by_product SET units = units + 7")
            return [first, wrong_projections(), wrong_projections()]
        finally:
            over.set()

    def wrong_projections() -> set[str]:
        return {name for name in names if verify_rows(name, repaired_by="tests")}

    _, _, wrong = at_once([place, work, spoil_and_verify])

    assert wrong == [set(), {"order_timeline", "sales_by_product"}, set()]
    assert kit.Order.objects.count() > 3
    assert only_live_generations_are_left()


def test_concurrent_retries_and_runners_count_each_event_once(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.PROJECTION_BATCH = 5
    shop = Shop()
    poison = Poison(SalesByDayProjection, monkeypatch)
    orders = [shop.order() for _ in range(6)]
    for order in orders[:3]:
        poison.add(order, version=1)
    live.run("sales_by_day")
    assert live_projection("sales_by_day").parked_streams == 3
    poison.events.clear()

    outcomes = at_once(
        [lambda: retry(blocking())] * 3
        + [lambda: live.run("sales_by_day")] * 3
        + [shop.order] * 4
        + [partial(kit.dispatch, kit.cancel(order)) for order in orders]
    )

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    live.run("sales_by_day")
    retry(blocking())
    assert not ParkedEvent.objects.exists()
    assert live_projection("sales_by_day").parked_streams == 0
    check_equals_a_fold_without_failures(SalesByDay)
