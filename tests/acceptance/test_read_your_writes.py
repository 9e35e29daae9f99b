"""Reads of a fresh write, over HTTP, with and without running workers."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.patience import on_this_machine
from tests.proof import size

# The orders that are read after each write.
ORDERS = size(5, full=20)
# The wait of each of many clients.
SECONDS = 8


@pytest.fixture
def frozen_workers(service: Service) -> Iterator[None]:
    """Freeze the processes of the workers during the test."""
    service.settle()
    os.killpg(service.workers.pid, signal.SIGSTOP)
    yield
    os.killpg(service.workers.pid, signal.SIGCONT)
    service.settle()


def register(shop: Shop) -> httpx.Response:
    body = {"name": "Robin Sample", "email": f"{uuid4().hex}@example.com"}
    answer = shop.admin.post("/customers", json=body)
    assert answer.status_code == 201
    return answer


def read(shop: Shop, path: str, command: httpx.Response, prefer: str = "") -> httpx.Response:
    headers = {"Consistency-Token": command.headers["Consistency-Token"]}
    return shop.admin.get(path, headers=headers | ({"Prefer": prefer} if prefer else {}))


@pytest.mark.proof
def test_a_read_with_the_token_shows_the_write(shop: Shop) -> None:
    product, customer = shop.product(on_hand=100), shop.customer()
    for count in range(1, ORDERS + 1):
        placed = shop.admin.post("/orders", json=shop.body(customer, product))
        shown = read(shop, placed.headers["Location"], placed, "wait=10")
        listed = read(shop, f"/customers/{customer}/orders", placed, "wait=10")
        stock = read(shop, f"/inventory/{product}", placed, "wait=10")

        answers = (shown, listed, stock)
        assert [answer.status_code for answer in answers] == [200] * 3
        assert {answer.headers["Preference-Applied"] for answer in answers} == {"wait"}
        assert shown.json()["order_number"] == placed.json()["order_number"]
        assert (listed.json()["count"], stock.json()["reserved"]) == (count, count)


@pytest.mark.usefixtures("frozen_workers")
def test_a_read_while_no_worker_works_says_that_it_is_behind(shop: Shop) -> None:
    command = register(shop)
    address = command.headers["Location"]
    started_at = monotonic()

    behind, refused = read(shop, "/customers", command), read(shop, address, command, "wait=1")

    assert monotonic() - started_at < on_this_machine(15)
    assert (behind.status_code, behind.headers["Projection-Behind"]) == (200, "true")
    assert float(behind.headers["Projection-Lag"]) > 0
    assert refused.status_code == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"] == "1"
    problem = refused.json()
    assert problem["code"] == "projection_behind"
    assert problem["required_position"] == problem["projection_position"] + 1


@pytest.mark.usefixtures("frozen_workers")
def test_waiting_clients_leave_threads_for_the_others(shop: Shop) -> None:
    command = register(shop)
    address = command.headers["Location"]

    def wait(_: int) -> tuple[httpx.Response, float]:
        started_at = monotonic()
        answer = read(shop, address, command, f"wait={SECONDS}")
        return answer, monotonic() - started_at

    with ThreadPoolExecutor(40) as threads:
        waits = threads.map(wait, range(40))
        # These are answered while the 40 wait.
        started_at = monotonic()
        others = [shop.admin.get("/orders?page_size=1") for _ in range(10)]
        seconds = monotonic() - started_at
        answers = list(waits)

    assert {answer.status_code for answer, _ in answers} == {503}
    assert {answer.status_code for answer in others} == {200}
    # Without the limit of waiting slots, all 40 would wait in full, and the others behind them.
    assert min(wait_seconds for _, wait_seconds in answers) < SECONDS
    assert seconds < SECONDS


@pytest.mark.usefixtures("frozen_workers")
def test_workers_that_go_on_end_the_wait(service: Service, shop: Shop) -> None:
    command = register(shop)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(_shown, shop, command)
        os.killpg(service.workers.pid, signal.SIGCONT)

        assert answer.result() == "wait"


def _shown(shop: Shop, command: httpx.Response) -> str:
    """Return the preference that was applied to the read that shows ``command``."""

    def shown() -> str:
        # On a busy machine the workers may need longer than the longest wait.
        answer = read(shop, command.headers["Location"], command, "wait=10")
        assert answer.status_code in (200, 503)
        return answer.headers.get("Preference-Applied", "")

    return wait_until(shown, missing="the command isn't shown")
