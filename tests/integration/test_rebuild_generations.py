"""What comes after a rebuild, and into it: roll back, discard, pause, cancel, a replaced log."""

import inspect
import time
from datetime import timedelta
from io import StringIO
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


def known() -> dict[int, str]:
    rows = Projection.objects.filter(name=NAME)
    return dict(rows.values_list("generation", "status"))


def generation(number: int) -> Projection:
    return Projection.objects.get(name=NAME, generation=number)


def rebuilt() -> None:
    """A product, and a generation that another one has replaced."""
    kit.registered_product()
    live.run(NAME)
    rebuild(NAME)


# --- The former generation ---------------------------------------------------------------------
def test_the_workers_keep_the_former_generation_up_to_date() -> None:
    rebuilt()
    kit.registered_product()

    assert NAME in live.PROJECTIONS.lease().behind
    assert live.run(NAME) == 2 * 2

    assert generation(1).position == generation(2).position == 4
    assert InventoryLevel.objects.filter(projection=generation(1)).count() == 2
    assert NAME not in live.PROJECTIONS.lease().behind


def test_one_can_return_to_it_and_back_again() -> None:
    rebuilt()
    # Events that the workers have not applied to it yet.
    kit.registered_product()
    out = StringIO()

    call_command("rollback_projection", NAME, stdout=out)

    assert out.getvalue() == "inventory_level, generation 1, is served again.\n"
    assert known() == {1: "live", 2: "retired"}
    assert InventoryLevel.live.count() == 2
    generations.roll_back(NAME)
    assert known() == {1: "retired", 2: "live"}


def test_it_is_discarded_when_asked() -> None:
    rebuilt()
    out = StringIO()

    call_command("discard_generation", NAME, stdout=out)

    assert out.getvalue() == "inventory_level, generation 1, was discarded.\n"
    assert known() == {2: "live"}
    assert InventoryLevel.objects.count() == 1


@pytest.mark.parametrize("command", ["rollback_projection", "discard_generation"])
def test_there_may_be_none(command: str) -> None:
    with pytest.raises(CommandError, match="inventory_level has no former generation"):
        call_command(command, NAME)
    with pytest.raises(CommandError, match="There is no projection 'nothing'"):
        call_command(command, "nothing")


def test_it_is_discarded_when_its_time_is_over(settings: Any) -> None:
    settings.PROJECTION_KEEP_RETIRED_DAYS = 7
    rebuilt()
    retired = Projection.objects.filter(name=NAME, generation=1)

    tasks.project_all()
    assert known() == {1: "retired", 2: "live"}
    retired.update(retired_at=Now() - timedelta(days=8))
    tasks.project_all()
    assert known() == {2: "live"}


def test_a_discard_that_was_killed_is_finished_later() -> None:
    rebuilt()
    Projection.objects.filter(name=NAME, generation=1).update(status="discarded")

    with pytest.raises(generations.NoFormerGenerationError):
        generations.roll_back(NAME)
    tasks.project_all()

    assert known() == {2: "live"}


# --- What a rebuild is asked to do -------------------------------------------------------------
def test_a_rebuild_waits_while_it_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    kit.registered_product()
    waited = []

    def sleep(seconds: float) -> None:
        [one] = [one for one in statuses() if one.name == NAME]
        waited.append((generation(2).events_done, one.status))
        if len(waited) == 3:
            call_command("rebuild_projections", NAME, "--resume", stdout=out)

    def pause(done: int, total: int) -> None:
        if done == 1 and not waited:
            call_command("rebuild_projections", NAME, "--pause", stdout=out)

    out = StringIO()
    monkeypatch.setattr(control.time, "sleep", sleep)
    monkeypatch.setattr(generations, "exclusive", busy_but_first())

    rebuild(NAME, batch=1, progress=pause)

    assert waited == [(1, "paused")] * 3
    assert out.getvalue().splitlines() == [
        "inventory_level: the rebuild pauses after its batch; --resume resumes it.",
        "inventory_level: the rebuild resumes.",
    ]
    assert known() == {1: "retired", 2: "live"}


