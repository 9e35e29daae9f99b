"""Rebuilds of a running service: killed at any stage, they go on and make the same rows."""

import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import CommandError
from django.utils import timezone

from tests import kit
from tests.acceptance.service import Service, start, wait_until
from tests.patience import PATIENCE_SECONDS
from tests.proof import IS_PROOF, size

KILLS = size(2, full=12)
# Two events each.
ORDERS = size(40, full=150)
# Events a second of a rebuild that is killed: slowly enough that it can be killed between batches.
THROTTLE = 50


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("rebuild"), like=migrated, web=False) as service:
        with service.connected():
            customer, product = kit.registered_customer(), kit.registered_product(on_hand=1_000)
            for _ in range(ORDERS):
                # The orders are of today: the workers would expire older ones.
                kit.placed_order(customer, (product, 1), timestamp=timezone.now())
        service.settle()
        yield service


def building(service: Service) -> tuple[int, int]:
    """Return the events that the building generation has applied, and those that it will apply."""
    rows = service.read_rows(
        "SELECT coalesce(sum(slice.events), max(events_done)), max(events_total)"
        " FROM projection LEFT JOIN fill_slice slice ON slice.projection_id = projection.id"
        " WHERE status = 'building' AND events_total > 0 GROUP BY projection.id"
    )
    return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)


def generations(service: Service, name: str) -> list[str]:
    rows = service.read_rows("SELECT status FROM projection WHERE name = %s ORDER BY status", name)
    return [status for (status,) in rows]


def begin(service: Service, log: Path, *, batch: int, throttle: int) -> "subprocess.Popen[bytes]":
    """Start a rebuild by two processes, which together apply ``throttle`` events a second."""
    options = ["--workers", "2", "--batch", str(batch), "--throttle", str(throttle)]
    command = ["manage.py", "rebuild_projections", "order_view", *options]
    return start(command, service.environ, log)


