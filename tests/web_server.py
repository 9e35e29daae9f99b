"""A web server of ours on a socket of its own, for tests that speak HTTP over sockets."""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from waitress.wasyncore import close_all, poll2

from config.server.connections import Limits, Server, server_on
from config.server.threads import started_threads
from config.server.worker import adjustments
from tests.patience import PATIENCE_SECONDS

LIMITS = Limits(connections=8, connections_per_address=4, head_seconds=10, body_seconds=30)
LARGE = 20_000_000


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with the method, the path, the length and the body of the request."""
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/large":
        body = bytes(LARGE)
    parts = (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("CONTENT_LENGTH", ""))
    answer = " ".join(parts).encode() + b" " + body
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


class Harness:
    """A server whose main loop runs while a test waits for an answer."""

    def __init__(self, application: Any, limits: Limits = LIMITS) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.objects: dict[int, Any] = {}
        self.threads = started_threads(1)
        options = adjustments(idle_seconds=20, backlog=100)
        self.server: Server = server_on(
            self.listener, application, self.objects, self.threads, options, limits
        )
        self.clients: list[socket.socket] = []

    def connect(self, sent: bytes = b"", *, address: str = "127.0.0.1") -> socket.socket:
        """Return a client's socket, after the server has read ``sent``."""
        client = socket.socket()
        self.clients.append(client)
        client.bind((address, 0))
        client.connect(self.listener.getsockname())
        client.sendall(sent)
        client.setblocking(False)
        self.turn()
        return client

    def turn(self) -> None:
        """Handle the events that have happened."""
        for _ in range(5):
            poll2(0.01, self.objects)

    def pass_time(self, seconds: float) -> None:
        """Check the connections as if so many seconds had passed."""
        self.turn()
        self.server.close_overdue(time.time() + seconds)

    def receive(self, client: socket.socket, until: bytes = b"") -> bytes:
        """Return all bytes that arrive until ``until``, or until the server closes."""
        received = b""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (until and until in received):
            assert time.monotonic() < deadline, received[-200:]
            poll2(0.01, self.objects)
            try:
                piece = client.recv(1_000_000)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return received
            if not piece:
                return received
            received += piece
        return received

    def is_open(self, client: socket.socket) -> bool:
        self.turn()
        try:
            return client.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.threads.shutdown()
        for connection in list(self.server.active_channels.values()):
            connection.handle_close()
        close_all(self.objects)
        with contextlib.suppress(OSError):
            self.listener.close()
