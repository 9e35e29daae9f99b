"""Parallel commands: nothing is oversold, lost or skipped, and no client delays another."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from django.conf import settings
from django.db import transaction

from config.accounts.models import User
from ordering_write import client
from ordering_write.domain.events import OrderCreated
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop, created
from tests.patience import on_this_machine
from tests.proof import IS_PROOF, size

# Orders that are placed while each of the five processes of the workers is killed.
ORDERS = size(50, full=250)
# The processes that are killed once more while all are idle: a worker and the pusher, or all.
KILLED_IDLE = range(5) if IS_PROOF else (1, 4)
# Parallel commands on one order.
MANY = size(20, full=50)
# The projections that are rebuilt: one by streams and one that mixes them, or all in `make proof`.
REBUILT = () if IS_PROOF else ("order_view", "sales_by_day")


@pytest.fixture(scope="module", autouse=True)
def _two_web_processes(service: Service) -> Iterator[None]:
    """Add a process to the web server, so that parallel commands meet in the database only."""
    service.web.send_signal(signal.SIGTTIN)
    web = psutil.Process(service.web.pid)

    def all_serve() -> bool:
        children = web.children()
        return len(children) == 2 and all(
            child.num_threads() > settings.WEB_THREADS for child in children
        )

    wait_until(all_serve, missing="no second web process serves")
    yield
    service.web.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(web.children()) == 1, missing="the second web process doesn't end")
    wait_until(service.is_ready)


def at_once(call: Callable[[int], httpx.Response], times: int) -> list[httpx.Response]:
    """Make ``call(0)``, ``call(1)`` and so on in parallel; return the responses."""
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(call, range(times)))


@pytest.mark.proof
def test_many_parallel_orders_share_a_stock_of_ten(service: Service, shop: Shop) -> None:
    count = size(30, full=100)
    product = shop.product(10)
    body = shop.body(shop.customer(), product)

    responses = at_once(lambda _: shop.admin.post("/orders", json=body), count)

    assert Counter(response.status_code for response in responses) == {201: 10, 400: count - 10}
    refusals = [response.json() for response in responses if response.status_code == 400]
    assert {refusal["code"] for refusal in refusals} == {"insufficient_inventory"}
    assert shop.level(product) == {"on_hand": 10, "reserved": 10, "available": 0}
    assert_read_models_equal_the_log(service)


@pytest.mark.proof
def test_opposite_orders_of_the_same_products_do_not_deadlock(shop: Shop) -> None:
    count = size(20, full=60)
    products = [shop.product(1_000) for _ in range(3)]
    customer = shop.customer()
    bodies = [shop.body(customer, *products), shop.body(customer, *reversed(products))]

    responses = at_once(lambda number: shop.admin.post("/orders", json=bodies[number % 2]), count)

    assert Counter(response.status_code for response in responses) == {201: count}
    assert [shop.level(product)["reserved"] for product in products] == [count] * 3


@pytest.mark.proof
def test_orders_and_cancellations_of_the_same_product_add_up(service: Service, shop: Shop) -> None:
    count = size(8, full=20)
    product = shop.product(count + 10)
    customer = shop.customer()
    orders = [shop.order(customer, product) for _ in range(count)]
    body = shop.body(customer, product)

    def act(number: int) -> httpx.Response:
        if number % 2:
            return shop.admin.post("/orders", json=body)
        # Twice for each order: one of the two is too late.
        return shop.admin.post(f"/orders/{orders[number // 4]}/cancel", json={"reason": "x"})

    responses = at_once(act, 4 * count)

    placed, cancelled = responses[1::2], responses[::2]
    assert Counter(response.status_code for response in cancelled) == {200: count, 409: count}
    statuses = Counter(response.status_code for response in placed)
    assert set(statuses) <= {201, 400}
    assert shop.level(product)["reserved"] == statuses[201]
    assert_read_models_equal_the_log(service)


@pytest.mark.proof
def test_many_commands_at_once_on_one_order_lose_nothing(service: Service, shop: Shop) -> None:
    order = shop.order()

    responses = at_once(
        lambda number: shop.admin.post(f"/orders/{order}/notes", json={"text": f"Note {number}"}),
        MANY,
    )

    assert Counter(response.status_code for response in responses) == {201: MANY}
    # Placed with a line, it was at version 2.
    assert sorted(response.json()["version"] for response in responses) == list(range(3, 3 + MANY))
    assert_read_models_equal_the_log(service)


@pytest.mark.proof
def test_of_many_commands_with_one_etag_one_is_accepted(shop: Shop) -> None:
    order = shop.order()
    shop.read(f"/orders/{order}")
    tag = shop.admin.get(f"/orders/{order}").headers["ETag"]

    responses = at_once(
        lambda number: shop.admin.post(
            f"/orders/{order}/notes", json={"text": f"Note {number}"}, headers={"If-Match": tag}
        ),
        MANY,
    )

    assert Counter(response.status_code for response in responses) == {201: 1, 412: MANY - 1}
    since = [
        response.json()["events_since"] for response in responses if response.status_code == 412
    ]
    assert {tuple(event["type"] for event in events) for events in since} == {("NoteAdded",)}


# --- A slow client -----------------------------------------------------------------------------
def placed_as_admin(body: dict[str, Any]) -> UUID:
    """Place an order by the command bus, in the caller's transaction; return the id."""
    user = User.objects.get(username="admin")
    command = client.CreateOrder(**body, **client.envelope(user, channel="cli"))
    placed = client.dispatch(command, user=user)[0]
    assert isinstance(placed, OrderCreated)
    return placed.order_id


