"""Chaos at a steady load: processes are killed, connections cut, databases crash, and each accepted
command is in the log once and readable.

At full size for ten minutes, on a service with a database server of its own and two nodes of
workers; otherwise for seconds, on the service of the other tests.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from django.conf import settings
from django.test import override_settings

from config.databases import programs
from config.databases.embedded import EmbeddedServer
from tests.acceptance.recount import assert_read_models_equal_the_log
from tests.acceptance.service import Service, wait_until
from tests.acceptance.shop import Shop
from tests.own_server import new_data_dir
from tests.proof import IS_PROOF, size

pytestmark = pytest.mark.proof

SECONDS = size(0, full=600)
CLIENTS = 2
# Seconds from one order of a client to its next one.
PACE = 0.25
# Seconds from one fault to the next.
SHORTEST_PAUSE, LONGEST_PAUSE = size(1, full=2), size(1, full=5)
# Answers after which a client tries again: the service is away, or the first try isn't over.
AGAIN = (409, 429, 502, 503, 504)


@pytest.fixture
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if not IS_PROOF:
        yield request.getfixturevalue("service")
        return
    with new_data_dir() as folder, override_settings(DATA_DIR=folder):
        EmbeddedServer(folder).start()
        with Service(tmp_path_factory.mktemp("chaos")) as service:
            yield service


class Client:
    """Places an order at each tick, and cancels each second one."""

    def __init__(self, shop: Shop, over: threading.Event) -> None:
        self._http = shop.admin
        self._over = over
        self._body = shop.body(shop.customer(), shop.product(1_000_000))
        self.customer = self._body["customer_id"]
        self.placed: list[str] = []
        self.cancelled: list[str] = []
        self.repeats = 0

    def run(self) -> None:
        while not self._over.wait(PACE):
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


class Nemesis:
    """Does harm to a service, and starts again what nobody else starts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._dice = random.Random(11)
        self._nodes = [service.workers]
        self.harm: Counter[str] = Counter()
        self._acts: list[Callable[[], None]] = [
            self.kill_web_process,
            self.kill_worker_process,
            self.cut_connections,
        ]
        if IS_PROOF:
            service.start_workers()
            self._nodes.append(service.workers)
            self._acts += [self.kill_web_server, self.kill_node, self.crash_databases]

    def run(self, seconds: float) -> None:
        """Do each act once, and then any of them for so many ``seconds``."""
        ends_at = time.monotonic() + seconds
        acts = list(self._acts)
        while acts or time.monotonic() < ends_at:
            act = acts.pop() if acts else self._dice.choice(self._acts)
            act()
            self.harm[act.__name__] += 1
            time.sleep(self._dice.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))

    def kill_web_process(self) -> None:
        self._kill_one(psutil.Process(self._service.web.pid).children())

    def kill_worker_process(self) -> None:
        node = self._dice.choice(self._nodes)
        self._kill_one(psutil.Process(node.pid).children(recursive=True))

    def _kill_one(self, processes: list[psutil.Process]) -> None:
        if processes:
            with suppress(psutil.NoSuchProcess):
                self._dice.choice(processes).kill()

    def kill_web_server(self) -> None:
        self._service.web.kill()
        self._service.web.wait()
        self._service.start_web()

    def kill_node(self) -> None:
        number = self._dice.randrange(len(self._nodes))
        self._nodes[number].kill()
        self._nodes[number].wait()
        self._service.start_workers()
        self._nodes[number] = self._service.workers

    def cut_connections(self) -> None:
        for connect in (self._service.write, self._service.read):
            with connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    def crash_databases(self) -> None:
        home = (settings.DATA_DIR / "postgres").resolve()
        restart = ("restart", "-w", "-m", "immediate", "-D", str(home / "data"))
        programs.run("pg_ctl", *restart, home=home)


def test_accepted_commands_survive_chaos(attacked: Service) -> None:
    shop, over = Shop(attacked), threading.Event()
    clients = [Client(shop, over) for _ in range(CLIENTS)]
    nemesis = Nemesis(attacked)

    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(client.run) for client in clients]
        try:
            nemesis.run(SECONDS)
        finally:
            over.set()
        for future in running:
            future.result()

    wait_until(attacked.is_ready, missing="the service isn't ready again")
    attacked.settle()
    # An event during which workers were killed three times in a row looks as if it had killed them.
    attacked.call("retry_parked")
    assert_read_models_equal_the_log(attacked)
    if IS_PROOF:
        attacked.call("verify_projections")
        attacked.call("verify_log")
    for client in clients:
        assert client.placed
        assert in_log(attacked, "OrderCreated", client.customer) == sorted(client.placed)
        cancelled = set(in_log(attacked, "OrderCancelled", client.customer))
        assert cancelled == set(client.cancelled)
        assert shown(shop, client.customer) == {
            order: "cancelled" if order in cancelled else "pending" for order in client.placed
        }
    placed = sum(len(client.placed) for client in clients)
    repeats = sum(client.repeats for client in clients)
    print(f"{placed} orders, {repeats} repeated requests, {dict(nemesis.harm)}")


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
