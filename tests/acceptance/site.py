"""Databases and the worker programs that run on them, for tests that kill these programs."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import dj_database_url
import psutil
import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from uuid_utils.compat import uuid7

from ordering_read.engine import waiting
from ordering_read.engine.verify import verify
from ordering_write.bus import get_command_bus
from ordering_write.domain.commands import Command, ReceiveStock, RegisterStockItem
from ordering_write.domain.events import DomainEvent
from ordering_write.log import outbox
from tests.acceptance.service import plain_environ, start, wait_until

_ADDRESS = ("NAME", "USER", "PASSWORD", "HOST", "PORT")
_USER = UUID(int=1)


class Receipts(NamedTuple):
    """The id of a product whose stock was received, and the seconds from each commit to its row."""

    product: str
    seconds: list[float]


class Site:
    """A write and a read database, and the programs that run on them."""

    def __init__(self, folder: Path, write_url: str, read_url: str) -> None:
        self._urls = {"default": write_url, "read": read_url}
        self._logs = (folder / f"{number}.log" for number in count(1))
        self._log_of: dict[int, Path] = {}
        self._programs: list[subprocess.Popen[bytes]] = []
        self._nodes: list[psutil.Process] = []
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self.environ = plain_environ() | {
            "DATABASE_URL": write_url,
            "READ_DATABASE_URL": read_url,
            # Tasks that this process enqueues are signed by its key.
            "SECRET_KEY": settings.SECRET_KEY,
            "HTTPS": "0",
        }

    # --- Programs ------------------------------------------------------------------------------

    def start(self, *command: str, **environ: str) -> psutil.Process:
        """Start a management command that runs until it is stopped."""
        log = next(self._logs)
        program = start(["manage.py", *command], self.environ | environ, log)
        self._programs.append(program)
        self._log_of[program.pid] = log
        return psutil.Process(program.pid)

    def start_node(self) -> psutil.Process:
        """Start the workers of one more node; return their supervisor."""
        self._nodes.append(self.start("workers"))
        return self._nodes[-1]

    def nodes(self, number: int) -> list[psutil.Process]:
        """Return the supervisors of so many nodes: running ones, and new ones for the rest."""
        nodes = [node for node in self._nodes if not self.ended(node)]
        nodes += [self.start_node() for _ in range(number - len(nodes))]
        for node in nodes:
            cluster(node)
        return nodes

    def ended(self, supervisor: psutil.Process) -> bool:
        """Return True if the program that ``start`` returned has ended."""
        [program] = [program for program in self._programs if program.pid == supervisor.pid]
        return program.poll() is not None

    def log(self, program: psutil.Process) -> str:
        """Return the log of a program that ``start`` returned."""
        return self._log_of[program.pid].read_text()

    def stop(self) -> None:
        """Kill the programs, and close the connections."""
        for program in self._programs:
            # The whole session: the processes of the stock cluster outlive their parent.
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self._programs.clear()
        self._nodes.clear()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # --- Commands ------------------------------------------------------------------------------

    def receive(self, times: int, **options: Any) -> str:
        """Receive stock of a new product, ``times`` times; return the product's id."""
        return self.receive_timed(times, **options).product

    def receiving(self, times: int, **options: Any) -> "Future[str]":
        """Receive stock as ``receive`` does, in a thread of its own."""
        thread = ThreadPoolExecutor(1)
        future = thread.submit(self.receive, times, **options)
        thread.shutdown(wait=False)
        return future

    def receive_timed(
        self,
        times: int,
        *,
        pause: float = 0.0,
        notify: bool = True,
        wait: bool = False,
        persist: bool = False,
    ) -> Receipts:
        """Receive stock; measure the seconds to each row if ``wait``.

        Without ``notify`` no notification follows a commit. ``persist`` repeats a command until the
        database accepts it.
        """
        dispatch = _persistent_dispatch if persist else get_command_bus().dispatch
        seconds = []
        with self._connected(), _notifications(notify):
            [registered, *_] = dispatch(
                RegisterStockItem(user_id=_USER, sku=uuid7().hex, name="Sample", on_hand=0)
            )
            product: UUID = registered.product_id  # type: ignore[attr-defined]
            for _ in range(times):
                command = ReceiveStock(user_id=_USER, product_id=product, quantity=1)
                [event] = dispatch(command)
                if wait:
                    seconds.append(_seconds_to_row(event))
                time.sleep(pause)
        return Receipts(str(product), seconds)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Let Django's connections lead to the databases of this site."""
        former = {alias: dict(settings.DATABASES[alias]) for alias in self._urls}
        connections.close_all()
        for alias, url in self._urls.items():
            address: dict[str, Any] = {**dj_database_url.parse(url)}
            settings.DATABASES[alias].update({name: address[name] for name in _ADDRESS})
        is_embedded = settings.EMBEDDED
        # Else a lost connection would lead to the embedded server of this process.
        settings.EMBEDDED = False
        try:
            yield
        finally:
            waiting.stop()
            connections.close_all()
            settings.EMBEDDED = is_embedded
            for alias, entry in former.items():
                settings.DATABASES[alias].update({name: entry[name] for name in _ADDRESS})

    # --- Rows ----------------------------------------------------------------------------------

    def read(self, statement: str, *parameters: Any) -> list[Any]:
        return self._execute("read", statement, parameters).fetchall()

    def read_all(self, statements: str) -> None:
        """Run statements without results on the read database."""
        self._execute("read", statements)

    def write(self, statement: str, *parameters: Any) -> list[Any]:
        return self._execute("default", statement, parameters).fetchall()

    def _execute(
        self, alias: str, statement: str, parameters: tuple[Any, ...] | None = None
    ) -> psycopg.Cursor[Any]:
        connection = self._connections.get(alias)
        if connection is not None:
            # A restart of the database has cut it, maybe.
            with suppress(psycopg.OperationalError):
                return connection.execute(statement, parameters)
            connection.close()
        connection = psycopg.connect(self._urls[alias], autocommit=True)
        self._connections[alias] = connection
        return connection.execute(statement, parameters)

    def is_level(self) -> bool:
        """Return True if every live projection has applied the last event, in all slices."""
        [(events,)] = self.write("SELECT count(*) FROM event")
        positions = self.read("SELECT position FROM projection WHERE status IN ('live', 'slice')")
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

    def differing_rows(self, *names: str) -> int:
        """Compare the rows of projections with those that the log makes; return how many differ."""
        with self._connected():
            tables = [table for name in names for table in verify(name).tables]
        return sum(table.differing for table in tables)

    def cut_connections(self) -> None:
        """End all connections, as a restart of the databases does."""
        for run in (self.write, self.read):
            run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def _persistent_dispatch(command: Command) -> list[DomainEvent]:
    while True:
        try:
            return get_command_bus().dispatch(command)
        except (DatabaseError, InterfaceError):
            connections.close_all()
            time.sleep(0.05)


@contextmanager
def _notifications(wanted: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if not wanted:
            patch.setattr(outbox, "notify", lambda: None)
        yield


def _seconds_to_row(event: DomainEvent) -> float:
    began = time.monotonic()
    assert waiting.wait(event_id=event.recorded.event_id, projections=[], timeout=30)
    return time.monotonic() - began


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
