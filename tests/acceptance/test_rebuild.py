"""Rebuilding a service that runs: killed at every stage it goes on, and ends with the same rows."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from tests.acceptance.service import ROOT, Service, start, wait_until
from tests.acceptance.shop import Shop
from tests.proof import IS_PROOF, size

KILLS = size(3, full=6)
# Two events each.
ORDERS = 150


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("rebuild"), like=migrated) as service:
        shop = Shop(service)
        customer, product = shop.customer(), shop.product()
        for _ in range(ORDERS):
            shop.order(customer, product)
        service.settle()
        yield service


def building(service: Service) -> tuple[int, int]:
    """How many events the slices of the generation that is built have applied, of how many."""
    with service.read() as connection:
        rows = connection.execute(
            "SELECT coalesce(sum(slice.events), max(events_done)), max(events_total)"
            " FROM projection LEFT JOIN fill_slice slice ON slice.projection_id = projection.id"
            " WHERE status = 'building' AND events_total > 0 GROUP BY projection.id"
        ).fetchall()
    return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)


def generations(service: Service, name: str) -> list[str]:
    with service.read() as connection:
        rows = connection.execute(
            "SELECT status FROM projection WHERE name = %s ORDER BY status", [name]
        ).fetchall()
    return [status for (status,) in rows]


def begin(service: Service, log: Path, *, batch: int, throttle: int) -> "subprocess.Popen[bytes]":
    """Start a rebuild in two processes, which together apply ``throttle`` events a second."""
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
@pytest.mark.parametrize("victim", ["command", "process"])
def test_killed_at_any_stage_it_goes_on_where_it_was(
    service: Service, tmp_path: Path, victim: str
) -> None:
    before = service.rows()
    done = -1
    for stage in range(KILLS):
        # Slowly enough that there is time to kill between the batches.
        program = begin(service, tmp_path / "rebuild.log", batch=10, throttle=150)

        def has_come_to(stage: int = stage, program: Any = program, done: int = done) -> bool:
            applied, total = building(service)
            # What kills a process three times is parked, so that some of it is applied each time.
            is_time = total and applied >= total * stage / KILLS and applied > done
            return program.poll() is not None or bool(is_time)

        wait_until(has_come_to, seconds=60)
        children: Any = wait_until(partial(processes_or_end, program))
        if children is True:
            break
        # It doesn't begin anew: what was applied before stays applied.
        assert building(service)[0] >= done
        target = program if victim == "command" else children[0]
        target.send_signal(signal.SIGKILL)
        assert program.wait(30) != 0
        wait_until(partial(none_runs, children))
        done = building(service)[0]
        assert service.rows() == before

    finished = subprocess.run(
        [sys.executable, "manage.py", "rebuild_projections", "order_view", "--workers", "2"],
        env=service.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert "the same as before" in finished.stdout
    assert "differ" not in finished.stdout
    assert service.rows() == before
    assert generations(service, "order_view") == ["live", "retired"]


def test_a_rebuild_of_the_same_projection_is_refused_meanwhile(
    service: Service, tmp_path: Path
) -> None:
    # It would take minutes, so that it can't end before it is told to, however busy the machine.
    program = begin(service, tmp_path / "rebuild.log", batch=1, throttle=2)
    wait_until(lambda: building(service)[0], seconds=60)

    service.manage("rebuild_projections", "order_view", status=1)
    service.manage("rebuild_projections", "order_view", "--pause")
    # Each process ends the batch that it is at.
    paused = wait_until(lambda: settled(service), seconds=60)
    service.manage("rebuild_projections", "order_view", "--resume")
    wait_until(lambda: building(service)[0] > paused, seconds=60)
    service.manage("rebuild_projections", "order_view", "--cancel")

    assert program.wait(30) == 1
    assert "was cancelled" in (tmp_path / "rebuild.log").read_text()
    assert "building" not in generations(service, "order_view")


def settled(service: Service) -> int:
    """How far it has come, once it stays there for longer than a batch takes; 0 before."""
    first = building(service)[0]
    ends = time.monotonic() + 2.0
    while time.monotonic() < ends:
        if building(service)[0] != first:
            return 0
    return first


def test_an_empty_read_database_is_filled_by_the_workers(service: Service) -> None:
    before = service.rows()
    service.workers.terminate()
    service.workers.wait(10)
    with service.read() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")

    service.manage("migrate", "-v", "0")
    service.start_workers()

    service.settle(seconds=60)
    assert service.rows() == before


# Reads an order at a steady rate; prints how many reads there were, failed, and seconds they took.
READS = """
import time
from uuid import UUID
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById
bus, failed = get_query_bus(), 0
began = time.monotonic()
for number in range({reads}):
    time.sleep(max(0.0, began + number / {rate} - time.monotonic()))
    try:
        assert len(bus.dispatch(GetOrderById(order_id=UUID({order!r}))).items) == 1
    except Exception as error:
        print(type(error).__name__, error, flush=True)
        failed += 1
print({reads}, failed, time.monotonic() - began)
"""


# Lets new rows take over, and the former ones again, for so many seconds; prints how often.
TAKEOVERS = """
import time
from django.core.management import call_command
ends, takeovers = time.monotonic() + {seconds}, 0
while time.monotonic() < ends:
    call_command("rebuild_projections", "order_view", verbosity=0)
    call_command("rollback_projection", "order_view")
    takeovers += 2
    # One a second: it is the reads that the processors are for.
    time.sleep(1)
print("takeovers", takeovers)
"""


def answers_of(service: Service, order: str, over: Event) -> list[tuple[int, int, bool]]:
    """Of the order and of the list, read in turn: the status, the lines of the one, and whether the
    other had as many orders as there are."""
    client, found = Shop(service).admin, []
    while not over.wait(0.1):
        one, page = client.get(f"/orders/{order}"), client.get("/orders")
        assert page.status_code == 200
        lines = len(one.json()["items"]) if one.status_code == 200 else 0
        found.append((one.status_code, lines, page.json()["count"] == ORDERS))
    return found


@pytest.mark.proof
def test_reads_at_a_steady_rate_never_fail_while_rows_take_over(
    service: Service, tmp_path: Path
) -> None:
    """Reads of whole orders, by processes of their own; at full size 500 a second. They go by the
    query bus, since the web server answers fewer on two cores; one more client, which reads ten
    times a second, goes by HTTP."""
    readers, rate, seconds = size(2, full=4), size(25, full=125), size(6, full=30)
    order = Shop(service).admin.get("/orders").json()["results"][0]["id"]
    script = READS.format(reads=rate * seconds, rate=rate, order=order)
    logs = [tmp_path / f"reader-{number}.log" for number in range(readers)]
    running = [
        start(["manage.py", "shell", "-v", "0", "-c", script], service.environ, log) for log in logs
    ]

    over = Event()
    with ThreadPoolExecutor(1) as threads:
        answers = threads.submit(answers_of, service, order, over)
        try:
            script = TAKEOVERS.format(seconds=seconds)
            takeovers = service.manage("shell", "-v", "0", "-c", script).split("takeovers")[-1]
            assert [program.wait(120) for program in running] == [0] * readers
        finally:
            over.set()
        assert set(answers.result()) == {(200, 1, True)}

    told = [log.read_text().split() for log in logs]
    assert [(int(reads), int(failed)) for reads, failed, _ in told] == [
        (rate * seconds, 0)
    ] * readers
    assert int(takeovers) >= 2
    # At full size the rate is what is proved.
    longest = max(float(took) for *_, took in told)
    assert not IS_PROOF or longest < seconds * 1.1
