"""Outdated projections: reported once, shown by readiness and metrics, rebuilt one by one."""

import logging
import threading
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.roles import Role
from config.workers import outdated
from ordering_read.checks import check_code_fingerprints
from ordering_read.engine import live, status
from ordering_read.models import Projection
from ordering_read.projections.inventory_level import InventoryProjection
from ordering_read.projector import registered
from tests import kit
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("db")

NAMES = ["inventory_level", "order_view"]


def make_outdated(names: Sequence[str] = NAMES) -> None:
    Projection.objects.filter(name__in=names).update(code_fingerprint="of other code")


def generations() -> dict[str, int]:
    """Return the live generation of each projection that was rebuilt."""
    live_rows = Projection.objects.filter(status="live", generation__gt=1)
    return dict(live_rows.values_list("name", "generation"))


# --- What is outdated ----------------------------------------------------------------------------
def test_rows_of_another_version_of_other_code_or_of_unknown_code_are_outdated() -> None:
    assert status.outdated() == []
    Projection.objects.filter(name="order_view").update(version=0)
    Projection.objects.filter(name="search").update(code_fingerprint="of other code")
    Projection.objects.filter(name="stock_ledger").update(code_fingerprint="")

    assert status.outdated() == ["order_view", "search", "stock_ledger"]
    assert [row.name for row in status.statuses() if row.is_outdated] == status.outdated()


