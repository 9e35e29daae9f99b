"""`manage.py migrate` takes both sides or one; those in one database are an acceptance test's."""

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.acceptance.service import ROOT, plain_environ
from tests.databases import Databases


@pytest.fixture
def databases() -> Iterator[Databases]:
    made = Databases("write", "read")
    yield made
    made.drop()


def migrate(databases: Databases, *options: str) -> None:
    """In a process of its own: the databases of this one are chosen already."""
    write, read = databases.urls
    environ = {"SECRET_KEY": "x" * 50, "DATABASE_URL": write, "READ_DATABASE_URL": read}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", *options],
        env=plain_environ() | environ,
        cwd=ROOT,
        check=True,
    )


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in found}


def test_one_side_alone_then_both_each_with_its_tables(databases: Databases) -> None:
    write, read = databases.urls

    migrate(databases, "--database", "read")

    assert tables(write) == set()
    of_read = tables(read)
    assert "order_summary" in of_read

    migrate(databases)

    assert "event" in tables(write)
    assert tables(read) == of_read
    assert tables(write) & of_read == {"django_migrations"}
