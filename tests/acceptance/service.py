"""A running copy of the service: databases of its own, the web server and the workers."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import httpx
import psycopg
from django.conf import settings
from django.core.management import call_command
from knox.crypto import create_token_string, hash_token
from knox.settings import CONSTANTS
from psycopg import sql

from config.processes import die_with_parent
from tests.databases import Databases, connected_to
from tests.patience import PATIENCE_SECONDS

ROOT = Path(settings.BASE_DIR)
ROLES = ("customer", "clerk", "warehouse", "auditor", "admin", "integration")
READ_MODELS = (
    "order_summary",
    "order_line_view",
    "inventory_level",
    "customer_view",
    "order_timeline",
    "customer_stats",
    "sales_by_day",
    "sales_by_product",
    "status_counter",
    "stock_ledger",
)

# No test speaks TLS, and loading the certificates of authorities costs more than a request.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Seconds between two looks at a condition: the first and the longest pause. Pauses double.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1

# A user of a role, with a token. In SQL, because a process of Django costs seconds.
_ADD_USER = """
WITH account AS (
    INSERT INTO accounts_user (
        id, username, password, first_name, last_name, email,
        is_active, is_staff, is_superuser, date_joined
    )
    VALUES (%(id)s, %(role)s, '!', '', '', '', true, false, false, now()) RETURNING id
), membership AS (
    INSERT INTO accounts_user_groups (user_id, group_id)
    SELECT account.id, role.id FROM account, auth_group role WHERE role.name = initcap(%(role)s)
)
INSERT INTO knox_authtoken (digest, token_key, user_id, created)
SELECT %(digest)s, %(key)s, id, now() FROM account
"""

Result = TypeVar("Result")


def wait_until(
    condition: Callable[[], Result | None], *, seconds: float = PATIENCE_SECONDS, missing: str = ""
) -> Result:
    """Return the first true result of ``condition``.

    Fails after ``seconds``, with ``missing`` as its message.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while not (result := condition()):
        assert time.monotonic() < deadline, missing or "it didn't happen in time"
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return result


def plain_environ() -> dict[str, str]:
    """Return the environment without databases and secrets, in which web servers stop at once."""
    ours = {"DATABASE_URL", "READ_DATABASE_URL", "SECRET_KEY", "DATA_DIR", "PORT", "HOST", "DEMO"}
    environ = {name: value for name, value in os.environ.items() if name not in ours}
    return environ | {"WEB_DRAIN_SECONDS": "0", "WEB_FINISH_SECONDS": "4"}


