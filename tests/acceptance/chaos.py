"""Clients and faults of tests that do harm to a service, and what must be true in the end."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import psutil

from tests.acceptance.service import Service
from tests.acceptance.shop import Shop
from tests.proof import size

# Seconds from one order of a client to its next one.
PACE = 0.25
# Seconds from one fault to the next.
SHORTEST_PAUSE, LONGEST_PAUSE = size(1, full=2), size(1, full=5)
# Answers after which a client tries again: the service is away, or the first try isn't over.
AGAIN = (409, 429, 502, 503, 504)


class Client:
    """Places an order at each tick, and cancels each second one."""

    def __init__(self, shop: Shop) -> None:
        self._http = shop.admin
        self._body = shop.body(shop.customer(), shop.product(1_000_000))
        self.customer = self._body["customer_id"]
        self.placed: list[str] = []
        self.cancelled: list[str] = []
        self.repeats = 0

    def run(self, over: threading.Event) -> None:
        while not over.wait(PACE):
            order = self._give("/orders", self._body)["order_id"]
            self.placed.append(order)
            if len(self.placed) % 2:
                self._give(f"/orders/{order}/cancel", {"reason": "Not needed"})
                self.cancelled.append(order)

    def _give(self, path: str, body: dict[str, Any]) -> Any:
        """Give a command with one key until it is accepted."""
        headers = {"Idempotency-Key": uuid4().hex}
        while True:
            with suppress(httpx.TransportError):
                response = self._http.post(path, json=body, headers=headers)
                if response.is_success:
                    return response.json()
                assert response.status_code in AGAIN, response.text
            self.repeats += 1
            time.sleep(0.1)


@contextmanager
def clients_running(clients: Sequence[Client]) -> Iterator[None]:
    """Run each client in a thread until the block ends; fails if one of them does."""
    over = threading.Event()
    with ThreadPoolExecutor(len(clients)) as threads:
        running = [threads.submit(client.run, over) for client in clients]
        try:
            yield
        finally:
            over.set()
        for future in running:
            future.result()


class Nemesis:
    """Does harm: each of ``acts`` once, and then any of them; ``harm`` counts them by name."""

    def __init__(self, acts: Sequence[Callable[[], None]], dice: random.Random) -> None:
        self._acts = acts
        self._dice = dice
        self.harm: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Do harm for so many ``seconds``, and until each act is done."""
        ends_at = time.monotonic() + seconds
        acts = list(self._acts)
        while acts or time.monotonic() < ends_at:
            act = acts.pop() if acts else self._dice.choice(self._acts)
            act()
            self.harm[act.__name__] += 1
            time.sleep(self._dice.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))


class Harm:
    """Kills processes of one service, and starts again what nobody else starts."""

    def __init__(self, service: Service, dice: random.Random) -> None:
        self.service = service
        self._dice = dice
        self.nodes = [service.workers]

    def kill_web_process(self) -> None:
        self._kill_one(psutil.Process(self.service.web.pid).children())

    def kill_worker_process(self) -> None:
        node = self._dice.choice(self.nodes)
        self._kill_one(psutil.Process(node.pid).children(recursive=True))

    def _kill_one(self, processes: list[psutil.Process]) -> None:
        if processes:
            with suppress(psutil.NoSuchProcess):
                self._dice.choice(processes).kill()

    def kill_web_server(self) -> None:
        self.service.web.kill()
        self.service.web.wait()
        self.service.start_web()

    def kill_node(self) -> None:
        number = self._dice.randrange(len(self.nodes))
        self.nodes[number].kill()
        self.nodes[number].wait()
        self.service.start_workers()
        self.nodes[number] = self.service.workers

    def cut_connections(self) -> None:
        for connect in (self.service.write, self.service.read):
            with connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


def assert_accepted_once(shop: Shop, client: Client) -> None:
    """Compare the log and the rows that ``shop`` shows with the accepted commands of a client."""
    service = shop.service
    assert client.placed
    assert in_log(service, "OrderCreated", client.customer) == sorted(client.placed)
    cancelled = set(in_log(service, "OrderCancelled", client.customer))
    assert cancelled == set(client.cancelled)
    assert shown(shop, client.customer) == {
        order: "cancelled" if order in cancelled else "pending" for order in client.placed
    }


def in_log(service: Service, event_type: str, customer: str) -> list[str]:
    """Return the ids of the customer's orders with such an event, once for each event."""
    with service.write() as connection:
        rows = connection.execute(
            "SELECT substr(event.stream, 7) FROM event JOIN event AS created"
            " ON created.stream = event.stream AND created.version = 1"
            " WHERE event.type = %s AND created.data->>'customer_id' = %s ORDER BY 1",
            [event_type, customer],
        ).fetchall()
    return [order for (order,) in rows]


def shown(shop: Shop, customer: str) -> dict[str, str]:
    """Return the status of each order of a customer that the API shows, page by page."""
    statuses: dict[str, str] = {}
    url = f"/orders?customer={customer}&page_size=100"
    while url:
        response = shop.admin.get(url)
        assert response.is_success, response.text
        page = response.json()
        statuses |= {order["id"]: order["status"] for order in page["results"]}
        url = page["next"] or ""
    return statuses