def test_a_late_commit_delays_no_other_and_is_projected(service: Service, shop: Shop) -> None:
    slow_customer, customer, product = shop.customer(), shop.customer(), shop.product()
    slow_body = shop.body(slow_customer, shop.product())
    with service.connected(), transaction.atomic():
        slow = placed_as_admin(slow_body)
        started = time.monotonic()
        quick = [shop.order(customer, product) for _ in range(20)]
        for order in quick:
            assert shop.read(f"/orders/{order}")
        # Less than the timeout that would end the slow transaction.
        assert time.monotonic() - started < on_this_machine(8)
        assert shop.admin.get(f"/orders/{slow}").status_code == 404
    assert shop.read(f"/orders/{slow}")["customer_id"] == slow_customer
    with service.write() as connection:
        ids = dict(
            connection.execute(
                "SELECT stream, id FROM event WHERE type = 'OrderCreated' AND stream = ANY(%s)",
                [[f"order-{order}" for order in (slow, *quick)]],
            ).fetchall()
        )
    # It drew its id before all others.
    assert min(ids, key=lambda stream: ids[stream]) == f"order-{slow}"
    assert_read_models_equal_the_log(service)


# --- Rebuilding and killing while orders are placed --------------------------------------------
@pytest.mark.proof
def test_a_rebuild_while_orders_are_placed_ends_equal(service: Service, shop: Shop) -> None:
    customer, product = shop.customer(), shop.product(100_000)
    first_order = shop.order(customer, product)
    shop.read(f"/orders/{first_order}")
    is_over = Event()
    placed: list[str] = []
    statuses: Counter[int] = Counter()

    def place() -> None:
        while not is_over.wait(0.02):
            placed.append(shop.order(customer, product))

    def read() -> None:
        while not is_over.wait(0.02):
            statuses[shop.admin.get(f"/orders/{first_order}").status_code] += 1

    with ThreadPoolExecutor() as threads:
        futures = [threads.submit(place), threads.submit(place), threads.submit(read)]
        try:
            wait_until(lambda: len(placed) > 20)
            before = len(placed)
            rebuild(service)
            assert len(placed) > before
        finally:
            is_over.set()
        for future in futures:
            future.result()

    # No read failed meanwhile.
    assert set(statuses) == {200}
    assert_read_models_equal_the_log(service)
    rows = service.rows()
    rebuild(service)
    assert service.rows() == rows


def rebuild(service: Service) -> None:
    # One process: this one has threads and must not fork.
    service.call("rebuild_projections", *REBUILT, "--workers", "1")


@pytest.mark.proof
def test_orders_are_projected_while_worker_processes_are_killed(
    service: Service, shop: Shop
) -> None:
    customer, product = shop.customer(), shop.product(1_000)
    workers = psutil.Process(service.workers.pid)
    step = size(10, full=20)
    victims = {number: number // step for number in range(step // 2, ORDERS, step)}

    def place(number: int) -> None:
        if number in victims:
            kill_one(workers, victims[number])
        shop.order(customer, product)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(place, range(ORDERS)))

    assert_read_models_equal_the_log(service)
    for victim in KILLED_IDLE:
        wait_until(lambda: len(workers.children(recursive=True)) == 5)
        kill_one(workers, victim)
        shop.order(customer, product)
        service.settle()
    assert_read_models_equal_the_log(service)
    assert shop.level(product)["reserved"] == ORDERS + len(KILLED_IDLE)


def kill_one(workers: psutil.Process, number: int) -> None:
    """Kill the sentinel, a worker, the monitor or the pusher, if it is running."""
    family = workers.children(recursive=True)
    with suppress(IndexError, psutil.NoSuchProcess):
        family[number % 5].kill()


@pytest.mark.proof
def test_orders_survive_killed_web_workers(service: Service, shop: Shop) -> None:
    count = size(40, full=75)
    product = shop.product(1_000)
    body = shop.body(shop.customer(), product)
    doomed = {25 * (number + 1): number for number in range(size(1, full=2))}
    web = psutil.Process(service.web.pid)
    workers = web.children()

    def place(number: int) -> str:
        if number in doomed:
            workers[doomed[number]].kill()
        key = {"Idempotency-Key": str(uuid4())}
        while True:
            try:
                return str(created(shop.admin.post("/orders", json=body, headers=key))["order_id"])
            except httpx.TransportError:
                continue  # the client can't know whether it was placed, and sends it again

    with ThreadPoolExecutor(8) as threads:
        orders = list(threads.map(place, range(count)))

    wait_until(lambda: len(web.children()) == 2)
    wait_until(service.is_ready)
    assert len(set(orders)) == count
    assert shop.level(product)["reserved"] == count
    assert_read_models_equal_the_log(service)
