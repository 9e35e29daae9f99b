"""Two nodes share out the slices of the projections, and one of them is killed."""

import random
import time
from collections.abc import Iterator
from functools import partial

import pytest

from tests.acceptance.service import wait_until
from tests.acceptance.site import Site
from tests.databases import Databases
from tests.proof import size

pytestmark = pytest.mark.proof

COUNT = 4


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Site]:
    databases = Databases("write", "read", like=migrated)
    site = Site(tmp_path_factory.mktemp("slices"), *databases.urls)
    site.environ |= {"PROJECTION_SLICES": str(COUNT), "WORKERS": "1"}
    yield site
    site.stop()
    databases.drop()


def alive_nodes(site: Site) -> int:
    """Return the number of nodes that share out the slices."""
    [(count,)] = site.read("SELECT count(*) FROM worker WHERE seen_at > now() - interval '3 s'")
    return int(count)


def has_passed(site: Site, position: int) -> bool:
    """Return True if all slices of the stock list have applied the event at ``position``."""
    return min(positions(site).values()) >= position


def positions(site: Site) -> dict[int, int]:
    """Return the position of each slice of the stock list, and of no slice while it is whole."""
    rows = site.read(
        "SELECT slice_number, position FROM projection"
        " WHERE name = 'inventory_level' AND slice_count = %s",
        COUNT,
    )
    return dict(rows)


def test_the_slices_of_a_killed_node_are_taken_over_and_make_the_rows_of_the_log(
    site: Site,
) -> None:
    dice = random.Random(7)
    nodes = [site.start_node(), site.start_node()]
    wait_until(lambda: len(positions(site)) == COUNT, missing="the projections weren't cut")

    for _ in range(size(1, full=20)):
        wait_until(lambda: alive_nodes(site) == len(nodes), missing="a node didn't start")
        products = [site.receive(4) for _ in range(8)]
        victim = dice.choice([0, 1])
        # While both nodes are busy: its leases are never given back.
        receiving = site.receiving(size(20, full=200), pause=0.01)
        killed = nodes[victim]
        for process in [killed, *killed.children(recursive=True)]:
            process.kill()
        killed_at = time.monotonic()
        [(head,)] = site.write("SELECT max(position) FROM event_position")
        wait_until(partial(has_passed, site, head), missing="nobody takes over")
        print(f"{time.monotonic() - killed_at:.1f} s until all slices had passed the kill")
        products.append(receiving.result(60))
        nodes[victim] = site.start_node()

    wait_until(site.is_level, missing="not all was projected")
    assert len(set(positions(site).values())) == 1
    assert site.differing_rows("inventory_level", "stock_ledger", "search") == 0
    assert all(site.on_hand(product)[0] for product in products)
