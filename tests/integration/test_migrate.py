"""`manage.py migrate` migrates one side or both. An acceptance test covers both in one database."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import OperationalError
from psycopg.errors import DeadlockDetected, LockNotAvailable

from tests.databases import Databases, connected_to


@pytest.fixture
def databases(django_db_setup: None, django_db_blocker: Any) -> Iterator[Databases]:
    """Let the connections of this process lead to two empty databases."""
    created = Databases("write", "read")
    with django_db_blocker.unblock(), connected_to(created.names):
        yield created
    created.drop()


def migrate(**options: str) -> None:
    call_command("migrate", verbosity=0, interactive=False, **options)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows}


def test_migrate_creates_the_tables_of_the_chosen_side_only(databases: Databases) -> None:
    write, read = databases.urls

    migrate(database="read")

    assert tables(write) == set()
    read_tables = tables(read)
    assert "order_summary" in read_tables

    migrate()

    assert "event" in tables(write)
    assert tables(read) == read_tables
    assert tables(write) & read_tables == {"django_migrations"}


def test_migrate_refuses_the_database_of_another_project(databases: Databases) -> None:
    with psycopg.connect(databases.urls[0]) as connection:
        connection.execute("CREATE TABLE django_migrations (app text)")
        connection.execute("INSERT INTO django_migrations VALUES ('blog'), ('auth')")

    with pytest.raises(CommandError, match=r"another Django project \(apps blog\)"):
        migrate()

    assert tables(databases.urls[0]) == {"django_migrations"}


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
