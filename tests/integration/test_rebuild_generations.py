"""Generations and rebuilds: rollback, discard, pause, cancel, a replaced log and other code."""

import inspect
import time
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.models.functions import Now
from django.test import Client

from config.accounts.models import User
from config.workers import tasks
from ordering_read.engine import control, fingerprint, generations, live
from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.status import statuses
from ordering_read.models import InventoryLevel, OrderSummary, Projection
from ordering_read.projections.inventory_level import InventoryProjection
from ordering_read.projector import registered
from tests import kit

pytestmark = pytest.mark.usefixtures("db")

NAME = "inventory_level"


def statuses_by_generation() -> dict[int, str]:
    rows = Projection.objects.filter(name=NAME)
    return dict(rows.values_list("generation", "status"))


def status_of_projection() -> str:
    [status] = [status for status in statuses() if status.name == NAME]
    return status.status


def generation(number: int) -> Projection:
    return Projection.objects.get(name=NAME, generation=number)


def register_and_rebuild() -> None:
    """Register a product, and rebuild its projection."""
    kit.registered_product()
    live.run(NAME)
    rebuild(NAME)


# --- The former generation ---------------------------------------------------------------------
def test_runners_keep_the_former_generation_up_to_date() -> None:
    register_and_rebuild()
    kit.registered_product()

    assert NAME in live.PROJECTIONS.lease().behind
    assert live.run(NAME) == 2 * 2

    assert generation(1).position == generation(2).position == 4
    assert InventoryLevel.objects.filter(projection=generation(1)).count() == 2
    assert NAME not in live.PROJECTIONS.lease().behind


def test_a_rollback_serves_the_former_generation_and_can_be_undone() -> None:
    register_and_rebuild()
    # These events aren't applied to the former generation yet.
    kit.registered_product()
    out = StringIO()

    call_command("rollback_projection", NAME, stdout=out)

    assert out.getvalue() == "inventory_level, generation 1, is served again.\n"
    assert statuses_by_generation() == {1: "live", 2: "retired"}
    assert InventoryLevel.live.count() == 2
    generations.roll_back(NAME)
    assert statuses_by_generation() == {1: "retired", 2: "live"}


def test_discard_generation_deletes_the_former_generation() -> None:
    register_and_rebuild()
    out = StringIO()

    call_command("discard_generation", NAME, stdout=out)

    assert out.getvalue() == "inventory_level, generation 1, was discarded.\n"
    assert statuses_by_generation() == {2: "live"}
    assert InventoryLevel.objects.count() == 1


@pytest.mark.parametrize("command", ["rollback_projection", "discard_generation"])
def test_a_projection_without_a_former_generation_is_refused(command: str) -> None:
    with pytest.raises(CommandError, match="inventory_level has no former generation"):
        call_command(command, NAME)
    with pytest.raises(CommandError, match="There is no projection 'nothing'"):
        call_command(command, "nothing")


def test_a_former_generation_is_discarded_after_some_days(settings: Any) -> None:
    settings.PROJECTION_KEEP_RETIRED_DAYS = 7
    register_and_rebuild()
    retired = Projection.objects.filter(name=NAME, generation=1)

    tasks.project_all()
    assert statuses_by_generation() == {1: "retired", 2: "live"}
    retired.update(retired_at=Now() - timedelta(days=8))
    tasks.project_all()
    assert statuses_by_generation() == {2: "live"}


def test_a_discard_that_was_killed_is_finished_later() -> None:
    register_and_rebuild()
    Projection.objects.filter(name=NAME, generation=1).update(status="discarded")

    with pytest.raises(generations.NoFormerGenerationError):
        generations.roll_back(NAME)
    tasks.project_all()

    assert statuses_by_generation() == {2: "live"}


# --- Rebuild control ---------------------------------------------------------------------------
def test_a_rebuild_waits_while_it_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    kit.registered_product()
    waits = []

    def sleep(seconds: float) -> None:
        waits.append((generation(2).events_done, status_of_projection()))
        if len(waits) == 3:
            call_command("rebuild_projections", NAME, "--resume", stdout=out)

    def pause(done: int, total: int) -> None:
        if done == 1 and not waits:
            call_command("rebuild_projections", NAME, "--pause", stdout=out)

    out = StringIO()
    monkeypatch.setattr(control.time, "sleep", sleep)
    monkeypatch.setattr(generations, "exclusive", busy_but_first())

    rebuild(NAME, batch=1, progress=pause)

    assert waits == [(1, "paused")] * 3
    assert out.getvalue().splitlines() == [
        "inventory_level: the rebuild pauses after its batch; --resume resumes it.",
        "inventory_level: the rebuild resumes.",
    ]
    assert statuses_by_generation() == {1: "retired", 2: "live"}


