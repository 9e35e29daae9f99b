"""Databases and the worker programs that run on them, for tests that kill these programs."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg

from tests.acceptance.service import ROOT, plain_environ, start, wait_until
from tests.patience import PATIENCE_SECONDS

# Registers a product and receives stock; prints the seconds from each commit to its row.
RECEIVE = """
import sys, time
from uuid import UUID
from uuid_utils.compat import uuid7
from ordering_read.engine import waiting
from ordering_write.client import ReceiveStock, RegisterStockItem
from ordering_write.bus import get_command_bus
from ordering_write.signals import events_committed
from ordering_write.log import outbox
count, pause, notify, wait = int({count}), float({pause}), {notify}, {wait}
if not notify:
    events_committed.disconnect(dispatch_uid="outbox.notify")
dispatch = get_command_bus().dispatch
[registered, *_] = dispatch(
    RegisterStockItem(user_id=UUID(int=1), sku=uuid7().hex, name="Sample", on_hand=0)
)
product = registered.product_id
for _ in range(count):
    [event] = dispatch(ReceiveStock(user_id=UUID(int=1), product_id=product, quantity=1))
    began = time.monotonic()
    if wait:
        assert waiting.wait(event_id=event.recorded.event_id, projections=[], timeout=30)
        print(time.monotonic() - began)
    time.sleep(pause)
print(product)
"""


class Site:
    """A write and a read database, and the programs that run on them."""

    def __init__(self, folder: Path, write_url: str, read_url: str) -> None:
        self._logs = (folder / f"{number}.log" for number in count(1))
        self._write_url, self._read_url = write_url, read_url
        self._programs: list[subprocess.Popen[bytes]] = []
        self.environ = plain_environ() | {
            "DATABASE_URL": self._write_url,
            "READ_DATABASE_URL": self._read_url,
            "SECRET_KEY": uuid4().hex * 2,
            "HTTPS": "0",
        }

    def stop(self) -> None:
        """Kill the programs."""
        for program in self._programs:
            # The whole session: the processes of the stock cluster outlive their parent.
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self._programs.clear()

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it prints."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environ,
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_SECONDS,
        ).stdout

    def start(self, *command: str, **environ: str) -> psutil.Process:
        """Start a management command that runs until it is stopped."""
        self._log = next(self._logs)
        program = start(["manage.py", *command], self.environ | environ, self._log)
        self._programs.append(program)
        return psutil.Process(program.pid)

    def ended(self, supervisor: psutil.Process) -> bool:
        """Return True if the program that ``start`` returned has ended."""
        [program] = [program for program in self._programs if program.pid == supervisor.pid]
        return program.poll() is not None

    def log(self) -> str:
        """Return the log of the program that was started last."""
        return self._log.read_text()

    def receive(
        self,
        times: int,
        *,
        pause: float = 0.0,
        notify: bool = True,
        wait: bool = False,
        **environ: str,
    ) -> subprocess.Popen[str]:
        """Start a process that receives stock of a new product, ``times`` times."""
        script = RECEIVE.format(count=times, pause=pause, notify=notify, wait=wait)
        return subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", script],
            env=self.environ | environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self, statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self._read_url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def read_all(self, statements: str) -> None:
        """Run statements without results on the read database."""
        with psycopg.connect(self._read_url, autocommit=True) as connection:
            connection.execute(statements)

    def write(self, statement: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self._write_url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def is_level(self) -> bool:
        """Return True if every live projection has applied the last event."""
        [(events,)] = self.write("SELECT count(*) FROM event")
        positions = self.read("SELECT position FROM projection WHERE status = 'live'")
        return all(position == events for (position,) in positions)

    def on_hand(self, product: str) -> tuple[int, int]:
        """Return the stock and the number of events of a product, from the read model."""
        [row] = self.read(
            "SELECT on_hand, inventory_level.version FROM inventory_level"
            " JOIN projection ON projection.id = projection_id"
            " WHERE product_id = %s AND status = 'live'",
            product,
        )
        return row

    def cut_connections(self) -> None:
        """End all connections, as a restart of the databases does."""
        for run in (self.write, self.read):
            run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def cluster(supervisor: psutil.Process) -> list[psutil.Process]:
    """Return the sentinel, two workers, the monitor and the pusher as soon as all are running."""

    def complete() -> list[psutil.Process]:
        try:
            [sentinel] = supervisor.children()
            children = sentinel.children()
        except (ValueError, psutil.NoSuchProcess):
            return []
        return [sentinel, *children] if len(children) == 4 else []

    return wait_until(complete, missing="the workers didn't start")


def has_ended(process: psutil.Process) -> bool:
    """Return True if ``process`` is over, even if its parent hasn't read its exit code."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def product_of(receiving: subprocess.Popen[str], *, seconds: float = 2 * PATIENCE_SECONDS) -> str:
    """Wait for the end of a process of ``Site.receive``; return the id of its product."""
    output, _ = receiving.communicate(timeout=seconds)
    assert receiving.returncode == 0
    return output.split()[-1]
