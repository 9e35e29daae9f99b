"""Nodes with a web server each, and clients that send requests to them at a steady rate."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from config.processes import die_with_parent
from tests.acceptance.copies import free_port
from tests.acceptance.service import ROOT, wait_until
from tests.patience import PATIENCE_SECONDS

# The checks of a node itself, as in deploy/haproxy/haproxy.cfg.
READINESS = "/readyz?exclude=workers&exclude=lag"
# Seconds between two looks of a front at the readiness of a node.
_LOOK_SECONDS = 0.05


class Answer(NamedTuple):
    """The path of a request, and its status and body, or the error in place of them."""

    path: str
    status: int
    body: str
    error: str = ""


class Node:
    """A web server at a port of its own, whose working directory is ``folder``.

    ``config`` is the module of its settings, with ``more`` arguments of gunicorn.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], config: str, more: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._environ = {**environ, "PYTHONPATH": str(ROOT)}
        self._command = ["-m", "gunicorn", "-c", f"python:{config}"]
        self._command += ["-b", f"127.0.0.1:{self.port}", "--chdir", str(folder), *more]
        self.log = folder / f"{self.port}.log"

    def start(self) -> Self:
        parent = os.getpid()
        with open(self.log, "ab") as output:
            self.program = subprocess.Popen(
                [sys.executable, *self._command],
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(parent),
            )
        wait_until(self.is_ready, missing="the node isn't ready")
        return self

    def is_ready(self) -> bool:
        assert self.program.poll() is None, self.log.read_text()
        with (
            suppress(OSError, HTTPException),
            closing(HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection,
        ):
            connection.request("GET", READINESS)
            with connection.getresponse() as response:
                return response.status == 200
        return False

    def signal(self, signum: int) -> None:
        self.program.send_signal(signum)

    def wait(self) -> None:
        assert self.program.wait(PATIENCE_SECONDS) == 0, self.log.read_text()

    def kill(self) -> None:
        self.program.kill()
        self.program.wait()


class Entrance(Protocol):
    """Leads clients to nodes."""

    def port(self) -> int:
        """Return the port for the next request."""

    def connection(self, port: int) -> HTTPConnection:
        """Return a new connection to this port."""


class Front:
    """The ports of the nodes that are ready, looked up as a load balancer does."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._turn = 0
        self._ready = [node.port for node in nodes]
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._has_ended.set()
        self._thread.join()

    def port(self) -> int:
        """Return the port of a node that is ready, of each in its turn."""
        self._turn += 1
        ready = self._ready
        return ready[self._turn % len(ready)]

    def connection(self, port: int) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)

    def has(self, node: Node) -> bool:
        return node.port in self._ready

    def lacks(self, node: Node) -> bool:
        return not self.has(node)

    def _look(self) -> None:
        while not self._has_ended.wait(_LOOK_SECONDS):
            ready = []
            for node in self._nodes:
                with suppress(OSError, HTTPException, AssertionError):
                    if node.is_ready():
                        ready.append(node.port)
            self._ready = ready or self._ready


class Clients:
    """Clients that request ``paths`` in turn; all answers are kept.

    ``posted`` makes the JSON for a path, or None if the path is read. Half of the clients keep
    their connection as long as the server does, half make a new one for each request. No client
    repeats a request.
    """

    def __init__(
        self,
        front: Entrance,
        paths: Sequence[str],
        *,
        number: int = 4,
        pause: float = 0.04,
        headers: Mapping[str, str] | None = None,
        posted: Callable[[str], str | None] = lambda path: None,
    ) -> None:
        self.answers: list[Answer] = []
        self._front = front
        self._paths = paths
        self._pause = pause
        self._headers = headers or {}
        self._posted = posted
        self._has_ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=[index % 2 == 0]) for index in range(number)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._has_ended.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.error or answer.status >= 500]

    def first_body(self) -> str:
        """Wait for an answer; return its body."""
        wait_until(lambda: len(self.answers) > 0)
        return self.answers[0].body

    def wait_for(self, body: str) -> None:
        """Wait until all new answers have this body, for some time."""
        begin = len(self.answers)

        def are_new() -> bool:
            nonlocal begin
            if any(answer.body != body for answer in self.answers[begin:]):
                begin = len(self.answers)
            return len(self.answers) > begin + 20

        wait_until(are_new, missing=f"not all answers are {body}")

    def _send(self, keeps_connection: bool) -> None:
        connections: dict[int, HTTPConnection] = {}
        turn = 0
        while not self._has_ended.wait(self._pause):
            path = self._paths[turn % len(self._paths)]
            turn += 1
            port = self._front.port()
            if port not in connections:
                connections[port] = self._front.connection(port)
            answer = self._answer(connections[port], path)
            self.answers.append(answer)
            if not keeps_connection or answer.error:
                connections[port].close()
        for connection in connections.values():
            connection.close()

    def _answer(self, connection: HTTPConnection, path: str) -> Answer:
        body = self._posted(path)
        method = "GET" if body is None else "POST"
        try:
            connection.request(method, path, body, dict(self._headers))
            with connection.getresponse() as response:
                return Answer(path, response.status, response.read().decode(errors="replace"))
        except (OSError, HTTPException) as error:
            return Answer(path, 0, "", f"{type(error).__name__}: {error}")
