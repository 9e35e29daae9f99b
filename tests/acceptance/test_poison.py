"""An event that kills the worker which applies it: parked, while all else goes on."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest

from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop


@pytest.fixture
def poisoned(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    """A service whose workers die of an order of 666 units."""
    service = Service(tmp_path_factory.mktemp("poison"), like=migrated)
    service.environ["DJANGO_SETTINGS_MODULE"] = "tests.acceptance.poisoned"
    with service:
        yield service


def cure(service: Service) -> None:
    """Let its workers, and what is started from now on, bear any number of units."""
    service.workers.terminate()
    service.workers.wait()
    del service.environ["DJANGO_SETTINGS_MODULE"]
    service.start_workers()


def parked(service: Service) -> list[tuple[Any, ...]]:
    with service.read() as connection:
        return connection.execute(
            "SELECT stream, version, category FROM parked_event ORDER BY position"
        ).fetchall()


def test_other_streams_follow_within_a_second_while_one_is_parked(poisoned: Service) -> None:
    shop = Shop(poisoned)
    customer, product = shop.customer(), shop.product(10_000)
    poisoned.settle()

    bad = shop.order(customer, product, quantity=667)
    seconds = []
    for _ in range(20):
        order = shop.order(customer, product)
        began = time.monotonic()
        shop.seen(f"/orders/{order}")
        seconds.append(time.monotonic() - began)

    assert median(seconds) < 1.0
    assert parked(poisoned) == [(f"order-{bad}", 2, "projection-error")]


def test_an_event_that_kills_its_worker_is_parked_after_three_starts(poisoned: Service) -> None:
    shop = Shop(poisoned)
    customer, product = shop.customer(), shop.product(10_000)
    before = [shop.order(customer, product) for _ in range(5)]

    bad = shop.order(customer, product, quantity=666)
    after = [shop.order(customer, product) for _ in range(5)]

    wait_until(lambda: parked(poisoned), seconds=60, missing="nothing was parked")
    poisoned.settle()
    assert parked(poisoned) == [(f"order-{bad}", 2, "crash")]
    assert poisoned.log("workers").count("was killed or hangs") == 3
    listed = shop.admin.get("/orders", params={"page_size": 100}).json()["results"]
    assert {one["id"] for one in listed} == {*before, bad, *after}
    assert {one["item_count"] for one in listed} == {0, 1}
    # Whatever comes now is shown at once, and nobody dies any more.
    shop.seen(f"/orders/{shop.order(customer, product)}")
    assert poisoned.log("workers").count("was killed or hangs") == 3

    cure(poisoned)
    told = poisoned.manage("retry_parked")

    assert told == f"order_view, generation 1, order-{bad}: 1 event applied, done\n"
    assert parked(poisoned) == []
    assert_read_models_equal_the_log(poisoned)
