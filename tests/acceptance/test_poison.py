"""An event that kills its worker is parked, while all other streams go on."""

import time
from collections.abc import Iterator
from statistics import median
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from tests import kit
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.patience import on_this_machine


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory, migrated: list[str]) -> Iterator[Service]:
    """Run workers that are killed by an order of 666 units, and fail at one of 667."""
    service = Service(tmp_path_factory.mktemp("poison"), like=migrated, web=False)
    service.environ["DJANGO_SETTINGS_MODULE"] = "tests.acceptance.poisoned"
    with service:
        yield service


@pytest.fixture
def shelf(poisoned: Service) -> Iterator["Shelf"]:
    """Let this process place orders of a new product."""
    with poisoned.connected():
        yield Shelf(poisoned)


class Shelf:
    """One product and one customer who orders it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._customer = kit.registered_customer()
        self._product = kit.registered_product(on_hand=10_000)

    def order(self, quantity: int = 1) -> UUID:
        """Place an order, which need not be readable yet; return the id."""
        # The order is of today: the workers would expire an older one.
        fields = {"timestamp": timezone.now()}
        return kit.placed_order(self._customer, (self._product, quantity), **fields).pk

    def orders(self) -> dict[UUID, int]:
        """Return the number of items of each order that the read side has."""
        rows = self._service.read_rows(
            "SELECT id, item_count FROM order_summary WHERE customer_id = %s", self._customer.pk
        )
        return dict(rows)

    def wait_for(self, order: UUID) -> None:
        """Wait until the read side has an order."""
        wait_until(lambda: order in self.orders())


def parked(service: Service, order: UUID) -> list[tuple[Any, ...]]:
    """Return the version and the category of each parked event of an order."""
    return service.read_rows(
        "SELECT version, category FROM parked_event WHERE stream = %s ORDER BY position",
        f"order-{order}",
    )


def kills(service: Service) -> int:
    """Return the number of killed worker processes."""
    return service.log("workers").count("was killed or hangs")


def test_other_streams_follow_within_a_second_while_one_is_parked(
    poisoned: Service, shelf: Shelf
) -> None:
    shelf.wait_for(shelf.order())

    bad = shelf.order(667)
    seconds = []
    for _ in range(10):
        order = shelf.order()
        began = time.monotonic()
        shelf.wait_for(order)
        seconds.append(time.monotonic() - began)

    assert median(seconds) < on_this_machine(1.0)
    assert parked(poisoned, bad) == [(2, "projection-error")]


def test_an_event_that_kills_its_worker_is_parked_after_three_starts(
    poisoned: Service, shelf: Shelf
) -> None:
    before = [shelf.order() for _ in range(5)]

    bad = shelf.order(666)
    after = [shelf.order() for _ in range(5)]

    wait_until(lambda: parked(poisoned, bad), missing="nothing was parked")
    poisoned.settle()
    assert parked(poisoned, bad) == [(2, "crash")]
    assert kills(poisoned) == 3
    assert shelf.orders() == dict.fromkeys([*before, *after], 1) | {bad: 0}
    # A new order is projected at once, and no worker is killed again.
    shelf.wait_for(shelf.order())
    assert kills(poisoned) == 3

    # Without the poison, which is in the workers only.
    output = poisoned.call("retry_parked")

    assert f"order_view, generation 1, order-{bad}: 1 event applied, done\n" in output
    assert parked(poisoned, bad) == []
    assert_read_models_equal_the_log(poisoned)