def test_pauses_dont_lower_the_rate_of_a_rebuild(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        kit.registered_product()
    live.run(NAME)
    building = Projection.objects.filter(name=NAME, generation=2)

    pauses: list[float] = []
    monotonic = time.monotonic
    clock = SimpleNamespace(monotonic=lambda: monotonic() + sum(pauses), sleep=time.sleep)

    def wait(*_arguments: Any, **_options: Any) -> None:
        pauses.append(1_000.0)

    monkeypatch.setattr("ordering_read.engine.rebuild.time", clock)
    monkeypatch.setattr(control, "wait_while_paused", wait)
    rates = []

    rebuild(NAME, batch=1, progress=lambda done, total: rates.append(building.get()))

    rate = rates[4].events_per_second
    assert len(pauses) >= 4
    assert rate
    assert rate > 4 / sum(pauses[:4])


def busy_but_first() -> Any:
    """Refuse all locks but the first, as other sessions see it."""
    exclusive, is_first = generations.exclusive, iter([True])

    def refuse_after_first(name: str) -> Any:
        if next(is_first, False):
            return exclusive(name)
        raise generations.BusyError(name)

    return refuse_after_first


def test_a_running_rebuild_is_cancelled_between_two_batches() -> None:
    kit.registered_product()

    def cancel(done: int, total: int) -> None:
        if done == 1:
            Projection.objects.filter(name=NAME, generation=2).update(rebuild_request="cancel")

    with pytest.raises(control.RebuildCancelledError, match="the rows that were served stay"):
        rebuild(NAME, batch=1, progress=cancel)

    assert statuses_by_generation() == {1: "live"}
    assert not InventoryLevel.objects.filter(projection__generation=2).exists()


def test_a_killed_rebuild_is_cancelled_at_once() -> None:
    def kill(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    kit.registered_product()
    with pytest.raises(KeyboardInterrupt):
        rebuild(NAME, batch=1, progress=kill)
    out = StringIO()

    call_command("rebuild_projections", NAME, "--cancel", stdout=out)

    assert "its rows are deleted" in out.getvalue()
    assert statuses_by_generation() == {1: "live"}


@pytest.mark.parametrize("option", ["--pause", "--resume", "--cancel"])
def test_rebuild_control_without_a_rebuild_is_refused(option: str) -> None:
    with pytest.raises(CommandError, match="inventory_level isn't being rebuilt"):
        call_command("rebuild_projections", NAME, option)
    with pytest.raises(CommandError, match="Nothing is being rebuilt"):
        call_command("rebuild_projections", option)


def test_rebuild_control_without_a_name_goes_to_all_rebuilds() -> None:
    names = ["inventory_level", "stock_ledger"]
    for name in names:
        generations.add(name, Projection.Status.BUILDING)
    out = StringIO()

    call_command("rebuild_projections", "--pause", stdout=out)
    call_command("rebuild_projections", "--all", "--cancel", stdout=out)

    lines = [line.partition(":")[0] for line in out.getvalue().splitlines()]
    assert lines == [*names, *names]
    assert not Projection.objects.filter(status=Projection.Status.BUILDING).exists()


def test_an_option_that_is_no_positive_number_is_refused(subtests: pytest.Subtests) -> None:
    option_cases = [
        ("rebuild_projections", "--workers"),
        ("rebuild_projections", "--batch"),
        ("rebuild_projections", "--throttle"),
        ("verify_projections", "--sample"),
    ]
    for number in ["0", "-1", "1.5", "many"]:
        for option in option_cases:
            with subtests.test(option=option, number=number):
                command, name = option
                with pytest.raises(
                    CommandError, match=f"{name}: {number} isn't a whole number of 1 or more"
                ):
                    call_command(command, f"{name}={number}")


@pytest.mark.parametrize("seconds", ["-1", "nan", "soon"])
def test_seconds_below_0_are_refused(seconds: str) -> None:
    with pytest.raises(CommandError, match=f"{seconds} isn't a number of 0 or more"):
        call_command("projection_status", f"--fail-over={seconds}")


# --- The log -----------------------------------------------------------------------------------
def restore_the_log_to(position: int) -> None:
    """Delete the events after ``position``, like the restore of an older backup."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM event_position WHERE position > %s", [position])
        cursor.execute("DELETE FROM event WHERE id NOT IN (SELECT event_id FROM event_position)")


@pytest.mark.parametrize("grown", [0, 1, 2])
def test_a_log_from_a_backup_stops_the_projection_until_it_is_rebuilt(grown: int) -> None:
    kit.registered_product()
    kit.registered_product()
    live.run(NAME)
    restore_the_log_to(2)
    for _ in range(grown):
        kit.registered_product()

    if grown != 1:
        # A log of the same length is noticed with the next event.
        assert NAME in live.PROJECTIONS.lease().behind
    assert live.run(NAME) == 0

    [stopped] = [status for status in statuses() if status.name == NAME]
    assert stopped.status == "failed"
    assert (
        "inventory_level, generation 1: the log isn't the one that was read" in stopped.last_error
    )
    assert stopped.last_error.endswith("rebuild.")
    assert stopped.lag_events >= 0

    rebuilt = rebuild(NAME)

    assert rebuilt.compared == []
    assert rebuilt.not_compared == "the rows that are served were made from another log"
    assert statuses_by_generation() == {2: "live"}
    assert InventoryLevel.live.count() == 1 + grown
    assert status_of_projection() == "live"


# --- The code fingerprint ----------------------------------------------------------------------
def test_a_generation_has_the_fingerprint_of_its_code() -> None:
    assert generation(1).code_fingerprint == code_fingerprint(NAME)
    assert len({code_fingerprint(name) for name in registered()}) == len(registered())


def test_changed_code_of_the_same_version_makes_rows_outdated() -> None:
    out = StringIO()
    call_command("check", "--database", "read", stderr=out)
    assert "ordering_read.W" not in out.getvalue()
    Projection.objects.filter(name=NAME).update(code_fingerprint="of other code")

    call_command("check", "--database", "read", stderr=out)

    assert "The rows of inventory_level were made by other code of the same version" in (
        out.getvalue()
    )
    assert status_of_projection() == "outdated"
    rebuild(NAME)
    assert status_of_projection() == "live"


def test_the_system_check_passes_before_migrations() -> None:
    with connections["read"].cursor() as cursor:
        cursor.execute("ALTER TABLE projection DROP COLUMN late_at")

    call_command("check", "--database", "read", stderr=StringIO())


@pytest.mark.parametrize(
    ("changed", "makes_rows_of"),
    [
        ("projections.timeline_sentences", {"order_timeline"}),
        ("projections.order_documents", {"order_view"}),
        ("projections.receivables", {"customer_stats", "sales_by_day", "tax_by_day"}),
        ("models.search", {"search"}),
        ("models.search_words", {"search"}),
    ],
)
def test_shared_code_is_in_the_fingerprint_of_each_projection(
    changed: str, makes_rows_of: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: code_fingerprint(name) for name in registered()}
    getsource = inspect.getsource

    def edit_source(module: Any) -> str:
        is_edited = module.__name__ == f"ordering_read.{changed}"
        return getsource(module) + ("\nEDITED = True" if is_edited else "")

    monkeypatch.setattr("inspect.getsource", edit_source)
    fingerprint._code.cache_clear()
    after = {name: code_fingerprint(name) for name in registered()}
    fingerprint._code.cache_clear()

    assert {name for name in after if after[name] != before[name]} == makes_rows_of


def test_comments_docstrings_and_layout_dont_change_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = "class Some:\n    x = 1\n"
    monkeypatch.setattr("inspect.getsource", lambda module: source)
    fingerprint._code.cache_clear()
    before = code_fingerprint(NAME)
    source = '# Why.\nclass Some:\n    """A class."""\n\n    x = (1)\n'
    fingerprint._code.cache_clear()
    assert code_fingerprint(NAME) == before
    source = "class Some:\n    x = 2\n"
    fingerprint._code.cache_clear()
    assert code_fingerprint(NAME) != before
    fingerprint._code.cache_clear()


def test_the_stores_time_zone_changes_the_fingerprint_of_projections_by_day(settings: Any) -> None:
    before = {name: code_fingerprint(name) for name in registered()}

    settings.STORE_TIME_ZONE = "Pacific/Auckland"

    changed = {name for name in registered() if code_fingerprint(name) != before[name]}
    assert {"sales_by_day", "sales_by_product"} <= changed
    assert not changed & {"inventory_level", "order_timeline", "status_counter", "stock_ledger"}


def test_a_throttle_limits_events_that_are_committed_meanwhile_too() -> None:
    for _ in range(5):
        kit.registered_product()

    more = iter(range(5))

    def grow(done: int, total: int) -> None:
        if done == total:
            for _ in more:
                kit.registered_product()

    began = time.monotonic()
    rebuilt = rebuild(NAME, batch=2, throttle=40, progress=grow)

    assert rebuilt.events == 20
    assert time.monotonic() - began > 20 / 40 * 0.8


def test_the_api_and_the_admin_show_the_progress_of_a_rebuild(
    client: Client, admin_user: User
) -> None:
    kit.registered_product()
    client.force_login(admin_user)
    shown: dict[int, Any] = {}

    def look(done: int, total: int) -> None:
        results = client.get("/api/v1/projections").json()["results"]
        [item] = [result for result in results if result["name"] == NAME]
        page = client.get("/admin/ordering_read/projection/").content.decode()
        shown[done] = (item["status"], item["rebuild"], f"{done} of 2 events" in page)

    rebuild(NAME, batch=1, progress=look)

    assert shown.keys() == {0, 1, 2}
    for done, (status, progress, is_on_page) in shown.items():
        assert status == "building"
        assert (progress["events_done"], progress["events_total"]) == (done, 2)
        assert (progress["seconds_left"] is None) == (done == 0)
        assert is_on_page
    look(2, 2)
    assert shown[2][:2] == ("live", None)


def test_a_promoted_generation_keeps_its_progress() -> None:
    kit.registered_product()
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))

    rebuild("order_view")

    row = Projection.objects.get(name="order_view", status="live")
    assert row.events_done == row.events_total == 2
    assert row.events_per_second is not None
    assert OrderSummary.live.count() == 1
    assert InventoryProjection.sliced_by == "stream"
