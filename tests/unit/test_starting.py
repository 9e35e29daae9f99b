"""The start of a process: it loads and checks only what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import SystemCheckError

import manage
from config import commands
from config.databases import programs
from config.version import VERSION
from ordering_read.admin.orders import OrderAdmin
from ordering_write import ports

# Django's commands, which make all checks.
COMPLETE = {"dumpdata", "migrate"}
OURS = {
    name
    for name, app in get_commands().items()
    if str(app).startswith(("config", "ordering_")) and name not in COMPLETE
}


def test_a_process_without_pages_and_traces_loads_none_of_their_modules() -> None:
    pages = ["config.urls", "ordering_read.admin", "ordering_write.api", "rest_framework.views"]
    unwanted = [*pages, "opentelemetry"]
    code = f"import sys, django; django.setup(); print([m for m in {unwanted} if m in sys.modules])"

    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        capture_output=True,
        check=True,
        text=True,
    )

    assert loaded.stdout == "[]\n"


def test_manage_py_version_prints_the_version_of_the_service_not_that_of_django(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "version"])

    manage.main()

    assert capsys.readouterr().out == f"{VERSION}\n"


def test_commands_make_the_checks_of_the_service_only() -> None:
    checks = {
        name: tuple(load_command_class(get_commands()[name], name).requires_system_checks)
        for name in OURS
    }
    assert set(checks.values()) == {(), (commands.CHECKS,)}
    # These start without databases and make the checks later, or need none.
    assert {name for name, tags in checks.items() if not tags} == {"run", "stop", "workers"}


def test_a_command_is_refused_while_a_port_has_no_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "faults", lambda: {"carrier": "it is missing"})

    with pytest.raises(SystemCheckError, match="The port 'carrier' has no adapter"):
        call_command("policies", skip_checks=False)


def test_check_looks_at_the_views_and_at_the_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    def view_fault(**_kwargs: object) -> list[CheckMessage]:
        return [Error("A view names no permission.")]

    def admin_fault(*_args: object) -> list[CheckMessage]:
        return [Error("A list shows no column.")]

    monkeypatch.setattr("config.http.checks.views_declare_permissions", view_fault)
    monkeypatch.setattr(OrderAdmin, "check", admin_fault)

    with pytest.raises(SystemCheckError) as refusal:
        call_command("check")

    assert "A view names no permission" in str(refusal.value)
    assert "A list shows no column" in str(refusal.value)


def test_a_failed_start_of_the_database_names_the_first_error(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for line, sentence in (
        (
            'FATAL: could not extend file "1": wrote only 4 of 8 bytes',
            "the disk is full: make room",
        ),
        ("initdb: error: could not look up user ID 7", f"user ID 7 (see {log})"),
    ):
        log.write_text(f"creating files\n{line}\nremoved\n")
        assert sentence in programs.failure(log)
