"""The databases of the first release, brought to this one by `manage.py migrate`.

``tests/data`` holds their dumps: the demo, and two orders with notes.
"""

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.acceptance.service import ROOT, plain_environ
from tests.databases import Databases

DUMPS = Path(__file__).parent.parent / "data"
# One process for all commands: each start of a process takes a second or two.
UPGRADE = """
from django.core.management import call_command
from ordering_read.engine import live, status

call_command("migrate", verbosity=0)
call_command("verify_log")
print("outdated:", *status.outdated())
call_command("rebuild_projections", "--outdated", "--workers=1")
print("outdated:", *status.outdated())
live.run(*live.PROJECTIONS.names())
call_command("verify_projections")
"""
UNTOUCHED = "SELECT id, version, status, total, placed_at FROM ordering_write_order ORDER BY id"
FILLED = """
SELECT count(delivered_at), count(*) FILTER (WHERE notes <> '{}') FROM ordering_write_order
"""


@pytest.fixture
def first_release() -> Iterator[Databases]:
    """Restore the write and the read database of the first release."""
    databases = Databases("write", "read")
    for url, side in zip(databases.urls, ("write", "read"), strict=True):
        dump = gzip.decompress((DUMPS / f"2026-11-21-{side}.sql.gz").read_bytes())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(dump)
    yield databases
    databases.drop()


def test_an_upgrade_from_the_first_release_leaves_rows_that_follow_from_the_log(
    first_release: Databases,
) -> None:
    write_url, read_url = first_release.urls
    with psycopg.connect(write_url, autocommit=True) as write:
        orders = write.execute(UNTOUCHED).fetchall()

        environ = {
            "SECRET_KEY": uuid4().hex * 2,
            "DATABASE_URL": write_url,
            "READ_DATABASE_URL": read_url,
        }
        upgrade = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", UPGRADE],
            env=plain_environ() | environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

        # Neither verify_log nor verify_projections has a finding.
        assert upgrade.returncode == 0, upgrade.stdout + upgrade.stderr
        assert "406 events" in upgrade.stdout
        before, after = (
            line for line in upgrade.stdout.splitlines() if line.startswith("outdated:")
        )
        assert (
            before
            == "outdated: customer_view inventory_level order_timeline order_view stock_ledger"
        )
        assert after == "outdated:"
        assert write.execute(UNTOUCHED).fetchall() == orders
        assert write.execute(FILLED).fetchall() == [(16, 2)]
