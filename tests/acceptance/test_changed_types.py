"""A running service answers while a migration changes the types of columns, without a restart."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop, created
from tests.proof import size

# Requests of each client before a change, so that the statements of all threads are prepared.
REQUESTS_BEFORE = size(20, full=60)
# Requests after a change, of all clients together.
REQUESTS_AFTER = size(20, full=60)

# Columns that reads, commands, logins and workers select, each with another type and its own.
CHANGES = [
    ("read", "projection", "parked_streams", "bigint", "integer"),
    ("write", "accounts_user", "last_name", "text", "varchar(150)"),
    ("write", "ordering_write_order", "currency", "text", "varchar(3)"),
    ("write", "ordering_write_stockitem", "name", "text", "varchar(200)"),
    ("write", "event", "channel", "text", "varchar(10)"),
]


@contextmanager
def load(*requests: Callable[[], int]) -> Iterator[Counter[int]]:
    """Repeat each request, in a thread of its own, until the end; count the answers by status."""
    is_over = threading.Event()
    statuses: Counter[int] = Counter()

    def repeat(request: Callable[[], int]) -> None:
        while not is_over.is_set():
            statuses[request()] += 1

    with ThreadPoolExecutor(len(requests)) as threads:
        futures: list[Future[None]] = [threads.submit(repeat, request) for request in requests]
        try:
            yield statuses
        finally:
            is_over.set()
    for future in futures:
        future.result()


def has_answered(statuses: Counter[int], requests: int) -> bool:
    return statuses.total() >= requests


def alter(connection: psycopg.Connection[Any], table: str, column: str, new_type: str) -> None:
    connection.execute(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {new_type}")


@pytest.mark.proof
def test_changes_of_types_under_load_fail_no_request(
    service: Service, shop: Shop, subtests: pytest.Subtests
) -> None:
    customer, product = shop.customer(), shop.product(100_000)
    order = shop.order(customer, product)
    shop.read(f"/orders/{order}")
    body = shop.body(customer, product)
    clerk, clients = service.client("clerk"), [service.client("admin") for _ in range(3)]

    def place_and_cancel() -> int:
        placed = created(clients[2].post("/orders", json=body))["order_id"]
        return clients[2].post(f"/orders/{placed}/cancel", json={"reason": "Test"}).status_code

    requests = (
        lambda: clerk.get(f"/orders/{order}").status_code,
        lambda: clients[0].get("/orders").status_code,
        lambda: clients[1].get("/feed", params={"limit": 5}).status_code,
        place_and_cancel,
    )
    with load(*requests) as statuses, service.write() as write, service.read() as read:
        wait_until(partial(has_answered, statuses, REQUESTS_BEFORE * len(requests)))
        for side, table, column, other, own in CHANGES:
            connection = write if side == "write" else read
            expected = statuses.total() + REQUESTS_AFTER
            alter(connection, table, column, other)
            wait_until(partial(has_answered, statuses, expected))
            with subtests.test("no request failed", column=column):
                assert set(statuses) == {200}
            # Back again, which is one more change for the next requests.
            alter(connection, table, column, own)
        wait_until(partial(has_answered, statuses, statuses.total() + REQUESTS_AFTER))
        assert set(statuses) == {200}

    assert_read_models_equal_the_log(service)
    assert "can't go on" not in service.log("workers")
