"""Clients that send or read slowly keep nobody else waiting."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance.service import Service

CLIENTS, ADDRESSES = 500, 50
HOST = b"Host: localhost\r\n"
POST = b"POST /api/v1/orders HTTP/1.1\r\n" + HOST
# The bytes that a slow client sends first, and those that it repeats.
KINDS = {
    "head": (b"GET / HTTP/1.1\r\n" + HOST + b"X: ", b"x"),
    "body": (POST + b"Content-Length: 100000\r\n\r\n{", b"x"),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "idle": (b"", b""),
    "reader": (b"GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\n" + HOST + b"\r\n", b""),
}


class SlowClient:
    """A connection of one kind that sends its piece again and again."""

    def __init__(self, stack: ExitStack, service: Service, kind: str, address: str) -> None:
        self.kind = kind
        first, self._piece = KINDS[kind]
        host, port = service.url.removeprefix("http://").split(":")
        self._socket = stack.enter_context(socket.socket())
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        self._socket.bind((address, 0))
        self._socket.connect((host, int(port)))
        self._socket.sendall(first)
        self._socket.setblocking(False)

    def send(self) -> None:
        self._socket.send(self._piece)

    def has_answer(self) -> bool:
        """Return True if the server has answered, or closed the connection."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def slow_clients(service: Service) -> Iterator[list[SlowClient]]:
    """Connect slow clients of each kind from many addresses."""
    kinds = list(KINDS)
    with ExitStack() as stack:
        yield [
            SlowClient(
                stack,
                service,
                kinds[number % len(kinds)],
                f"127.0.0.{number % ADDRESSES + 2}",
            )
            for number in range(CLIENTS)
        ]


def test_slow_clients_keep_nobody_waiting(service: Service, slow_clients: list[SlowClient]) -> None:
    reader = service.client("clerk")
    for client in slow_clients:
        client.send()

    assert service.get("/healthz").status_code == 200
    assert reader.get("/orders").status_code == 200

    # The answers came while the slow clients were still at it, not after they had been cut off.
    stalled = [client for client in slow_clients if client.kind in ("body", "chunks")]
    assert not any(client.has_answer() for client in stalled)
