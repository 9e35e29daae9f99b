"""`manage.py migrate` migrates one side or both. An acceptance test covers both in one database."""

import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

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
