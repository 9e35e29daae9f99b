"""The databases of the first release, brought to this one by `manage.py migrate`.

``tests/data`` holds their dumps: the demo, and two orders with notes.
"""

import gzip
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from ordering_read.engine import live, status
from tests.databases import Databases, connected_to

DUMPS = Path(__file__).parent.parent / "data"
UNTOUCHED = "SELECT id, version, status, total, placed_at FROM ordering_write_order ORDER BY id"
FILLED = """
SELECT count(delivered_at), count(*) FILTER (WHERE notes <> '{}') FROM ordering_write_order
"""


@pytest.fixture
def first_release(django_db_setup: None, django_db_blocker: Any) -> Iterator[Databases]:
    """Restore the write and the read database of the first release, and connect to them."""
    databases = Databases("write", "read")
    for url, side in zip(databases.urls, ("write", "read"), strict=True):
        dump = gzip.decompress((DUMPS / f"2026-11-21-{side}.sql.gz").read_bytes())
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(dump)
    with django_db_blocker.unblock(), connected_to(databases.names):
        yield databases
    databases.drop()


def test_an_upgrade_from_the_first_release_leaves_rows_that_follow_from_the_log(
    first_release: Databases,
) -> None:
    with psycopg.connect(first_release.urls[0], autocommit=True) as write:
        orders = write.execute(UNTOUCHED).fetchall()

        call_command("migrate", verbosity=0)

        assert write.execute(UNTOUCHED).fetchall() == orders
        assert write.execute(FILLED).fetchall() == [(16, 2)]
    assert "406 events" in output_of("verify_log")
    # Later projections have no rows yet, which other code could have made.
    assert sorted(status.outdated()) == ["customer_view", "inventory_level", "order_view"]
    output_of("rebuild_projections", "--outdated", "--workers=1")
    assert status.outdated() == []
    live.run(*live.PROJECTIONS.names())
    # It has no finding.
    output_of("verify_projections")


def output_of(*command: str) -> str:
    """Return what a management command prints; a finding of its raises an error."""
    output = StringIO()
    call_command(*command, stdout=output)
    return output.getvalue()
