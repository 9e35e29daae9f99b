"""The databases of the first release, brought to this one by `manage.py migrate`.

``tests/data`` holds their dumps: the demo, and two orders with notes.
"""

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.service import ROOT, plain_environ
from tests.databases import Databases

DUMPS = Path(__file__).parent.parent / "data"


class Release:
    """Databases that an older release has left, and this release's commands on them."""

    def __init__(self, databases: Databases) -> None:
        self.write_url, self.read_url = databases.urls
        for url, side in ((self.write_url, "write"), (self.read_url, "read")):
            dump = gzip.decompress((DUMPS / f"2026-11-21-{side}.sql.gz").read_bytes())
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(dump)

    def manage(self, *arguments: str) -> str:
        environ = {
            "SECRET_KEY": "x" * 50,
            "DATABASE_URL": self.write_url,
            "READ_DATABASE_URL": self.read_url,
        }
        finished = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=plain_environ() | environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def rows(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def release() -> Iterator[Release]:
    databases = Databases("write", "read")
    yield Release(databases)
    databases.drop()


FILLED = """
SELECT count(delivered_at), count(*) FILTER (WHERE notes <> '{}') FROM ordering_write_order
"""
UNTOUCHED = "SELECT id, version, status, total, placed_at FROM ordering_write_order ORDER BY id"


def test_an_upgrade_from_the_first_release_leaves_rows_that_follow_from_the_log(
    release: Release,
) -> None:
    orders = release.rows(release.write_url, UNTOUCHED)

    release.manage("migrate", "-v0")

    assert "406 events" in release.manage("verify_log")
    assert release.rows(release.write_url, UNTOUCHED) == orders
    [(delivered, noted)] = release.rows(release.write_url, FILLED)
    assert (delivered, noted) == (16, 2)

    assert "outdated" in release.manage("projection_status")
    release.manage("rebuild_projections", "--outdated")
    script = "from ordering_read.engine import live; live.run(*live.PROJECTIONS.names())"
    release.manage("shell", "-v0", "-c", script)
    assert "outdated" not in release.manage("projection_status")
    release.manage("verify_projections")
