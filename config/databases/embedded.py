"""The embedded PostgreSQL: a server made of a wheel's programs, with its data in DATA_DIR.

Only the programs of the wheel are used. Its Python layer would add a system user and open up the
permissions of every parent folder.

DATA_DIR holds ``postgres`` (the server's own folder: data and logs), the port, the password and
a lock. PostgreSQL refuses to run as root, so root starts it under another account. Where that
account can't enter DATA_DIR, as in a project under /root, ``postgres`` is a link to a folder
in /var/lib.
"""

import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from config.databases import keys, programs
from config.databases.programs import EmbeddedServerError

HOST = "127.0.0.1"
USER = "orders"
DATABASES = ("orders_write", "orders_read")
# A server that starts or recovers is given all the time that it needs while it lives.
# Without a process of the server, the start is tried for so many seconds.
START_SECONDS = 60
# pg_ctl returns when the server has ended, but also wants a limit.
_START_LIMIT = ("-w", "-t", str(24 * 3600))
# Ctrl-C waits no longer for a server that doesn't stop.
_STOP_LIMIT = ("-w", "-t", "600")

# Seconds to wait for a busy port; after that, another program must be using it.
_PORT_SECONDS = 5.0
# Below the ports that Linux gives to outgoing connections, which could take it by chance.
_PORTS = range(20_000, 32_000)
# Above Linux's largest possible pid.
_NO_PID = 2**22 + 1
# Parts of the errors while a server starts, recovers or stops, and while the last processes of a
# killed server end.
_TRANSIENT = (
    "the database system is",
    "Connection refused",
    "closed the connection",
    "postmaster.pid",
    "is still in use",
)


class EmbeddedServer:
    """The server with its data in ``data_dir``; many objects and processes can share it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / "postgres"
        self._port_file = data_dir / "postgres_port"

    def url(self, database: str) -> str:
        """Return the URL of ``database``; chooses port and password if needed, starts nothing."""
        # With require_auth, another program that listens on the port can't obtain the password.
        return (
            f"postgresql://{USER}:{self._password()}@{HOST}:{self._port()}/{database}"
            "?require_auth=scram-sha-256"
        )

    def start(self) -> int:
        """Start the server unless it is running, create missing databases, and return the port.

        Safe from many processes at once. Waits as long as the server lives: a slow machine, or the
        recovery after a crash, can take minutes. Raises EmbeddedServerError.
        """
        deadline = time.monotonic() + START_SECONDS
        with self._lock():
            while True:
                try:
                    if not self._running():
                        self._launch()
                    return self._make_databases()
                except (psycopg.OperationalError, FileNotFoundError) as error:
                    if not any(text in str(error) for text in _TRANSIENT):
                        raise
                    if self._running():
                        deadline = time.monotonic() + START_SECONDS
                    elif time.monotonic() > deadline:
                        raise
                time.sleep(0.05)

    def stop(self) -> bool:
        """Stop the server and keep its data; returns False if the server wasn't running."""
        with self._lock():
            running = self._running()
            if running:
                self._run("pg_ctl", "stop", *_STOP_LIMIT, "-m", "fast", "-D", str(self._data))
            return running

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Register a long-running user of the server; the last one to leave stops it."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with open(self._data_dir / "postgres_users", "a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            try:
                yield
            finally:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self.stop()

    # --- Files ---------------------------------------------------------------------------------

    def _port(self) -> str:
        return keys.read_or_create(self._port_file, make=_free_port)

    def _password(self) -> str:
        return keys.read_or_create(self._data_dir / "postgres_password", make=keys.random_text)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with open(self._data_dir / "postgres_lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def _home(self) -> Path:
        # Resolved, because the server's account may not be allowed to enter DATA_DIR.
        return self._folder.resolve()

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _pid_file(self) -> Path:
        return self._data / "postmaster.pid"

    # --- Starting ------------------------------------------------------------------------------

    def _running(self) -> bool:
        """Return True if the server is alive; checks its arguments too, since pids are reused."""
        try:
            pid = self._pid_file.read_text().partition("\n")[0]
            arguments = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(self._data) in arguments

    def _launch(self) -> None:
        self._make_home()
        if not self._data.exists():
            self._make_data()
        self._forget_dead_server()
        if not _becomes_free(int(self._port())):
            keys.replace(self._port_file, _free_port())
        settings = {
            "port": self._port(),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
            # Each service takes about 40, and several share the server in tests.
            "max_connections": "500",
            # Don't log rows and statements that failed: they can contain personal data.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        log = self._home / "server.log"
        if log.exists():
            log.replace(self._home / "server.log.1")
        self._run("pg_ctl", "start", *_START_LIMIT, "-D", str(self._data), "-o", options)

    def _make_home(self) -> None:
        programs.check_path(self._folder.parent.resolve())
        if self._folder.is_symlink() and not self._home.exists():
            raise EmbeddedServerError(
                f"{self._folder} points to {self._home}, which doesn't exist any more:"
                " bring that folder back, or remove the link to start with empty data."
            )
        account = programs.account(self._home)
        if not self._home.exists():
            if account and not account.may_use(self._data_dir):
                self._folder.symlink_to(tempfile.mkdtemp(prefix="orders-postgres-", dir="/var/lib"))
            else:
                self._folder.mkdir(mode=0o700)
        if account:
            account.take(self._home)

    def _make_data(self) -> None:
        # Made in another folder and then renamed, so that a killed start leaves no incomplete data.
        draft = self._data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self._home) as password:
            password.write(self._password())
            password.flush()
            if account := programs.account(self._home):
                account.take(Path(password.name))
            self._run(
                "initdb",
                *("-D", str(draft), "-U", USER, f"--pwfile={password.name}"),
                *("--auth=scram-sha-256", "--encoding=UTF8"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            )
        draft.rename(self._data)

    def _forget_dead_server(self) -> None:
        """Remove the pid from the pid file of a killed server or a crashed machine.

        PostgreSQL refuses to start while any process has that pid. PostgreSQL needs the rest of the
        file to find out whether processes of the dead server are still alive.
        """
        with contextlib.suppress(FileNotFoundError):
            _pid, newline, other_lines = self._pid_file.read_text().partition("\n")
            if newline:
                self._pid_file.write_text(f"{_NO_PID}\n{other_lines}")
            else:
                self._pid_file.unlink()

    def _run(self, program: str, *arguments: str) -> None:
        programs.run(program, *arguments, home=self._home)

    def _make_databases(self) -> int:
        port = self._pid_file.read_text().split("\n")[3]
        if port != self._port():
            keys.replace(self._port_file, port)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            existing_names = {
                name for (name,) in connection.execute("SELECT datname FROM pg_database")
            }
            for name in DATABASES:
                if name not in existing_names:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return int(port)


def _free_port() -> str:
    while not _is_free(port := secrets.choice(_PORTS)):
        pass
    return str(port)


def _becomes_free(port: int) -> bool:
    # Backends of a killed server keep its port until they notice its end.
    deadline = time.monotonic() + _PORT_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True
