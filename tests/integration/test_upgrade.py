"""The databases of each release, brought to this one by `manage.py migrate`.

``tests/data/releases`` holds their dumps: the demo, in 1.0.0 also two orders with notes, in 1.3.0
what ``test_old_orders`` needs. `make test` upgrades the first release, `make proof` each of them.
"""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command

from config.version import VERSION
from ordering_read.engine import live, status
from tests import releases
from tests.databases import Databases, connected_to
from tests.proof import IS_PROOF

RELEASES = releases.releases()
FIRST = RELEASES[-1].version
UPGRADED = [
    release.version
    for release in RELEASES
    if release.version == FIRST or (IS_PROOF and releases.is_kept(release.version))
]
UNTOUCHED = "SELECT id, version, status, total, placed_at FROM ordering_write_order ORDER BY id"
FILLED = """
SELECT count(delivered_at), count(*) FILTER (WHERE notes <> '{}') FROM ordering_write_order
"""
PAGES = settings.BASE_DIR / "docs" / "upgrade"


@pytest.fixture(params=UPGRADED)
def former_release(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any
) -> Iterator[tuple[str, Databases]]:
    """Restore the write and the read database of a release, and connect to them."""
    databases = Databases(*releases.SIDES)
    releases.restore(databases.urls, request.param)
    with django_db_blocker.unblock(), connected_to(databases.names):
        yield request.param, databases
    databases.drop()


@pytest.mark.proof
def test_an_upgrade_leaves_rows_that_follow_from_the_log(
    former_release: tuple[str, Databases],
) -> None:
    version, databases = former_release
    with psycopg.connect(databases.urls[0], autocommit=True) as write:
        orders = write.execute(UNTOUCHED).fetchall()
        assert len(orders) >= 16

        # With the checks that the command line makes, of the tables as the release left them.
        call_command("migrate", verbosity=0, skip_checks=False)

        assert write.execute(UNTOUCHED).fetchall() == orders
        [(events,)] = write.execute("SELECT count(*) FROM event").fetchall()
        if version == FIRST:
            assert write.execute(FILLED).fetchall() == [(16, 2)]
    assert f"{events} events" in output_of("verify_log")
    # Later projections have no rows yet, which other code could have made.
    assert ", ".join(f"`{name}`" for name in sorted(status.outdated())) == outdated_since(version)
    output_of("rebuild_projections", "--outdated", "--workers=1")
    assert status.outdated() == []
    live.run(*live.PROJECTIONS.names())
    # It has no finding.
    output_of("verify_projections")


def outdated_since(version: str) -> str:
    """Return the projections that an upgrade from ``version`` outdates, as its page lists them."""
    rows = [line.split("|") for line in (PAGES / "README.md").read_text().splitlines()]
    if version == VERSION:
        return ""
    [outdated] = [row[2].strip() for row in rows if len(row) > 3 and row[1].strip() == version]
    return outdated


def test_each_release_has_its_commit_its_databases_and_its_page() -> None:
    assert RELEASES[0].version == VERSION
    assert [release.version for release in RELEASES if not release.commit] in ([], [VERSION])
    numbers = [tuple(map(int, release.version.split("."))) for release in RELEASES]
    assert numbers == sorted(numbers, reverse=True)
    # The databases of a version can be kept before the day of its release is known.
    released = [release.version for release in RELEASES if release.commit]
    assert [version for version in released if not releases.is_kept(version)] == []
    upgraded_to = {release.version for release in RELEASES} - {FIRST}
    assert {path.stem for path in PAGES.iterdir()} - {"README"} == upgraded_to
    assert VERSION.partition(".")[0] == "1", "the addresses of the API say v1"


def output_of(*command: str) -> str:
    """Return what a management command prints; a finding of its raises an error."""
    output = StringIO()
    call_command(*command, stdout=output)
    return output.getvalue()
