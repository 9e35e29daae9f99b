"""`manage.py migrate` takes both sides, in two databases or in one."""

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.acceptance.service import ROOT, Databases, plain_environ

OF_BOTH = {"django_migrations"}


@pytest.fixture
def databases() -> Iterator[Databases]:
    made = Databases("write", "read")
    yield made
    made.drop()


def migrate(*options: str, **environ: str) -> None:
    """In a process of its own: the databases of this one are chosen already."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", *options],
        env=plain_environ() | {"SECRET_KEY": "x" * 50, **environ},
        cwd=ROOT,
        check=True,
    )


def tables(url: str, *, schema: str = "public") -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]
        )
        return {name for (name,) in found}


def test_each_database_gets_the_tables_of_its_side(databases):
    write, read = databases.urls

    migrate(DATABASE_URL=write, READ_DATABASE_URL=read)

    assert "event" in tables(write)
    assert "order_summary" in tables(read)
    assert tables(write) & tables(read) == OF_BOTH


def test_in_one_database_the_read_side_gets_a_schema(databases):
    url, _unused = databases.urls

    migrate(DATABASE_URL=url)
    migrate(DATABASE_URL=url)  # which finds the schema there

    assert "event" in tables(url)
    assert "order_summary" in tables(url, schema="ordering_read")
    assert tables(url) & tables(url, schema="ordering_read") == OF_BOTH


def test_one_side_alone(databases):
    write, read = databases.urls

    migrate("--database", "read", DATABASE_URL=write, READ_DATABASE_URL=read)

    assert tables(write) == set()
    assert "order_summary" in tables(read)