# --- The report ----------------------------------------------------------------------------------
@pytest.fixture
def mailing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send mail to an administrator, in the same thread."""
    settings.ADMINS = [("ada", "ada@example.com")]
    settings.AUTO_REBUILD_OUTDATED = False
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)


@pytest.mark.usefixtures("mailing")
def test_all_outdated_projections_are_one_line_and_one_mail_until_the_next_migrate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert outdated.report() == []
    assert mail.outbox == []
    make_outdated()

    for _ in range(2):
        assert outdated.report() == NAMES
    # A former release goes on while the next one migrates.
    call_command("migrate", verbosity=0, database="read", skip_checks=True)
    make_outdated(["search"])
    outdated.report()

    first, second = (line for line in caplog.records if "outdated" in line.getMessage())
    assert first.levelno == logging.WARNING
    assert "since other code has made their rows: inventory_level, order_view." in first.message
    assert "manage.py rebuild_projections --outdated" in first.message
    assert "inventory_level, order_view, search" in second.message
    assert [message.subject for message in mail.outbox] == [
        "[Order service] Projections are outdated"
    ] * 2
    for message, line in zip(mail.outbox, (first, second), strict=True):
        assert message.body.startswith(line.message)
        assert "/admin/system/" in message.body


@pytest.mark.usefixtures("mailing")
def test_the_report_says_that_the_workers_rebuild(settings: Any) -> None:
    settings.AUTO_REBUILD_OUTDATED = True
    make_outdated()

    outdated.report()

    assert "The workers rebuild them" in mail.outbox[0].body


@pytest.mark.usefixtures("mailing")
def test_a_generation_that_takes_over_again_is_reported_again() -> None:
    kit.registered_product()
    make_outdated(["inventory_level"])
    outdated.report()
    call_command("rebuild_projections", "inventory_level", stdout=StringIO())
    assert outdated.report() == []

    call_command("rollback_projection", "inventory_level", stdout=StringIO())

    assert outdated.report() == ["inventory_level"]
    assert len(mail.outbox) == 2


# --- Readiness and metrics -----------------------------------------------------------------------
def test_readyz_names_outdated_projections_and_stays_ready() -> None:
    status.heartbeat()
    assert Client().get("/readyz").json()["outdated"] == []
    make_outdated()

    response = Client().get("/readyz")

    assert response.status_code == 200
    assert response.json()["outdated"] == NAMES


def test_metrics_show_outdated_projections(make_user: Callable[..., User]) -> None:
    _, token = AuthToken.objects.create(user=make_user(Role.MONITOR))
    make_outdated()

    figures = Client().get("/metrics", headers={"Authorization": f"Token {token}"}).content.decode()

    for name in registered():
        value = 1.0 if name in NAMES else 0.0
        assert f'orders_projection_outdated{{projection="{name}"}} {value}' in figures


# --- The rebuild ---------------------------------------------------------------------------------
def test_only_outdated_projections_are_rebuilt() -> None:
    kit.registered_product()
    for name in registered():
        live.run(name)
    make_outdated()
    out = StringIO()

    call_command("rebuild_projections", "--outdated", stdout=out)
    call_command("rebuild_projections", "--outdated", stdout=out)

    assert generations() == dict.fromkeys(NAMES, 2)
    assert status.outdated() == []


def test_a_projection_that_cannot_be_rebuilt_doesnt_keep_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_arguments: Any) -> None:
        raise ValueError("no such colour")

    kit.registered_product()
    live.run("inventory_level")
    make_outdated()
    monkeypatch.setattr(InventoryProjection, "apply", fail)
    errors = StringIO()

    with pytest.raises(CommandError, match=r"Not rebuilt: inventory_level\.") as refusal:
        call_command("rebuild_projections", "--outdated", stdout=StringIO(), stderr=errors)

    assert refusal.value.returncode == 2
    assert "no such colour" in errors.getvalue()
    assert generations() == {"order_view": 2}


@pytest.mark.parametrize(
    "options",
    [("--outdated", "--all"), ("--outdated", "order_view"), ("--outdated", "--pause")],
)
def test_outdated_stands_alone(options: Sequence[str]) -> None:
    with pytest.raises(CommandError, match="--outdated"):
        call_command("rebuild_projections", *options)


@pytest.mark.django_db(transaction=True, databases=["default", "read"])
def test_a_second_node_waits_for_its_turn_and_finds_nothing_to_do() -> None:
    make_outdated()
    out = StringIO()

    def rebuild() -> None:
        try:
            call_command("rebuild_projections", "--outdated", "--workers=1", stdout=out)
        finally:
            connections.close_all()

    nodes = [threading.Thread(target=rebuild) for _ in range(2)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join(PATIENCE_SECONDS)
        assert not node.is_alive()

    assert generations() == dict.fromkeys(NAMES, 2)
    assert out.getvalue().count(" events in ") == 2


# --- The workers ---------------------------------------------------------------------------------
class StubProgram:
    """Counts its starts; ends with ``exit_code``."""

    exit_code: int | None = None
    starts = 0

    def __init__(self, name: str, command: Sequence[str], **_options: Any) -> None:
        assert command[1:] == ["manage.py", "rebuild_projections", "--outdated"]

    def keep_running(self) -> str:
        StubProgram.starts += 1
        return ""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, settings: Any) -> type[StubProgram]:
    settings.AUTO_REBUILD_OUTDATED = True
    monkeypatch.setattr(outdated, "Program", StubProgram)
    monkeypatch.setattr(StubProgram, "starts", 0)
    monkeypatch.setattr(StubProgram, "exit_code", None)
    return StubProgram


@pytest.mark.parametrize("finished", [0, 2])
def test_the_workers_keep_the_rebuild_running_until_it_ends_by_itself(
    program: type[StubProgram], monkeypatch: pytest.MonkeyPatch, finished: int
) -> None:
    make_outdated()
    projections = outdated.OutdatedProjections()
    projections.look()
    assert program.starts == 1

    monkeypatch.setattr(program, "exit_code", -9)
    projections.look()
    assert program.starts == 2

    monkeypatch.setattr(program, "exit_code", finished)
    for _ in range(2):
        projections.look()
    assert program.starts == 2


def test_rows_that_become_outdated_later_are_those_of_newer_code(
    program: type[StubProgram], caplog: pytest.LogCaptureFixture
) -> None:
    projections = outdated.OutdatedProjections()
    projections.look()
    make_outdated()

    projections.look()

    assert program.starts == 0
    assert caplog.records == []


def test_the_workers_rebuild_nothing_without_the_setting(
    program: type[StubProgram], settings: Any
) -> None:
    settings.AUTO_REBUILD_OUTDATED = False
    make_outdated()

    outdated.OutdatedProjections().look()

    assert program.starts == 0


def test_the_check_of_rows_passes_before_a_migration_adds_a_column() -> None:
    with connections["read"].cursor() as cursor:
        cursor.execute("ALTER TABLE projection DROP COLUMN slice_number")

    # `manage.py migrate` makes it before it migrates.
    assert check_code_fingerprints(databases=["read"]) == []