def test_the_time_that_a_rebuild_waits_says_nothing_of_its_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        kit.registered_product()
    live.run(NAME)
    building = Projection.objects.filter(name=NAME, generation=2)

    def wait(*_arguments: Any, **_options: Any) -> None:
        time.sleep(0.5)

    monkeypatch.setattr(control, "wait_while_paused", wait)
    began = time.monotonic()
    rates = []

    rebuild(NAME, batch=1, progress=lambda done, total: rates.append(building.get()))

    waited = 4 * 0.5
    worked = time.monotonic() - began - waited
    assert worked < waited
    rate = rates[4].events_per_second
    assert rate
    assert rate > 4 / waited


def busy_but_first() -> Any:
    """As other processes see it: a session's own lock doesn't keep it out."""
    alone, is_first = generations.exclusive, iter([True])

    def once(name: str) -> Any:
        if next(is_first, False):
            return alone(name)
        raise generations.BusyError(name)

    return once


def test_a_rebuild_that_runs_is_cancelled_between_two_batches() -> None:
    kit.registered_product()

    def cancel(done: int, total: int) -> None:
        if done == 1:
            Projection.objects.filter(name=NAME, generation=2).update(rebuild_request="cancel")

    with pytest.raises(control.RebuildCancelledError, match="the rows that were served stay"):
        rebuild(NAME, batch=1, progress=cancel)

    assert known() == {1: "live"}
    assert not InventoryLevel.objects.filter(projection__generation=2).exists()


