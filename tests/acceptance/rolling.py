"""Nodes with a web server each, and clients that send requests to them at a steady rate."""

import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Self

from config.processes import die_with_parent
from tests.acceptance.copies import free_port
from tests.acceptance.service import ROOT, wait_until
from tests.patience import PATIENCE_SECONDS

# Seconds between two looks of a front at the readiness of a node.
_LOOK_SECONDS = 0.05


class Answer(NamedTuple):
    """The path of a request, and its status and body, or the error in place of them."""

    path: str
    status: int
    body: str
    error: str = ""


class Node:
    """A web server at a port of its own, whose working directory is ``folder``."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], config: str, readiness: str = "/readyz"
    ) -> None:
        self.port = free_port()
        self._folder = folder
        self._environ = {**environ, "PYTHONPATH": str(ROOT)}
        self._command = ["-m", "gunicorn", "-c", f"python:{config}"]
        self._command += ["-b", f"127.0.0.1:{self.port}", "--chdir", str(folder)]
        self._readiness = readiness
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
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection,
        ):
            connection.request("GET", self._readiness)
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

    def has(self, node: Node) -> bool:
        return node.port in self._ready

    def lacks(self, node: Node) -> bool:
        return not self.has(node)

    def _look(self) -> None:
        while not self._has_ended.wait(_LOOK_SECONDS):
            ready = []
            for node in self._nodes:
                with suppress(OSError, http.client.HTTPException, AssertionError):
                    if node.is_ready():
                        ready.append(node.port)
            self._ready = ready or self._ready


class Clients:
    """Clients that request ``paths`` in turn; all answers are kept.

    Half of them keep their connection as long as the server does, half make a new one for each
    request. No client repeats a request.
    """

    def __init__(
        self,
        front: Front,
        paths: Sequence[str],
        *,
        number: int = 4,
        pause: float = 0.04,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.answers: list[Answer] = []
        self._front = front
        self._paths = paths
        self._pause = pause
        self._headers = headers or {}
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
        connections: dict[int, http.client.HTTPConnection] = {}
        turn = 0
        while not self._has_ended.wait(self._pause):
            path = self._paths[turn % len(self._paths)]
            turn += 1
            port = self._front.port()
            connection = connections.setdefault(
                port, http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
            )
            try:
                connection.request("GET", path, headers=dict(self._headers))
                with connection.getresponse() as response:
                    body = response.read().decode(errors="replace")
                answer = Answer(path, response.status, body)
            except (OSError, http.client.HTTPException) as error:
                answer = Answer(path, 0, "", f"{type(error).__name__}: {error}")
            self.answers.append(answer)
            if not keeps_connection or answer.error:
                connection.close()
        for connection in connections.values():
            connection.close()
