"""Reading what one has just written, over HTTP, beside workers that run or don't."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop

# How long many clients wait at once.
SECONDS = 8


@pytest.fixture
def nobody_works(service: Service) -> Iterator[None]:
    """The workers are stopped, and started again afterwards."""
    service.settle()
    service.workers.terminate()
    service.workers.wait(10)
    yield
    service.start_workers()
    service.settle(seconds=120)


def register(shop: Shop) -> httpx.Response:
    body = {"name": "Robin Sample", "email": f"{uuid4().hex}@example.com"}
    answer = shop.admin.post("/customers", json=body)
    assert answer.status_code == 201
    return answer


def read(shop: Shop, path: str, command: httpx.Response, prefer: str = "") -> httpx.Response:
    headers = {"Consistency-Token": command.headers["Consistency-Token"]}
    return shop.admin.get(path, headers=headers | ({"Prefer": prefer} if prefer else {}))


def test_what_was_written_is_read(shop: Shop) -> None:
    product, customer = shop.product(on_hand=100), shop.customer()
    for count in range(1, 21):
        placed = shop.admin.post("/orders", json=shop.body(customer, product))
        shown = read(shop, placed.headers["Location"], placed, "wait=10")
        listed = read(shop, f"/customers/{customer}/orders", placed, "wait=10")
        stock = read(shop, f"/inventory/{product}", placed, "wait=10")

        assert [one.status_code for one in (shown, listed, stock)] == [200] * 3
        assert {one.headers["Preference-Applied"] for one in (shown, listed, stock)} == {"wait"}
        assert shown.json()["order_number"] == placed.json()["order_number"]
        assert (listed.json()["count"], stock.json()["reserved"]) == (count, count)


@pytest.mark.usefixtures("nobody_works")
def test_without_workers_it_is_said(shop: Shop) -> None:
    made = register(shop)
    here = made.headers["Location"]
    began = monotonic()

    behind, refused = read(shop, "/customers", made), read(shop, here, made, "wait=1")

    assert monotonic() - began < 15
    assert (behind.status_code, behind.headers["Projection-Behind"]) == (200, "true")
    assert float(behind.headers["Projection-Lag"]) > 0
    assert refused.status_code == 503
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"] == "1"
    problem = refused.json()
    assert problem["code"] == "projection_behind"
    assert problem["required_position"] == problem["projection_position"] + 1


@pytest.mark.usefixtures("nobody_works")
def test_those_who_wait_leave_room_for_the_others(shop: Shop) -> None:
    made = register(shop)
    here = made.headers["Location"]

    def wait(_: int) -> tuple[httpx.Response, float]:
        began = monotonic()
        answer = read(shop, here, made, f"wait={SECONDS}")
        return answer, monotonic() - began

    with ThreadPoolExecutor(40) as threads:
        waits = threads.map(wait, range(40))
        # While they wait.
        began = monotonic()
        others = [shop.admin.get("/orders?page_size=1") for _ in range(10)]
        seconds = monotonic() - began
        answers = list(waits)

    assert {answer.status_code for answer, _ in answers} == {503}
    assert {answer.status_code for answer in others} == {200}
    # All of them would have waited their time otherwise, and the others for them.
    assert min(took for _, took in answers) < SECONDS
    assert seconds < SECONDS


def test_work_that_begins_ends_the_waiting(service: Service, shop: Shop) -> None:
    service.settle()
    service.workers.terminate()
    service.workers.wait(10)
    made = register(shop)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(_shown, shop, made)
        service.start_workers()

        assert answer.result() == "wait"


def _shown(shop: Shop, made: httpx.Response) -> str:
    """Which preference was applied when what was made is shown."""

    def shown() -> str:
        # On a busy machine the workers may need longer to start than anybody waits.
        answer = read(shop, made.headers["Location"], made, "wait=10")
        assert answer.status_code in (200, 503)
        return answer.headers.get("Preference-Applied", "")

    return wait_until(shown, seconds=120, missing="it isn't shown")
