"""`manage.py migrate` migrates one side or both. An acceptance test covers both in one database."""

import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import OperationalError
from psycopg.errors import DeadlockDetected, LockNotAvailable

from tests.acceptance.service import ROOT, plain_environ
from tests.databases import Databases


@pytest.fixture
def databases() -> Iterator[Databases]:
    created = Databases("write", "read")
    yield created
    created.drop()


def migrate(databases: Databases, *options: str) -> None:
    """Migrate in a new process: the databases of this process are chosen already."""
    write, read = databases.urls
    environ = {"SECRET_KEY": uuid4().hex * 2, "DATABASE_URL": write, "READ_DATABASE_URL": read}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", *options],
        env=plain_environ() | environ,
        cwd=ROOT,
        check=True,
    )


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows}


def test_migrate_creates_the_tables_of_the_chosen_side_only(databases: Databases) -> None:
    write, read = databases.urls

    migrate(databases, "--database", "read")

    assert tables(write) == set()
    read_tables = tables(read)
    assert "order_summary" in read_tables

    migrate(databases)

    assert "event" in tables(write)
    assert tables(read) == read_tables
    assert tables(write) & read_tables == {"django_migrations"}


@pytest.mark.parametrize("cause", [DeadlockDetected, LockNotAvailable])
def test_a_migration_that_requests_keep_from_its_tables_is_tried_again(
    cause: type[Exception], monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    tries = []

    def migrate_once(_command: object, **options: Any) -> None:
        tries.append(options["database"])
        if len(tries) == 1:
            raise OperationalError("in use") from cause("in use")

    monkeypatch.setattr(DjangoCommand, "handle", migrate_once)
    errors = StringIO()

    call_command("migrate", database="read", stderr=errors, skip_checks=True)

    assert tries == ["read", "read"]
    assert "trying again: in use" in errors.getvalue()


def test_a_migration_that_always_meets_requests_fails(
    monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    def fail(_command: object, **_options: Any) -> None:
        raise OperationalError("in use") from LockNotAvailable("in use")

    monkeypatch.setattr(DjangoCommand, "handle", fail)

    with pytest.raises(OperationalError, match="in use"):
        call_command("migrate", database="read", stderr=StringIO(), skip_checks=True)
