"""Readers during promotions: the old rows or the new ones, never a mixture, never an error."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from ordering_read.engine import fill, generations, live
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.status import statuses
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import GetOrderById
from tests import kit
from tests.kit_projections import rows_of
from tests.proof import size

pytestmark = pytest.mark.usefixtures("committed")

ORDERS = 12
READERS = 4
# What was spoiled on purpose in the old rows, so that they can be told from the new ones.
OLD = "old"


def orders_of_old_and_new() -> UUID:
    """Orders whose live rows say "old", one of them without a row; returns the id of another."""
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    placed = [kit.placed_order(customer, (product, 1), (product, 2)) for _ in range(ORDERS)]
    live.run("order_view")
    with connections["read"].cursor() as cursor:
        cursor.execute("UPDATE order_summary SET customer_name = %s", [OLD])
        cursor.execute("UPDATE order_line_view SET name = %s", [OLD])
        cursor.execute("DELETE FROM order_summary WHERE id = %s", [placed[0].pk])
    return placed[1].pk


def a_page() -> bool:
    page = get_query_bus().dispatch(ListOrders())
    are_old = {item.customer_name == OLD for item in page.items}
    is_old = page.count == ORDERS - 1
    assert are_old == {is_old}
    assert len(page.items) == page.count == (ORDERS - 1 if is_old else ORDERS)
    return is_old


def an_order(order_id: UUID) -> bool:
    order = get_query_bus().dispatch(GetOrderById(order_id=order_id))
    is_old = order.customer_name == OLD
    assert [line.name == OLD for line in order.items] == [is_old, is_old]
    return is_old


def reading(reads: list[Callable[[], bool]], over: Event) -> list[bool]:
    """What each read saw until it was over: the old rows or not."""
    seen = []
    try:
        while not over.is_set():
            seen += [read() for read in reads]
    finally:
        connections.close_all()
    return seen


def test_no_read_fails_or_mixes_while_rows_take_over() -> None:
    order_id = orders_of_old_and_new()
    over = Event()
    reads = [a_page, lambda: an_order(order_id)]
    with ThreadPoolExecutor(READERS) as threads:
        readers = [threads.submit(reading, reads, over) for _ in range(READERS)]
        try:
            rebuild("order_view")
            for _ in range(20):
                generations.roll_back("order_view")
        finally:
            over.set()
        seen = [is_old for reader in readers for is_old in reader.result()]

    assert set(seen) == {True, False}
    assert len(seen) > 100


def test_processes_fill_slices_together() -> None:
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
    for _ in range(ORDERS):
        kit.placed_order(customer, (product, 1), (product, 2))
    live.run("order_view")

    rebuilt = rebuild("order_view", workers=3, batch=5)

    assert rebuilt.events == ORDERS * 3
    assert [table.differing for table in rebuilt.compared] == [0, 0]
    assert a_page() is False


@contextmanager
def another() -> Iterator[Any]:
    """A session of the read database beside ours."""
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
    """A crash of the read database, after which ``lost`` is called, in the middle of a rebuild."""
    step, steps = fill._step, count(1)

    def after_a_crash(*arguments: Any) -> int | None:
        if next(steps) == number:
            with another() as cursor:
                ours = connections["read"].connection.info.backend_pid
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [ours])
            lost()
        return step(*arguments)

    monkeypatch.setattr(fill, "_step", after_a_crash)


def test_a_rebuild_whose_connection_was_lost_goes_on_and_stays_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders_of_old_and_new()
    lose_the_connection_before_step(3, lambda: None, monkeypatch)
    is_free = []

    def look(done: int, total: int) -> None:
        with another() as cursor:
            cursor.execute(TRY_LOCK)
            is_free.append(cursor.fetchone()[0])

    rebuilt = rebuild("order_view", batch=5, progress=look)

    assert rebuilt.events == ORDERS * 3
    assert len(is_free) > 3
    assert not any(is_free)
    assert a_page() is False


def test_a_rebuild_ends_when_another_has_begun_while_its_connection_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders_of_old_and_new()
    with another() as cursor:
        lose_the_connection_before_step(3, lambda: cursor.execute(TRY_LOCK), monkeypatch)

        with pytest.raises(generations.BusyError):
            rebuild("order_view", batch=5)

    assert a_page() is True
    assert rebuild("order_view", batch=5).events == ORDERS * 3
    assert a_page() is False


# To start processes takes a part of a short rebuild that it doesn't take of a long one.
@pytest.mark.proof
@pytest.mark.parametrize("workers", [1, 2][: size(1, full=2)])
def test_the_time_left_after_a_tenth_is_within_a_quarter_of_the_truth(workers: int) -> None:
    """At a pace that doesn't depend on who else is at work."""
    customer, product = kit.registered_customer(), kit.registered_product(on_hand=10_000)
    for _ in range(size(60, full=400)):
        kit.placed_order(customer, (product, 1), (product, 2))
    live.run("order_view")
    told: list[tuple[float, float]] = []

    def look(done: int, total: int) -> None:
        [one] = [one for one in statuses() if one.name == "order_view"]
        if done >= total / 10 and not told and one.rebuild and one.rebuild.seconds_left:
            told.append((one.rebuild.seconds_left, time.monotonic()))

    rebuild("order_view", workers=workers, batch=20, throttle=45, progress=look)

    [(seconds_left, at)] = told
    assert seconds_left == pytest.approx(time.monotonic() - at, rel=0.25)


def test_events_that_come_during_a_rebuild_are_in_its_rows() -> None:
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
            rebuilt = [rebuild("order_view", batch=5) for _ in range(3)]
        finally:
            over.set()
        placing.result()

    live.run("order_view")
    assert [table.differing for result in rebuilt for table in result.compared] == [0] * 6
    retired = Projection.objects.get(name="order_view", status="retired")
    served = Projection.objects.get(name="order_view", status="live")
    for model in registered()["order_view"].models:
        assert rows_of(model, retired) == rows_of(model, served)
