"""The web server takes connections of many clients, and gives each client its turn."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from waitress.wasyncore import poll2

from config.http.limits.addresses import client_network
from config.server.connections import Limits
from tests.patience import PATIENCE_SECONDS
from tests.web_server import LARGE, Harness, echo

HEAD = b"GET /a HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def harness() -> Iterator[Harness]:
    running = Harness(echo)
    yield running
    running.close()


def test_too_many_connections_of_an_address_close_the_one_that_waits_longest(
    harness: Harness,
) -> None:
    slow = [harness.connect(HEAD) for _ in range(4)]
    other = harness.connect(HEAD, address="127.0.0.2")

    newcomer = harness.connect(HEAD + b"\r\n")

    assert harness.receive(newcomer, b"GET /a  ")
    assert [harness.is_open(client) for client in slow] == [False, True, True, True]
    assert harness.is_open(other)


def test_too_many_connections_close_the_one_that_waits_longest(harness: Harness) -> None:
    slow = [harness.connect(HEAD, address=f"127.0.0.{number}") for number in range(2, 10)]

    newcomer = harness.connect(HEAD + b"\r\n")

    assert harness.receive(newcomer, b"GET /a  ")
    assert [harness.is_open(client) for client in slow] == [False] + [True] * 7


def test_connections_of_a_proxy_are_not_bounded_by_address() -> None:
    limits = Limits(connections=8, connections_per_address=0, head_seconds=10, body_seconds=30)
    harness = Harness(echo, limits)
    try:
        clients = [harness.connect(HEAD) for _ in range(8)]
        assert all(harness.is_open(client) for client in clients)
    finally:
        harness.close()


def test_many_newcomers_are_accepted_in_few_turns() -> None:
    limits = Limits(connections=200, connections_per_address=0, head_seconds=10, body_seconds=30)
    harness = Harness(echo, limits)
    accepted = []
    try:
        for _ in range(100):
            client = socket.create_connection(harness.listener.getsockname())
            harness.clients.append(client)
        while len(harness.server.active_channels) < 100:
            poll2(PATIENCE_SECONDS, harness.objects)
            accepted.append(len(harness.server.active_channels))
    finally:
        harness.close()

    # The first ones come one by one, so that other processes get their share of few clients.
    assert accepted[:3] == [1, 2, 3]
    assert len(accepted) < 40


def test_clients_take_turns_when_all_threads_are_busy() -> None:
    paths: list[str] = []
    may_go_on = threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        paths.append(environ["PATH_INFO"])
        may_go_on.wait(PATIENCE_SECONDS)
        return echo(environ, start_response)

    harness = Harness(application)
    try:
        for number in range(4):
            harness.connect(b"GET /many%d HTTP/1.0\r\n\r\n" % number)
        one = harness.connect(b"GET /one HTTP/1.0\r\n\r\n", address="127.0.0.2")
        may_go_on.set()
        harness.receive(one)
        for client in harness.clients:
            harness.receive(client)
    finally:
        may_go_on.set()
        harness.close()

    assert paths == ["/many0", "/many1", "/one", "/many2", "/many3"]


def test_a_large_answer_is_written_to_no_file(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)

    client = harness.connect(b"GET /large HTTP/1.0\r\n\r\n")

    assert harness.receive(client).count(b"\0") == LARGE


def test_a_client_is_an_address_or_the_network_of_one() -> None:
    assert client_network("192.0.2.1") == "192.0.2.1"
    assert client_network("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_network("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert client_network("localhost") == "localhost"
