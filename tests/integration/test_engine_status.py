"""The status of projections and workers, and waiting for projections."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from threading import Timer
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.db.models.functions import Now

from ordering_read.engine import live, status
from ordering_read.engine.waiting import wait
from ordering_read.management.commands import projection_status
from ordering_read.models import Projection, Worker
from ordering_read.projector import UnknownProjectionError, registered
from ordering_write import published
from tests import kit
from tests.patience import on_this_machine

pytestmark = pytest.mark.usefixtures("db")


def status_of(name: str) -> status.ProjectionStatus:
    [projection] = [row for row in status.statuses() if row.name == name]
    return projection


def run_all() -> None:
    for name in registered():
        live.run(name)


def test_level_projections_have_no_lag() -> None:
    kit.registered_product()
    run_all()

    assert [row.name for row in status.statuses()] == sorted(registered())
    for row in status.statuses():
        assert (row.position, row.head, row.lag_events, row.lag_seconds) == (2, 2, 0, 0.0)
        assert (row.status, row.last_error, row.generation) == ("live", "", 1)
    positions = {name: position for name, (position, _) in status.checkpoints().items()}
    assert positions == dict.fromkeys(registered(), 2)


def test_lag_is_the_age_of_the_oldest_event_that_is_not_applied() -> None:
    kit.registered_product()
    run_all()
    kit.registered_product()
    time.sleep(0.05)
    newest = time.monotonic()
    kit.registered_product()

    # Before and after the events get positions.
    for _ in range(2):
        late = status_of("order_view")
        assert late.lag_events == 4
        assert time.monotonic() - newest < late.lag_seconds < on_this_machine(10)
        published.sequence()


def test_an_empty_log_has_no_lag() -> None:
    assert {row.lag_seconds for row in status.statuses()} == {0.0}


def test_the_number_of_queries_is_independent_of_the_lag(
    django_assert_num_queries: Any,
) -> None:
    for products in (0, 5):
        for _ in range(products):
            kit.registered_product()
        live.run("order_view")
        with (
            django_assert_num_queries(1, using="read"),
            django_assert_num_queries(1, using="default"),
        ):
            status.statuses()


def test_a_projection_is_live_outdated_building_or_failed() -> None:
    rows = Projection.objects.filter(name="order_view")
    assert status_of("order_view").status == "live"

    rows.update(version=0)
    assert status_of("order_view").status == "outdated"

    building = Projection.objects.create(
        name="order_view", generation=2, version=1, status=Projection.Status.BUILDING
    )
    assert status_of("order_view").status == "building"
    # A killed rebuild isn't building any more.
    Projection.objects.filter(pk=building.pk).update(updated_at=Now() - timedelta(minutes=2))
    assert status_of("order_view").status == "outdated"

    rows.filter(generation=1).update(error="ValueError: no", failed_at=Now())
    assert status_of("order_view").status == "failed"
    assert status_of("order_view").last_error == "ValueError: no"


@pytest.mark.parametrize("seconds", [15, 150])
def test_workers_count_until_they_are_silent_for_too_long(settings: Any, seconds: int) -> None:
    settings.WORKER_SILENCE_SECONDS = seconds
    assert status.workers_seen() == 0
    status.heartbeat()
    status.heartbeat()
    assert status.workers_seen() == 1

    Worker.objects.update(seen_at=Now() - timedelta(seconds=seconds - 5))
    assert status.workers_seen() == 1
    Worker.objects.update(seen_at=Now() - timedelta(seconds=seconds + 1))
    assert status.workers_seen() == 0
    # The cluster is back, after a stop or an outage.
    status.heartbeat()
    assert status.workers_seen() == 1


def test_a_cluster_that_ended_without_a_word_is_shown_for_an_hour() -> None:
    status.heartbeat()
    Worker.objects.update(pid=1, seen_at=Now() - timedelta(minutes=59))
    status.heartbeat()
    assert [worker.is_silent for worker in status.workers()] == [False, True]
    Worker.objects.filter(pid=1).update(seen_at=Now() - timedelta(minutes=61))
    status.heartbeat()
    [worker] = status.workers()

    status.forget_worker(worker.pid)

    assert status.workers() == []


def test_the_silence_limit_is_longer_than_the_pause_between_two_heartbeats(settings: Any) -> None:
    script = "from django.conf import settings; print(settings.WORKER_SILENCE_SECONDS)"
    limits = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"QUEUE_BROKER": broker, "DJANGO_SETTINGS_MODULE": "config.settings"},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for broker in ("", "django_q.brokers.orm.ORM")
    ]
    # Our cluster sends a heartbeat every two seconds, django-q2's own cluster one a minute.
    assert limits == ["15", "150"]


def test_projection_status_shows_a_table() -> None:
    kit.registered_product()
    live.run("order_view")
    out = StringIO()

    call_command("projection_status", stdout=out)

    lines = {line.split()[0]: line.split() for line in out.getvalue().splitlines()}
    assert lines["order_view"] == ["order_view", "live", "2", "2", "0", "0.0", "0"]
    assert lines["inventory_level"][:5] == ["inventory_level", "live", "0", "2", "2"]


def test_projection_status_watches_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(projection_status.time, "sleep", sleep)
    kit.registered_product()
    for options, is_terminal, text in (
        (["--watch"], False, "\norder_view"),
        (["--watch"], True, "\x1b[H\x1b[Jprojection"),
        (["--watch", "--json"], True, '"name": "order_view"'),
    ):
        looks.clear()
        out = StringIO()
        monkeypatch.setattr(out, "isatty", lambda answer=is_terminal: answer, raising=False)

        call_command("projection_status", *options, stdout=out)

        assert looks == [1, 1], options
        assert out.getvalue().count(text) == 2, options
        assert ("\x1b" in out.getvalue()) == text.startswith("\x1b")
    documents = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {item["name"]: item["lag_events"] for item in documents[1]["projections"]} == (
        dict.fromkeys(registered(), 2)
    )


def test_projection_status_exits_with_1_for_a_lag_or_a_failure() -> None:
    call_command("projection_status", "--fail-over", "0", stdout=StringIO())
    kit.registered_product()
    call_command("projection_status", "--fail-over", "60", stdout=StringIO())

    with pytest.raises(CommandError, match=r"more than 0 s behind the log: .*order_view"):
        call_command("projection_status", "--fail-over", "0", stdout=StringIO())
    Projection.objects.filter(name="order_view").update(error="ValueError: no")
    with pytest.raises(CommandError, match=r"Failed, .* the log: order_view\."):
        call_command("projection_status", "--fail-over", "60", stdout=StringIO())


# --- Waiting -----------------------------------------------------------------------------------
def new_event_id() -> Any:
    """Commit events; returns the id of the last one."""
    kit.registered_product()
    return kit.OutboxEvent.objects.latest("id").event_id


def test_wait_looks_at_the_named_projections_or_at_all() -> None:
    event_id = new_event_id()
    live.run("order_view")

    assert wait(event_id=event_id, projections=["order_view"], timeout=0)
    assert not wait(event_id=event_id, projections=["order_view", "inventory_level"], timeout=0.05)
    assert not wait(event_id=event_id, projections=[], timeout=0)
    run_all()
    assert wait(event_id=event_id, projections=[], timeout=0)


def test_wait_ends_after_its_timeout() -> None:
    began = time.monotonic()

    assert not wait(event_id=new_event_id(), projections=["order_view"], timeout=0.2)

    assert 0.2 <= time.monotonic() - began < on_this_machine(2)


def test_waiting_for_an_unknown_projection_is_refused() -> None:
    with pytest.raises(UnknownProjectionError, match="'nothing'"):
        wait(event_id=new_event_id(), projections=["nothing"], timeout=1)


@pytest.mark.parametrize("pooler", ["", "transaction"])
@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_wait_ends_as_soon_as_the_projection_has_passed_the_event(
    pooler: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Behind a pooler of transactions, nobody can listen.
    monkeypatch.setitem(settings.DATABASES["read"], "POOLER", pooler)

    def run() -> None:
        live.run("order_view")
        connections.close_all()

    event_id = new_event_id()
    began = time.monotonic()
    timer = Timer(0.1, run)
    timer.start()

    assert wait(event_id=event_id, projections=["order_view"], timeout=20)

    assert time.monotonic() - began < on_this_machine(10)
    timer.join()


def test_wait_returns_false_while_the_database_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(event_id: Any) -> int:
        raise DatabaseError("gone")

    event_id = new_event_id()
    monkeypatch.setattr(published, "position_of", fail)

    assert not wait(event_id=event_id, projections=["order_view"], timeout=1)
