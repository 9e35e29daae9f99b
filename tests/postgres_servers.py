"""PostgreSQL servers with standbys on loopback, each of which can be killed and started again."""

import os
import shutil
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from config.databases import keys, programs
from config.databases.embedded import HOST, USER, EmbeddedServer
from tests.acceptance.service import wait_until

_SETTINGS = (
    # Enough for a standby that is away for minutes.
    "ALTER SYSTEM SET wal_keep_size = '1GB'",
    # The standby copies this one: its primary keeps the rows that its readers see.
    "ALTER SYSTEM SET hot_standby_feedback = on",
)
_LEVEL = """
SELECT bool_and(replay_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication
WHERE application_name = %s
"""


class PostgresServer:
    """A server of the embedded programs in ``folder``, which must not exist."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        self.name = folder.name
        self._folder = folder
        self._server = EmbeddedServer(folder)
        self._home = folder / "postgres"

    def url(self, database: str) -> str:
        return self._server.url(database)

    def start(self) -> None:
        """Start the server unless it runs."""
        port = self._port_file.read_text() if self._port_file.exists() else ""
        if port and not self.pid:
            # The embedded server would choose another port, which nobody knows.
            wait_until(partial(_is_free, int(port)), missing=f"the port of {self.name} is in use")
        self._server.start()

    def kill(self) -> None:
        """End the server at once, as a crash does."""
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self.pid, missing=f"{self.name} doesn't end")

    def execute(self, *statements: str) -> None:
        with self._connected() as connection:
            for statement in statements:
                connection.execute(statement)

    # --- Standbys ------------------------------------------------------------------------------

    def copy(self, primary: "PostgresServer") -> None:
        """Begin anew as a standby of ``primary``, which runs, by streaming replication."""
        primary.execute(*_SETTINGS, "SELECT pg_reload_conf()")
        self.kill()
        shutil.rmtree(self._home / "data", ignore_errors=True)
        keys.replace(self._folder / "postgres_password", primary._password)
        # Chooses the port, the first time.
        self._server.url("")
        self._home.mkdir(mode=0o700, exist_ok=True)
        if account := programs.account(self._home):
            account.take(self._home)
        source = f"host={HOST} port={primary.port} user={USER} password={primary._password}"
        source += f" application_name={self.name}"
        target = str(self._home / "data")
        backup = ("-D", target, "-d", source, "-R", "-X", "stream", "-c", "fast")
        programs.run("pg_basebackup", *backup, home=self._home)
        self.start()

    def wait_for(self, standby: "PostgresServer") -> None:
        """Let each commit wait until a standby has it."""
        name = f"ALTER SYSTEM SET synchronous_standby_names = '{standby.name}'"
        self.execute(name, "SELECT pg_reload_conf()")

    def is_level(self, standby: "PostgresServer") -> bool:
        """Return True if the standby has all that this server has committed."""
        with self._connected() as connection:
            [(is_level,)] = connection.execute(_LEVEL, [standby.name]).fetchall()
        return bool(is_level)

    def take_over(self, primary: "PostgresServer") -> None:
        """Become the primary at the address of ``primary``, which is dead.

        That one begins anew as a standby, at the former address of this server.
        """
        programs.run("pg_ctl", "promote", "-w", "-D", str(self._home / "data"), home=self._home)
        # Nobody would confirm a commit.
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self._server.stop()
        ports = [server._port_file.read_text() for server in (self, primary)]
        for server, port in zip((primary, self), ports, strict=True):
            keys.replace(server._port_file, port)
        self.start()
        primary.copy(self)

    # --- Files ---------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return int(self._port_file.read_text())

    @property
    def _port_file(self) -> Path:
        return self._folder / "postgres_port"

    @property
    def _password(self) -> str:
        return (self._folder / "postgres_password").read_text()

    @property
    def pid(self) -> int:
        """Return the process of the server; 0 if it doesn't run."""
        data = self._home / "data"
        try:
            pid = (data / "postmaster.pid").read_text().split("\n")[0]
            # The pid of a server that was killed may belong to another program by now.
            arguments = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(pid) if os.fsencode(data.resolve()) in arguments else 0

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url("postgres"), autocommit=True)


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True