def start(
    command: list[str],
    environ: Mapping[str, str],
    log: Path,
    *,
    pass_fds: tuple[int, ...] = (),
    python: str = sys.executable,
    cwd: Path = ROOT,
) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process, in a session of its own; it logs to ``log``."""
    parent = os.getpid()
    with open(log, "ab") as output:
        return subprocess.Popen(
            [python, *command],
            env=environ,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),
        )


class Service:
    """A running copy: ``with Service(folder) as service``; its logs go to ``folder``.

    Its databases are copies of the migrated databases ``like``; without those, it migrates its
    own. ``one_database`` keeps both sides in one database. ``urls`` of a write and a read database
    are used in place of its own ones. Without ``web``, only the workers run; ``gunicorn`` is the
    module of the web server's settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        like: Sequence[str] = (),
        one_database: bool = False,
        urls: Sequence[str] = (),
        web: bool = True,
        gunicorn: str = "tests.acceptance.gunicorn",
    ) -> None:
        self._folder = folder
        self._gunicorn = gunicorn
        self.has_web = web
        self._is_migrated = bool(like)
        names = ["both"] if one_database else ["write", "read"]
        self._databases = None if urls else Databases(*names, like=like)
        urls = self._databases.urls if self._databases else urls
        self.write_url, self.read_url = urls[0], urls[-1]
        self.environ = plain_environ() | {
            "DATABASE_URL": self.write_url,
            "SECRET_KEY": uuid4().hex * 2,
            "HTTPS": "0",
            "WEBHOOK_PRIVATE_ADDRESSES": "1",
            # The tests ask again and again whether the service is ready.
            "RATE_LIMIT_PROCESSOR_MS": "1000000",
        }
        if one_database:
            self.read_url += ("&" if "?" in self.read_url else "?") + (
                "options=-csearch_path%3Dordering_read"
            )
        else:
            self.environ["READ_DATABASE_URL"] = self.read_url
        self.tokens: dict[str, str] = {}
        self._clients: list[httpx.Client] = []
        self._reader: psycopg.Connection[Any] | None = None

    # --- Start and stop ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._processes: list[subprocess.Popen[bytes]] = []
        if not self._is_migrated:
            self.manage("migrate", "-v", "0", "--skip-checks")
        if not self.tokens:
            with self.write() as connection:
                self.tokens = {role: token_of_new_user(connection, role) for role in ROLES}
        self.start_workers()
        if self.has_web:
            self.start_web()
            wait_until(self.is_ready, missing="the service isn't ready")

    def start_web(self) -> None:
        fd = self._listener.fileno()
        command = ["-m", "gunicorn", "-c", f"python:{self._gunicorn}", "-b", f"fd://{fd}"]
        self.web = self._start_program([*command, "config.wsgi"], log="web.log", pass_fds=(fd,))

    def start_workers(self) -> None:
        self.workers = self._start_program(["manage.py", "workers"], log="workers.log")

    def stop_workers(self) -> None:
        self.workers.terminate()
        self.workers.wait(30)

    def _start_program(
        self, command: list[str], *, log: str, pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        program = start(command, self.environ, self._folder / log, pass_fds=pass_fds)
        self._processes.append(program)
        return program

    def _stop(self) -> None:
        for client in self._clients:
            client.close()
        if self._reader:
            self._reader.close()
        for program in self._processes:
            program.terminate()
        for program in self._processes:
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self._listener.close()
        self.drop_databases()

    def drop_databases(self) -> None:
        """Drop its own databases; nobody else does if it was never started."""
        if self._databases:
            self._databases.drop()

    # --- Commands and requests -----------------------------------------------------------------

    def manage(self, *arguments: str, status: int = 0, stdin: str | None = None) -> str:
        """Run a management command that must exit with ``status``; return what it prints."""
        process = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=5 * PATIENCE_SECONDS,
        )
        assert process.returncode == status, process.stdout + process.stderr
        return process.stdout

    def call(self, *arguments: str) -> str:
        """Run a management command in this process; return what it prints.

        It reaches both databases of the service, which must be its own, but has the settings of the
        tests.
        """
        output = StringIO()
        with self.connected():
            call_command(*arguments, stdout=output)
        return output.getvalue()

    def connected(self) -> AbstractContextManager[None]:
        """Let Django's connections in this process lead to both databases within the block."""
        assert self._databases, "the databases of a topology may be on other servers: use manage()"
        return connected_to(self._databases.names)

    def client(self, role: str = "", *, token: str = "", **headers: str) -> httpx.Client:
        """Return a client of the API with ``token``, or that of ``role``, or without a login."""
        token = token or (self.tokens[role] if role else "")
        if token:
            headers["Authorization"] = f"Token {token}"
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        client = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers=headers,
            timeout=PATIENCE_SECONDS,
            limits=limits,
            verify=_NO_CERTIFICATES,
        )
        self._clients.append(client)
        return client

    def bind_customer(self, username: str, customer_id: str) -> None:
        """Make a user of the role Customer act for this customer."""
        with self.write() as connection:
            connection.execute(
                "UPDATE accounts_user SET customer_id = %s WHERE username = %s",
                [UUID(customer_id), username],
            )

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Request a page outside the API without a login."""
        return httpx.get(
            f"{self.url}{path}",
            headers=headers,
            timeout=PATIENCE_SECONDS,
            verify=_NO_CERTIFICATES,
        )

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def log(self, name: str) -> str:
        """Return the log of "web" or "workers"."""
        return (self._folder / f"{name}.log").read_text()

    # --- Its databases -------------------------------------------------------------------------

    def write(self) -> psycopg.Connection[Any]:
        """Return a connection to the write database, in autocommit."""
        return psycopg.connect(self.write_url, autocommit=True)

    def read(self) -> psycopg.Connection[Any]:
        """Return a connection to the read database, in autocommit."""
        return psycopg.connect(self.read_url, autocommit=True)

    def read_rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Return the rows of a statement on the read database; all calls share a connection."""
        self._reader = self._reader or self.read()
        return self._reader.execute(statement, parameters).fetchall()

    def settle(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every live projection has applied the last event."""
        with self.write() as write, self.read() as read:

            def is_settled() -> bool:
                [(events,)] = write.execute("SELECT count(*) FROM event")
                positions = read.execute("SELECT position FROM projection WHERE status = 'live'")
                return all(position == events for (position,) in positions)

            wait_until(is_settled, seconds=seconds, missing="the projections lag behind")

    def rows(self) -> dict[str, list[Any]]:
        """Return all rows of the live read models, without the keys that a rebuild changes."""
        with self.read() as connection:
            return {
                table: connection.execute(
                    sql.SQL(
                        "SELECT to_jsonb(row) - '{{key,projection_id}}'::text[] FROM {} row"
                        " JOIN projection ON projection.id = projection_id"
                        " WHERE projection.status = 'live' ORDER BY 1"
                    ).format(sql.Identifier(table))
                ).fetchall()
                for table in READ_MODELS
            }


def token_of_new_user(connection: psycopg.Connection[Any], role: str) -> str:
    """Add a user who has the role and its name; return the user's token."""
    token = create_token_string()
    values = {"digest": hash_token(token), "key": token[: CONSTANTS.TOKEN_KEY_LENGTH]}
    connection.execute(_ADD_USER, {"id": uuid4(), "role": role} | values)
    return token
