"""Contestants that answer requests over HTTP."""

import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from typing import Any

from tests.benchmarks.contestant import ADDRESS, LINES, PRICE, QUANTITY
from tests.benchmarks.measuring import Backends, Cost, family, measured

# Clients at once, each with a connection of its own.
CLIENTS = 2

# A method, a path and a body.
Request = tuple[str, str, str | None]


class HttpContestant:
    """Sends ``requests`` to a web server, and measures the server's processes.

    ``settle`` waits for work that goes on after the responses; ``workers`` do that work.
    """

    def __init__(
        self,
        name: str,
        address: str,
        token: str,
        requests: Iterator[Request],
        *,
        web: int,
        backends: Backends,
        workers: int | None = None,
        settle: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self._address = address
        self._headers = {
            "Authorization": f"Token {token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._requests = requests
        self._web = web
        self._workers = workers
        self._backends = backends
        self.settle = settle
        self.waiting: list[Request] = []
        self._local = threading.local()
        self._connections: list[HTTPConnection] = []

    def prepare(self, number: int) -> None:
        """Make the requests of the next run."""
        self.waiting = [next(self._requests) for _ in range(number)]

    def run(self, number: int) -> Cost:
        return measured(
            self._send_all,
            number,
            self._backends,
            own=family(self._web),
            workers=family(self._workers) if self._workers else [],
        )

    def _send_all(self) -> dict[str, float]:
        left, latencies, errors = iter(self.waiting), [], []
        lock = threading.Lock()

        def send() -> None:
            try:
                while True:
                    with lock:
                        request = next(left, None)
                    if request is None:
                        return
                    began = time.perf_counter()
                    self.send(request)
                    latencies.append(time.perf_counter() - began)
            except Exception as error:
                errors.append(error)

        clients = [threading.Thread(target=send) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        if errors:
            raise errors[0]
        self.settle()
        latencies.sort()
        return {"p50": statistics.median(latencies), "p99": latencies[-1 - len(latencies) // 100]}

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._backends.close()

    def send(self, request: Request) -> bytes:
        """Send a request on the connection of this thread; return the body of the response."""
        if not hasattr(self._local, "connection"):
            self._local.connection = HTTPConnection(self._address)
            self._connections.append(self._local.connection)
        method, path, body = request
        self._local.connection.request(method, path, body, self._headers)
        response = self._local.connection.getresponse()
        content: bytes = response.read()
        assert response.status in (200, 201), (self.name, path, response.status, content[:500])
        return content


def reads(path: str, ids: Sequence[Any]) -> Iterator[Request]:
    """Yield reads of the rows ``ids`` in random order; ``path`` has a place for the id."""
    dice = random.Random(5)
    while True:
        yield "GET", path.format(dice.choice(ids)), None


def lists(path: str) -> Iterator[Request]:
    while True:
        yield "GET", path, None


def orders(path: str, customers: Sequence[str], products: Sequence[str]) -> Iterator[Request]:
    """Yield new orders of three lines for random customers and products."""
    dice = random.Random(5)
    while True:
        items = [
            {"product_id": product, "quantity": QUANTITY, "unit_price": PRICE}
            for product in dice.sample(products, LINES)
        ]
        body = {
            "customer_id": dice.choice(customers),
            "currency": "EUR",
            "items": items,
            "shipping_address": ADDRESS,
        }
        yield "POST", path, json.dumps(body)
