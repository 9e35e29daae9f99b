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


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    """Run a service whose workers are killed by an order of 666 units, and fail at one of 667."""
    service = Service(tmp_path_factory.mktemp("poison"), like=migrated)
    service.environ["DJANGO_SETTINGS_MODULE"] = "tests.acceptance.poisoned"
    with service:
        yield service


def parked(service: Service, order: str) -> list[tuple[Any, ...]]:
    """Return the version and the category of each parked event of an order."""
    with service.read() as connection:
        return connection.execute(
            "SELECT version, category FROM parked_event WHERE stream = %s ORDER BY position",
            [f"order-{order}"],
        ).fetchall()


def kills(service: Service) -> int:
    """Return the number of killed worker processes."""
    return service.log("workers").count("was killed or hangs")


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
    assert parked(poisoned, bad) == [(2, "projection-error")]


def test_an_event_that_kills_its_worker_is_parked_after_three_starts(poisoned: Service) -> None:
    shop = Shop(poisoned)
    customer, product = shop.customer(), shop.product(10_000)
    before = [shop.order(customer, product) for _ in range(5)]

    bad = shop.order(customer, product, quantity=666)
    after = [shop.order(customer, product) for _ in range(5)]

    wait_until(lambda: parked(poisoned, bad), missing="nothing was parked")
    poisoned.settle()
    assert parked(poisoned, bad) == [(2, "crash")]
    assert kills(poisoned) == 3
    listed = shop.admin.get("/orders", params={"customer": customer}).json()["results"]
    assert {order["id"] for order in listed} == {*before, bad, *after}
    assert {order["item_count"] for order in listed} == {0, 1}
    # A new order is projected at once, and no worker is killed again.
    shop.read(f"/orders/{shop.order(customer, product)}")
    assert kills(poisoned) == 3

    # Without the poison, which is in the processes of the service only.
    output = poisoned.call("retry_parked")

    assert f"order_view, generation 1, order-{bad}: 1 event applied, done\n" in output
    assert parked(poisoned, bad) == []
    assert_read_models_equal_the_log(poisoned)
