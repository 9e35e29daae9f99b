"""Every command says in one sentence, and by its exit code, why it can't use the databases."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.db import connections

import manage
from config import environment
from tests.databases import ALIASES, Databases, connected_to

_ID = str(uuid4())
# The arguments with which each command comes to the point where it needs a database.
ARGUMENTS: dict[str, list[str]] = {
    "adjust_stock": ["--file", "FILE", "--user", "ada"],
    "changepassword": ["nobody"],
    "clearsessions": [],
    "command": ["CancelOrder", "--order-id", _ID, "--reason", "no"],
    "create_token": ["shop", "--role", "integration"],
    "createsuperuser": ["--noinput", "--username", "ada", "--email", "ada@example.com"],
    "demo_welcome": [],
    "discard_generation": ["order_view"],
    "dumpdata": ["ordering_write"],
    "erase_customer": [_ID, "--user", "ada", "--reason", "no"],
    "expire_orders": [],
    "export_orders": [],
    "import_orders": ["--file", "FILE", "--user", "ada"],
    "order_diff": ["2026-000001", "0"],
    "order_history": ["2026-000001"],
    "order_show": ["2026-000001"],
    "parked": [],
    "place_orders": ["--file", "FILE", "--user", "ada"],
    "policies": [],
    "projection_status": [],
    "prune_commands": [],
    "rebuild_projections": ["order_view"],
    "remove_stale_contenttypes": ["--noinput"],
    "retry_parked": [],
    "rollback_projection": ["order_view"],
    "scan_personal_data": ["--text", "robin"],
    "seed_demo": [],
    "set_prices": ["--file", "FILE", "--user", "ada"],
    "skip_parked": [_ID, "--reason", "no"],
    "verify_log": [],
    "verify_projections": [],
    "webhooks": ["list"],
}
# Commands that an empty database is good for.
EMPTY_WILL_DO: dict[str, list[str]] = {
    "flush": ["--noinput"],
    "inspectdb": [],
    "loaddata": ["FILE"],
    "migrate": [],
    "showmigrations": [],
}
# Commands of Django and its apps that need no database, or only warn without one.
NO_DATABASE = frozenset(
    (
        *("check", "collectstatic", "compilemessages", "createcachetable"),
        *("diffsettings", "findstatic"),
        *("generateschema", "makemessages", "makemigrations", "optimizemigration"),
        *("sendtestemail", "shell", "spectacular", "sqlflush", "sqlmigrate", "sqlsequencereset"),
        *(
            "squashmigrations",
            "start_shop_app",
            "startapp",
            "startproject",
            "stop",
            "test",
            "testserver",
        ),
        "write_docs",
        # django-q2's commands say that a package for terminals is missing.
        *("qinfo", "qmemory", "qmonitor"),
        # Refused first, because no sandbox is the payment gateway here.
        *("pay_in_sandbox", "settle_in_sandbox"),
        # Refused first, because ARCHIVE_URL is empty.
        *("archive", "attach", "detach", "query_archive", "verify_archive"),
        # Refused first, because RELAY is empty.
        "relay",
    )
)
# Programs that run until they are stopped, and wait for a database, and a client of PostgreSQL.
PROGRAMS = frozenset(("dbshell", "qcluster", "run", "runserver", "workers"))


class Ended(NamedTuple):
    """The exit code of a command, and what it wrote."""

    code: object
    errors: str
    output: str


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "lines.json"
    file.write_text("[]")
    return file


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(environment, "is_command", environment.is_command)
    with django_db_blocker.unblock():
        yield
    connections.close_all()


def manage_py(file: Path, name: str, *arguments: str) -> Ended:
    """Run a command of manage.py in this process."""
    output, errors = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    argv = ["manage.py", name, *(str(file) if text == "FILE" else text for text in arguments)]
    code: object = 0
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        patch.setattr(sys, "argv", argv)
        # Else a lost connection would start the embedded server.
        patch.setattr(settings, "EMBEDDED", False)
        try:
            manage.main()
        except SystemExit as end:
            code = end.code
            if isinstance(code, str):
                errors.write(code)
    return Ended(code, _written(errors).strip(), _written(output))


def _written(stream: io.TextIOWrapper) -> str:
    buffer = stream.detach()
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def assert_ended_with_a_sentence(ended: Ended, *parts: str) -> None:
    assert ended.code not in (0, None), ended.output
    assert len(ended.errors.splitlines()) == 1, ended.errors
    assert ended.errors.endswith(".") or "Cannot reach database" in ended.errors
    for part in parts:
        assert part in ended.errors


@contextmanager
def databases(*, like: Sequence[str] = ()) -> Iterator[Databases]:
    new = Databases("write", "read", like=like)
    try:
        with connected_to(new.names):
            yield new
    finally:
        new.drop()


@contextmanager
def entries(**changes: str) -> Iterator[None]:
    """Change the address of both databases within the block."""
    former = {alias: dict(settings.DATABASES[alias]) for alias in ALIASES}
    connections.close_all()
    for alias in ALIASES:
        settings.DATABASES[alias].update(changes)
    try:
        yield
    finally:
        connections.close_all()
        for alias in ALIASES:
            settings.DATABASES[alias].update(former[alias])


def test_every_command_is_in_one_of_these_tables() -> None:
    tables = [*ARGUMENTS, *EMPTY_WILL_DO, *NO_DATABASE, *PROGRAMS]
    assert sorted(get_commands()) == sorted(tables)


def test_commands_on_databases_without_tables_say_that_migrate_is_missing(
    file: Path, subtests: pytest.Subtests
) -> None:
    with databases():
        for name, arguments in ARGUMENTS.items():
            with subtests.test("one sentence", command=name):
                ended = manage_py(file, name, *arguments)
                assert_ended_with_a_sentence(ended, "run manage.py migrate")


def test_commands_without_a_read_side_say_that_migrate_is_missing(
    file: Path, migrated: list[str], subtests: pytest.Subtests
) -> None:
    with databases(like=[migrated[0], "template1"]) as both:
        for name in ("projection_status", "verify_projections", "rebuild_projections"):
            with subtests.test("one sentence", command=name):
                ended = manage_py(file, name)
                assert_ended_with_a_sentence(ended, both.names[1], "run manage.py migrate")


def test_commands_on_half_migrated_databases_say_that_migrate_is_missing(
    file: Path, migrated: list[str]
) -> None:
    with databases(like=migrated):
        with connections["default"].cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE name LIKE '0002%'")
            cursor.execute("ALTER TABLE event RENAME COLUMN version TO later_name")
        assert_ended_with_a_sentence(manage_py(file, "verify_log"), "run manage.py migrate")


def test_migrate_says_that_tables_arent_those_of_the_migrations(
    file: Path, migrated: list[str]
) -> None:
    with databases(like=migrated):
        with connections["default"].cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations")
        ended = manage_py(file, "migrate", "--skip-checks")
        assert_ended_with_a_sentence(ended, "already exists. Restore the database whole")


def test_commands_say_that_a_right_is_missing(file: Path, migrated: list[str]) -> None:
    with databases(like=migrated):
        connections["default"].ensure_connection()
        with connections["default"].cursor() as cursor:
            cursor.execute("SET ROLE pg_monitor")
        assert_ended_with_a_sentence(manage_py(file, "verify_log"), "permission denied", "a right")


def test_commands_that_cant_connect_say_why(file: Path, subtests: pytest.Subtests) -> None:
    with entries(NAME="nothing_here"):
        for name, arguments in {**ARGUMENTS, **EMPTY_WILL_DO}.items():
            with subtests.test("one sentence", command=name):
                ended = manage_py(file, name, *arguments)
                assert_ended_with_a_sentence(ended, "Cannot reach database", "does not exist")
    with entries(PASSWORD="wrong"):
        for name in ("verify_log", "migrate", "projection_status"):
            with subtests.test("one sentence", command=name):
                ended = manage_py(file, name)
                assert_ended_with_a_sentence(ended, "password authentication failed")
