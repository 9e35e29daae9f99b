"""The workers post events to webhook endpoints, whatever happens to them and to the receiver."""

import time
from collections.abc import Iterator
from functools import partial
from uuid import UUID

import psutil
import pytest

from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.webhook_receiver import Received, Receiver, receiver


@pytest.fixture
def books() -> Iterator[Receiver]:
    with receiver() as books:
        yield books


@pytest.fixture
def endpoint(service: Service, books: Receiver) -> Iterator[str]:
    """The address of an endpoint; its receiver is ``books``."""
    with service.client("admin") as client:
        made = client.post("/webhook-endpoints", json={"name": "books", "url": books.url})
        assert made.status_code == 201, made.text
        address = made.json()["links"]["self"]
        yield address
        assert client.delete(address).status_code == 204


def event_ids_of(service: Service, order_id: str) -> list[UUID]:
    with service.write() as connection:
        rows = connection.execute(
            "SELECT event_id FROM event WHERE stream = %s ORDER BY version", [f"order-{order_id}"]
        )
        return [event_id for (event_id,) in rows]


def hang(_message: Received) -> int:
    time.sleep(11)
    return 204


def has_come(books: Receiver, event_ids: list[UUID]) -> bool:
    return set(event_ids) <= set(books.event_ids)


def test_events_arrive_while_workers_are_killed_and_an_endpoint_hangs(
    service: Service, shop: Shop, endpoint: str, books: Receiver
) -> None:
    # Given an endpoint that never answers its first message, and one that works
    with receiver() as silent, service.client("admin") as client:
        silent.answer = hang
        made = client.post("/webhook-endpoints", json={"name": "silent", "url": silent.url})

        # When orders are placed, and a worker is killed
        orders = [shop.order()]
        psutil.Process(service.workers.pid).children(recursive=True)[-1].kill()
        orders += [shop.order() for _ in range(3)]

        # Then the other endpoint gets each event of each order, in order, and the rows follow
        for order_id in orders:
            expected = event_ids_of(service, order_id)
            wait_until(partial(has_come, books, expected), missing=f"{expected}: {books.event_ids}")
            assert [key for key in books.event_ids if key in expected] == expected
        service.settle()
        assert client.delete(made.json()["links"]["self"]).status_code == 204
