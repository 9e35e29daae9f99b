"""A long log that has left the database: its readers, its space, and crashes while it leaves."""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from ordering_write import log
from ordering_write.archive import Storage, archive, attach, detach
from ordering_write.domain import commands as c
from ordering_write.domain.events import DomainEvent
from ordering_write.log import detached, feed, replay, verification
from ordering_write.models import ArchivedFile, CommandRecord, EventPosition, Order
from tests import kit
from tests.acceptance.service import wait_until
from tests.kit_crashes import DEATHS, Death, crash_everywhere
from tests.long_log import lengthen
from tests.proof import IS_PROOF, size

Act = Callable[[], Any]

EVENTS = size(80, full=int(os.environ.get("PROOF_EVENTS", "1000000")))
# Rows of orders for the copies of an order's events.
ORDERS = """
INSERT INTO ordering_write_order ({columns})
SELECT {values} FROM ordering_write_order CROSS JOIN (
    SELECT DISTINCT substr(stream, 7)::uuid AS copy FROM event WHERE stream LIKE 'order-%%'
) AS streams WHERE id = %s AND copy NOT IN (SELECT id FROM ordering_write_order)
"""
SPACE = """
SELECT sum(pg_total_relation_size(name::regclass)) / 1e6
FROM unnest(ARRAY['event', 'event_position', 'detached_span']) AS name
"""


class LongLog:
    """Copies of a cancelled order, archived."""

    def __init__(self) -> None:
        self.customer = kit.registered_customer()
        self.product = kit.registered_product(on_hand=1_000_000)
        lines = [(self.product, number) for number in range(1, size(2, full=6))]
        self.order = kit.placed_order(self.customer, *lines)
        for tag in ("gift", "fragile", "urgent")[: size(1, full=3)]:
            kit.dispatch(c.TagOrder(order_id=self.order.pk, tag=tag, user_id=kit.USER))
        kit.dispatch(kit.cancel(self.order))
        log.sequence()

    def lengthen(self, events: int) -> None:
        log.sequence(batches=math.inf)
        lengthen(self.order.stream.rpartition("-")[0], events=events)
        columns = [str(field.column) for field in Order._meta.concrete_fields]
        values = {
            "id": "copy",
            "order_number": "left(md5(copy::text), 20)",
            "external_reference": "NULL",
        }
        with connection.cursor() as cursor:
            cursor.execute(
                ORDERS.format(
                    columns=", ".join(columns),
                    values=", ".join(values.get(column, column) for column in columns),
                ),
                [self.order.pk],
            )
        list(archive(Storage(), events_of_file=size(30, full=250_000), rest=True))
        CommandRecord.objects.all().delete()

    def seconds_of_an_order(self) -> float:
        times = []
        for _ in range(size(1, full=200)):
            began = time.perf_counter()
            kit.placed_order(self.customer, (self.product, 2))
            times.append(time.perf_counter() - began)
        return sorted(times)[len(times) // 2]


def report(name: str, *figures: Any) -> None:
    if IS_PROOF:
        print(f"{name}: {', '.join(map(str, figures))}", flush=True)


def timed(name: str, act: Callable[[], Any]) -> Any:
    began, processor = time.perf_counter(), time.process_time()
    result = act()
    seconds, busy = time.perf_counter() - began, time.process_time() - processor
    report(name, f"{seconds:.1f} s by the clock, {busy:.1f} s of the process")
    return result


def let_go() -> None:
    for _ in detach(Storage(), list(ArchivedFile.objects.all())):
        pass


def let_go_in_child() -> None:
    connections.close_all()
    let_go()
    os._exit(0)


def megabytes() -> float:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) event, event_position, detached_span")
        cursor.execute(SPACE)
        return round(float(cursor.fetchone()[0]), 1)


@pytest.mark.proof
@pytest.mark.usefixtures("committed")
def test_a_long_log_that_has_left_is_read_as_before(tmp_path: Path, settings: Any) -> None:
    settings.ARCHIVE_URL = str(tmp_path)
    long_log = LongLog()
    timed("lengthen and archive", lambda: long_log.lengthen(EVENTS))
    end = ArchivedFile.objects.latest("first").last
    streams = replay.sample_streams([DomainEvent], until=end, limit=20)
    streams = [stream for stream in streams if stream.startswith("order-")]
    before = log.read_streams(streams)
    findings = timed("verify_log before", lambda: verified())
    report("an order before", f"{long_log.seconds_of_an_order() * 1000:.2f} ms")
    report("space before", megabytes(), "MB")

    stored = EventPosition.objects.count()
    child = multiprocessing.get_context("fork").Process(target=let_go_in_child)
    connections.close_all()
    child.start()
    # Killed in the middle, or after a part of the log that is so short.
    wait_until(
        lambda: EventPosition.objects.count() < stored, seconds=600, missing="no event has left"
    )
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert log.read_streams(streams) == before
    timed("detach, gone on with", let_go)
    remaining = EventPosition.objects.filter(position__lte=end).count()
    assert remaining < stored / 2
    report("stays", remaining, "of", end)
    report("space after", megabytes(), "MB")
    report("an order after", f"{long_log.seconds_of_an_order() * 1000:.2f} ms")

    assert log.read_streams(streams) == before
    timed("one stream", lambda: log.read_stream(streams[0]))
    timed("one command", lambda: detached.read_command(before[0].recorded.command_id))
    timed("position of an event", lambda: log.position_of(before[0].recorded.event_id))
    positions = timed("feed", lambda: fed(end))
    assert positions == list(range(1, end + 1))
    for after in range(0, end - 9, size(9, full=50_000)):
        batch = log.read_batch(after, 5)
        assert batch
        relayed = feed.read_commits(after=after, until=after + 5)
        assert [row["position"] for row in relayed] == list(range(after + 1, batch.position + 1))
    assert timed("verify_log after", lambda: verified()) == findings
    for number in range(size(1, full=3)):
        long_log.lengthen(EVENTS // 10)
        let_go()
        report(f"space after round {number + 1}", megabytes(), "MB")


@pytest.mark.proof
@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("death_type", DEATHS)
def test_a_crash_anywhere_while_events_leave_or_return_loses_nothing(
    death_type: type[Death], tmp_path: Path, settings: Any
) -> None:
    settings.ARCHIVE_URL = str(tmp_path)
    LongLog().lengthen(10)
    end = log.last_position()
    whole = log.read_at(range(1, end + 1))

    def prepare(undo: Act, act: Act) -> tuple[Act, Act]:
        undo()
        return act, partial(check_whole, act)

    def check_whole(act: Act) -> None:
        assert log.read_at(range(1, end + 1)) == whole
        assert (EventPosition.objects.count() < end) == (act is let_go)

    for undo, act in [(return_all, let_go), (let_go, return_all)]:
        crash_everywhere(partial(prepare, undo, act), death_type, pace=size(97, full=1))


def return_all() -> None:
    list(attach(Storage()))


def verified() -> list[str]:
    return sorted(
        str(finding)
        for finding in verification.verify(processes=2, progress=lambda _: None)
        if "order number" not in str(finding)
    )


def fed(end: int) -> list[int]:
    positions: list[int] = []
    while len(positions) < end:
        batch = feed.read_log(after=len(positions), types=[], limit=size(7, full=10_000))
        positions += [event.position or 0 for event in batch.events]
    return positions[:end]
