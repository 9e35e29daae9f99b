"""An event that kills its worker is parked, while all other streams go on."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest

from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.patience import on_this_machine


@pytest.fixture
def poisoned(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    """Run a service whose workers are killed by an order of 666 units."""
    service = Service(tmp_path_factory.mktemp("poison"), like=migrated)
    service.environ["DJANGO_SETTINGS_MODULE"] = "tests.acceptance.poisoned"
    with service:
        yield service


def cure(service: Service) -> None:
    """Restart the workers without the poison."""
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
        shop.read(f"/orders/{order}")
        seconds.append(time.monotonic() - began)

    assert median(seconds) < on_this_machine(1.0)
    assert parked(poisoned) == [(f"order-{bad}", 2, "projection-error")]


def test_an_event_that_kills_its_worker_is_parked_after_three_starts(poisoned: Service) -> None:
    shop = Shop(poisoned)
    customer, product = shop.customer(), shop.product(10_000)
    before = [shop.order(customer, product) for _ in range(5)]

    bad = shop.order(customer, product, quantity=666)
    after = [shop.order(customer, product) for _ in range(5)]

    wait_until(lambda: parked(poisoned), missing="nothing was parked")
    poisoned.settle()
    assert parked(poisoned) == [(f"order-{bad}", 2, "crash")]
    assert poisoned.log("workers").count("was killed or hangs") == 3
    listed = shop.admin.get("/orders", params={"page_size": 100}).json()["results"]
    assert {order["id"] for order in listed} == {*before, bad, *after}
    assert {order["item_count"] for order in listed} == {0, 1}
    # A new order is projected at once, and no worker is killed again.
    shop.read(f"/orders/{shop.order(customer, product)}")
    assert poisoned.log("workers").count("was killed or hangs") == 3

    cure(poisoned)
    output = poisoned.manage("retry_parked")

    assert output == f"order_view, generation 1, order-{bad}: 1 event applied, done\n"
    assert parked(poisoned) == []
    assert_read_models_equal_the_log(poisoned)
