"""Web servers go over to new code, and stop, without a request that is refused or reset."""

import http.client
import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from uuid import uuid4

import pytest

from tests.acceptance.rolling import Clients, Front, Node
from tests.acceptance.service import plain_environ, wait_until
from tests.proof import size

SMALL = "tests.acceptance.small_site"
PATHS = ["/", "/slow", "/", "/", "/", "/", "/", "/"]

NewNode = Callable[[], Node]
Deploy = Callable[[str], None]


@pytest.fixture(scope="module")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Deploy:
    """Write the code, which is a version, to the folder of all nodes."""
    file = tmp_path_factory.mktemp("nodes") / "version"
    file.touch()

    def write(version: str) -> None:
        file.write_text(version)

    return write


@pytest.fixture(scope="module")
def new_node(tmp_path_factory: pytest.TempPathFactory, deploy: Deploy) -> Iterator[NewNode]:
    """Start a node that runs a small application."""
    folder = tmp_path_factory.getbasetemp() / "nodes0"
    environ = plain_environ() | {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1/nothing",
        "SECRET_KEY": uuid4().hex * 2,
        "WEB_DRAIN_SECONDS": "1",
        "WEB_FINISH_SECONDS": "20",
        "LOG_FORMAT": "json",
    }
    nodes: list[Node] = []

    def start() -> Node:
        deploy("'first'")
        nodes.append(Node(folder, environ, SMALL))
        return nodes[-1].start()

    yield start
    for node in nodes:
        node.kill()


@pytest.fixture(scope="module")
def node(new_node: NewNode) -> Node:
    return new_node()


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


def test_nodes_restart_one_after_the_other_and_no_request_is_lost(
    node: Node, new_node: NewNode
) -> None:
    nodes = [node, new_node()]
    with Front(nodes) as front, Clients(front, PATHS) as clients:
        for restarted in nodes * size(1, full=5):
            restarted.signal(signal.SIGTERM)
            # It answers while it isn't ready, and later listens no more.
            wait_until(partial(front.lacks, restarted))
            restarted.wait()
            restarted.start()
            wait_until(partial(front.has, restarted))

    assert clients.failed == []
    assert len(clients.answers) > 20