def processes(program: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    try:
        return psutil.Process(program.pid).children()
    except psutil.NoSuchProcess:
        return []


def processes_or_end(program: "subprocess.Popen[bytes]") -> list[psutil.Process] | bool:
    """Return the processes of ``program``; without any, True if it has ended."""
    return processes(program) or program.poll() is not None


def none_runs(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() for process in processes)


@pytest.mark.proof
def test_a_rebuild_that_is_killed_goes_on_where_it_was(service: Service, tmp_path: Path) -> None:
    """The kills hit a process of the rebuild and the command itself in turn."""
    before = service.rows()
    done = -1
    for stage in range(KILLS):
        program = begin(service, tmp_path / "rebuild.log", batch=10, throttle=THROTTLE)

        def has_come_to(stage: int = stage, program: Any = program, done: int = done) -> bool:
            applied, total = building(service)
            # An event that kills a process three times is parked: apply some events each time.
            is_time = total and applied >= total * stage / KILLS and applied > done
            return program.poll() is not None or bool(is_time)

        wait_until(has_come_to)
        children: Any = wait_until(partial(processes_or_end, program))
        if children is True:
            break
        # The rebuild doesn't begin anew: applied events stay applied.
        assert building(service)[0] >= done
        target = program if stage % 2 else children[0]
        target.send_signal(signal.SIGKILL)
        assert program.wait(PATIENCE_SECONDS) != 0
        wait_until(partial(none_runs, children))
        done = building(service)[0]
        assert service.rows() == before

    output = service.call("rebuild_projections", "order_view", "--workers", "1")

    assert "the same as before" in output
    assert "differ" not in output
    assert service.rows() == before
    assert generations(service, "order_view") == ["live", "retired"]


def test_a_second_rebuild_of_a_projection_is_refused(service: Service, tmp_path: Path) -> None:
    # It would take minutes: it can't end before it is cancelled, however busy the machine is.
    program = begin(service, tmp_path / "rebuild.log", batch=1, throttle=2)
    wait_until(lambda: building(service)[0])

    with pytest.raises(CommandError, match="order_view is being rebuilt"):
        service.call("rebuild_projections", "order_view", "--workers", "1")
    service.call("rebuild_projections", "order_view", "--pause")
    # Each process ends its batch first.
    paused = wait_until(lambda: settled(service))
    service.call("rebuild_projections", "order_view", "--resume", "--workers", "1")
    wait_until(lambda: building(service)[0] > paused)
    service.call("rebuild_projections", "order_view", "--cancel")

    assert program.wait(PATIENCE_SECONDS) == 1
    assert "was cancelled" in (tmp_path / "rebuild.log").read_text()
    assert "building" not in generations(service, "order_view")


def settled(service: Service) -> int:
    """Return the applied events once the number stays for longer than a batch takes; else 0."""
    first = building(service)[0]
    ends = time.monotonic() + 2.0
    while time.monotonic() < ends:
        time.sleep(0.1)
        if building(service)[0] != first:
            return 0
    return first


def test_an_empty_read_database_is_filled_by_the_workers(service: Service) -> None:
    before = service.rows()
    service.stop_workers()
    with service.read() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")

    service.call("migrate", "-v", "0")
    service.start_workers()

    service.settle()
    assert service.rows() == before


# Reads an order at a steady rate, and now and then the list of all. Prints a line when it begins,
# then the reads, the failed ones, and the seconds of all.
READS = """
import time
from uuid import UUID
from ordering_read.queries import get_query_bus
from ordering_read.queries.order_lists import ListOrders
from ordering_read.queries.orders import GetOrderById
bus, failed = get_query_bus(), 0
print("begins", flush=True)
began = time.monotonic()
for number in range({reads}):
    time.sleep(max(0.0, began + number / {rate} - time.monotonic()))
    try:
        assert len(bus.dispatch(GetOrderById(order_id=UUID({order!r}))).items) == 1
        assert number % 10 or bus.dispatch(ListOrders()).count == {orders}
    except Exception as error:
        print(type(error).__name__, error, flush=True)
        failed += 1
print({reads}, failed, time.monotonic() - began)
"""


def take_over(service: Service, *, seconds: int) -> int:
    """Promote new rows and roll back to the former ones, for some seconds; return how often."""
    ends, takeovers = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        service.call("rebuild_projections", "order_view", "--workers", "1")
        service.call("rollback_projection", "order_view")
        takeovers += 2
        # One a second, to leave the processors to the reads.
        time.sleep(1)
    return takeovers


@pytest.mark.proof
def test_reads_at_a_steady_rate_never_fail_while_rows_take_over(
    service: Service, tmp_path: Path
) -> None:
    """Processes read whole orders, at full size 500 a second. They use the query bus, since the
    web server answers fewer on two cores; test_concurrency.py reads over HTTP."""
    readers, rate, seconds = size(1, full=4), size(25, full=125), size(4, full=30)
    [(order,)] = service.read_rows("SELECT id::text FROM order_summary LIMIT 1")
    script = READS.format(reads=rate * seconds, rate=rate, order=order, orders=ORDERS)
    logs = [tmp_path / f"reader-{number}.log" for number in range(readers)]
    running = [
        start(["manage.py", "shell", "-v", "0", "-c", script], service.environ, log) for log in logs
    ]
    wait_until(lambda: all(log.read_text() for log in logs), missing="no process reads")

    takeovers = take_over(service, seconds=seconds)

    assert [program.wait(5 * PATIENCE_SECONDS) for program in running] == [0] * readers
    outputs = [log.read_text().split() for log in logs]
    assert [(int(reads), int(failed)) for _, reads, failed, _ in outputs] == [
        (rate * seconds, 0)
    ] * readers
    assert takeovers >= 2
    # The proof at full size is about the rate.
    longest = max(float(took) for *_, took in outputs)
    assert not IS_PROOF or longest < seconds * 1.1
