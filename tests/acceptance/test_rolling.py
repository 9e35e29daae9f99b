"""Web servers go over to new code, and stop, without a request that is refused or reset.

The application is a small one; in `make proof`, two nodes behind HAProxy run the service itself.
"""

import http.client
import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.acceptance import haproxy
from tests.acceptance.haproxy import HAProxy
from tests.acceptance.rolling import Clients, Front, Node
from tests.acceptance.service import Service, plain_environ, wait_until
from tests.proof import IS_PROOF, size
from tests.unit.test_deploy_files import ENVIRONMENT

SMALL = "tests.acceptance.small_site"
PATHS = ["/", "/slow", "/", "/", "/", "/", "/", "/"]
POSTED = "/api/v1/inventory"
PATHS_OF_SERVICE = ["/api/v1/orders", POSTED, "/api/v1/customers", "/api/v1/inventory?page_size=1"]
# The name by which the front's configuration calls the service.
HOST = "orders.example.com"
HAS_STARTED = "The web server of version"
# The variables of web servers behind a front, as deploy/ has them.
BEHIND_A_FRONT = {
    name: value for name, value in ENVIRONMENT if name.startswith(("WEB_", "TRUST", "LOG_"))
}

Deploy = Callable[[str], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which all nodes find their code."""
    return tmp_path_factory.mktemp("rolling")


@pytest.fixture(scope="module")
def deploy(folder: Path) -> Deploy:
    """Write the code, which is a version, to the folder of all nodes."""

    def write(version: str) -> None:
        # A node that loads its code meanwhile finds the former one, not half a file.
        new = folder / "new"
        new.write_text(version)
        new.replace(folder / "version")

    return write


@pytest.fixture(scope="module")
def nodes(folder: Path, deploy: Deploy) -> Iterator[list[Node]]:
    """Return two nodes that run a small application."""
    environ = plain_environ() | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing",
        "SECRET_KEY": uuid4().hex * 2,
        "WEB_DRAIN_SECONDS": "1",
        "WEB_FINISH_SECONDS": "20",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
    }
    deploy("'first'")
    with started(Node(folder, environ, SMALL) for _ in range(2)) as nodes:
        yield nodes


@pytest.fixture
def node(nodes: list[Node]) -> Node:
    return nodes[0]


@pytest.fixture(autouse=True)
def code_that_loads(deploy: Deploy) -> None:
    """Deploy code that can be loaded, since a former test may have left other code."""
    deploy("'first'")


class Site(NamedTuple):
    """Two nodes, and a function that makes the clients of a front of them."""

    nodes: list[Node]
    new_clients: Callable[[HAProxy], Clients]


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Run the service itself in `make proof`, else the small application."""
    haproxy.skip_without_it()
    if not IS_PROOF:
        yield Site(request.getfixturevalue("nodes"), lambda front: Clients(front, PATHS))
        return
    with Service(tmp_path, like=request.getfixturevalue("migrated"), web=False) as service:
        hosts = f"{HOST},127.0.0.1"
        environ = service.environ | BEHIND_A_FRONT | {"HTTPS": "1", "ALLOWED_HOSTS": hosts}
        arguments = (tmp_path, environ, "config.gunicorn", ["config.wsgi"])
        headers = {
            "Host": HOST,
            "Authorization": f"Token {service.tokens['admin']}",
            "Content-Type": "application/json",
        }
        with started(Node(*arguments) for _ in range(2)) as nodes:
            yield Site(
                nodes,
                lambda front: Clients(
                    front, PATHS_OF_SERVICE, pause=0.2, headers=headers, posted=new_product
                ),
            )


@contextmanager
def started(nodes: Iterable[Node]) -> Iterator[list[Node]]:
    running: list[Node] = []
    try:
        for node in nodes:
            running.append(node)
            node.start()
        yield running
    finally:
        for node in running:
            node.kill()


def new_product(path: str) -> str | None:
    """Return the JSON of a new product; None for a path that is read."""
    product = {"sku": uuid4().hex, "name": "Desk lamp", "on_hand": 1}
    return json.dumps(product) if path == POSTED else None


def test_new_code_answers_after_sighup_and_no_request_is_lost(node: Node, deploy: Deploy) -> None:
    versions = [f"{number}" for number in range(size(1, full=10))]
    with Front([node]) as front, Clients(front, PATHS) as clients:
        for version in versions:
            deploy(version)
            node.signal(signal.SIGHUP)
            clients.wait_for(version)
    assert clients.failed == []

    # A request that has begun under the former code ends under it.
    slow = []

    def request_slowly() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", node.port)) as connection:
            connection.request("GET", "/slow")
            slow.append(connection.getresponse().read().decode())

    with closing(http.client.HTTPConnection("127.0.0.1", node.port)) as idle:
        idle.request("GET", "/")
        former = idle.getresponse().read().decode()
        deploy("'last'")
        # A second signal takes the place of the first one, whose trial has just begun.
        node.signal(signal.SIGHUP)
        node.signal(signal.SIGHUP)
        waiting = threading.Thread(target=request_slowly)
        waiting.start()
        with Front([node]) as front, Clients(front, ["/"]) as clients:
            clients.wait_for("last")
        waiting.join()
        # The former worker answers on the connection that was idle, and says that it closes it.
        idle.request("GET", "/")
        response = idle.getresponse()
        assert (response.read().decode(), response.headers["Connection"]) == (former, "close")
    assert slow == [former]
    assert clients.failed == []


def test_code_that_cant_be_loaded_leaves_the_former_code(node: Node, deploy: Deploy) -> None:
    with Front([node]) as front, Clients(front, ["/"]) as clients:
        clients.wait_for(clients.first_body())
        former = clients.answers[-1].body
        deploy("1 +")
        node.signal(signal.SIGHUP)
        wait_until(lambda: "The former code goes on" in node.log.read_text())
        clients.wait_for(former)

    assert clients.failed == []
    messages = [json.loads(line)["message"] for line in node.log.read_text().splitlines()]
    assert "Error: invalid syntax (<string>, line 1)" in messages


def test_nodes_restart_one_after_the_other_and_no_request_is_lost(nodes: list[Node]) -> None:
    with Front(nodes) as front, Clients(front, PATHS) as clients:
        for node in nodes * size(1, full=5):
            restart(node, front)

    assert clients.failed == []
    assert len(clients.answers) > 20


@pytest.mark.proof
def test_nodes_restart_and_reload_behind_haproxy_and_no_request_is_lost(
    site: Site, tmp_path: Path
) -> None:
    rounds = size(1, full=10)
    restarted, reloaded = (site.nodes, site.nodes) if IS_PROOF else (site.nodes[:1], site.nodes[1:])
    with HAProxy(tmp_path, site.nodes) as front, site.new_clients(front) as clients:
        for _ in range(rounds):
            for node in restarted:
                restart(node, front)
            for node in reloaded:
                reload(node)

    refused = [answer for answer in clients.answers if answer.status not in (200, 201)]
    assert refused == []
    requests = [front.requests_to(node) for node in site.nodes]
    assert min(requests) > 5
    print(f"{rounds} rolling restarts, {rounds} reloads, {requests} requests, none refused")


def restart(node: Node, front: Front | HAProxy) -> None:
    """Restart a node as systemd does, and wait until the front sends requests to it again."""
    node.signal(signal.SIGTERM)
    # It answers while it isn't ready, and later listens no more.
    wait_until(partial(front.lacks, node))
    node.wait()
    node.start()
    wait_until(partial(front.has, node))


def reload(node: Node) -> None:
    """Let a node go over to its code anew, and wait until the new code listens."""

    def starts() -> int:
        return node.log.read_text().count(HAS_STARTED)

    former = starts()
    node.signal(signal.SIGHUP)
    wait_until(lambda: starts() > former, missing=f"no new code in {node.log}")