def test_a_rebuild_that_was_killed_is_cancelled_at_once() -> None:
    def kill(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    kit.registered_product()
    with pytest.raises(KeyboardInterrupt):
        rebuild(NAME, batch=1, progress=kill)
    out = StringIO()

    call_command("rebuild_projections", NAME, "--cancel", stdout=out)

    assert "its rows are deleted" in out.getvalue()
    assert known() == {1: "live"}


@pytest.mark.parametrize("wish", ["--pause", "--resume", "--cancel"])
def test_without_a_rebuild_there_is_nothing_to_ask(wish: str) -> None:
    with pytest.raises(CommandError, match="inventory_level isn't being rebuilt"):
        call_command("rebuild_projections", NAME, wish)
    with pytest.raises(CommandError, match="Nothing is being rebuilt"):
        call_command("rebuild_projections", wish)


def test_all_that_are_being_rebuilt_are_asked_when_none_is_named() -> None:
    names = ["inventory_level", "stock_ledger"]
    for name in names:
        generations.add(name, Projection.Status.BUILDING)
    out = StringIO()

    call_command("rebuild_projections", "--pause", stdout=out)
    call_command("rebuild_projections", "--all", "--cancel", stdout=out)

    told = [line.partition(":")[0] for line in out.getvalue().splitlines()]
    assert told == [*names, *names]
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
def test_seconds_that_make_no_sense_are_refused(seconds: str) -> None:
    with pytest.raises(CommandError, match=f"{seconds} isn't a number of 0 or more"):
        call_command("projection_status", f"--fail-over={seconds}")


# --- The log -----------------------------------------------------------------------------------
def restore_the_log_to(position: int) -> None:
    """What a backup from back then would bring."""
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
        # At the very same position it is seen with the next event.
        assert NAME in live.PROJECTIONS.lease().behind
    assert live.run(NAME) == 0

    [stopped] = [one for one in statuses() if one.name == NAME]
    assert stopped.status == "failed"
    assert (
        "The log isn't the one that inventory_level, generation 1, has read" in stopped.last_error
    )
    assert stopped.last_error.endswith("rebuild.")
    assert stopped.lag_events >= 0

    found = rebuild(NAME)

    assert found.compared == []
    assert found.not_compared == "the rows that are served were made from another log"
    assert known() == {2: "live"}
    assert InventoryLevel.live.count() == 1 + grown
    [cured] = [one for one in statuses() if one.name == NAME]
    assert cured.status == "live"


# --- The code ----------------------------------------------------------------------------------
def test_each_generation_knows_the_code_that_made_it() -> None:
    assert generation(1).code_fingerprint == code_fingerprint(NAME)
    assert len({code_fingerprint(name) for name in registered()}) == len(registered())


def test_code_that_changed_without_a_new_version_is_found() -> None:
    out = StringIO()
    call_command("check", "--database", "read", stderr=out)
    assert "ordering_read.W" not in out.getvalue()
    Projection.objects.filter(name=NAME).update(code_fingerprint="of other code")

    call_command("check", "--database", "read", stderr=out)

    assert "The rows of inventory_level were made by other code of the same version" in (
        out.getvalue()
    )
    [one] = [one for one in statuses() if one.name == NAME]
    assert one.status == "outdated"
    rebuild(NAME)
    [one] = [one for one in statuses() if one.name == NAME]
    assert one.status == "live"


def test_a_database_that_is_not_migrated_yet_is_checked_too() -> None:
    with connections["read"].cursor() as cursor:
        cursor.execute("ALTER TABLE projection DROP COLUMN late_at")

    call_command("check", "--database", "read", stderr=StringIO())


@pytest.mark.parametrize(
    ("changed", "makes_rows_of"),
    [
        ("projections.timeline_sentences", {"order_timeline"}),
        ("projections.order_documents", {"order_view"}),
        ("projections.receivables", {"customer_stats", "sales_by_day"}),
        ("models.search", {"search"}),
    ],
)
def test_code_that_projections_share_is_part_of_each(
    changed: str, makes_rows_of: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: code_fingerprint(name) for name in registered()}
    getsource = inspect.getsource

    def edited(module: Any) -> str:
        is_edited = module.__name__ == f"ordering_read.{changed}"
        return getsource(module) + ("\nEDITED = True" if is_edited else "")

    monkeypatch.setattr("inspect.getsource", edited)
    fingerprint._code.cache_clear()
    after = {name: code_fingerprint(name) for name in registered()}
    fingerprint._code.cache_clear()

    assert {name for name in after if after[name] != before[name]} == makes_rows_of


def test_comments_and_layout_are_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "class Some:\n    x = 1\n"
    monkeypatch.setattr("inspect.getsource", lambda module: source)
    fingerprint._code.cache_clear()
    before = code_fingerprint(NAME)
    source = "# Why.\nclass Some:\n\n    x = (1)\n"
    fingerprint._code.cache_clear()
    assert code_fingerprint(NAME) == before
    source = "class Some:\n    x = 2\n"
    fingerprint._code.cache_clear()
    assert code_fingerprint(NAME) != before
    fingerprint._code.cache_clear()


def test_the_time_zone_of_the_store_is_part_of_what_books_by_day(settings: Any) -> None:
    before = {name: code_fingerprint(name) for name in registered()}

    settings.STORE_TIME_ZONE = "Pacific/Auckland"

    changed = {name for name in registered() if code_fingerprint(name) != before[name]}
    assert {"sales_by_day", "sales_by_product"} <= changed
    assert not changed & {"inventory_level", "order_timeline", "status_counter", "stock_ledger"}


def test_a_throttle_holds_for_what_comes_meanwhile_too() -> None:
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


def test_progress_is_shown_while_it_runs(client: Client, admin_user: User) -> None:
    kit.registered_product()
    client.force_login(admin_user)
    seen: dict[int, Any] = {}

    def look(done: int, total: int) -> None:
        results = client.get("/api/v1/projections").json()["results"]
        [item] = [one for one in results if one["name"] == NAME]
        page = client.get("/admin/ordering_read/projection/").content.decode()
        seen[done] = (item["status"], item["rebuild"], f"{done} of 2 events" in page)

    rebuild(NAME, batch=1, progress=look)

    assert seen.keys() == {0, 1, 2}
    for done, (status, progress, is_on_page) in seen.items():
        assert status == "building"
        assert (progress["events_done"], progress["events_total"]) == (done, 2)
        assert (progress["seconds_left"] is None) == (done == 0)
        assert is_on_page
    look(2, 2)
    assert seen[2][:2] == ("live", None)


def test_progress_is_kept() -> None:
    kit.registered_product()
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))

    rebuild("order_view")

    row = Projection.objects.get(name="order_view", status="live")
    assert row.events_done == row.events_total == 2
    assert row.events_per_second is not None
    assert OrderSummary.live.count() == 1
    assert InventoryProjection.sliced_by == "stream"
