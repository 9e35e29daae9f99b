"""Debian's PgBouncer in front of the databases of a test."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from psycopg.pq import ExecStatus

from config.processes import die_with_parent
from tests.acceptance.service import Service, wait_until

_CONFIGURATION = """
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
admin_users = {user}
pool_mode = {pool_mode}
default_pool_size = {pool_size}
max_client_conn = 200
"""
# Sessions of each database: one for each thread that lasts, or a few that all threads share.
_POOL_SIZES = {"session": 60, "transaction": 6}
_COLUMN_OF_PIDS = "remote_pid"
MISSING = "PgBouncer isn't installed (apt install pgbouncer)"


class PgBouncer:
    """A running PgBouncer; ``url`` leads through it to a database of the server."""

    def __init__(self, port: int) -> None:
        self._port = port

    def url(self, server_url: str) -> str:
        """Return ``server_url`` with the address of the pooler."""
        parts = urlsplit(server_url)
        address = f"{parts.username}:{parts.password}@127.0.0.1:{self._port}"
        return parts._replace(netloc=address).geturl()

    def server_pids(self, server_url: str) -> list[int]:
        """Return the process ids of the sessions that the pooler has with the server."""
        console = urlsplit(self.url(server_url))._replace(path="/pgbouncer").geturl()
        with psycopg.connect(console, autocommit=True) as connection:
            # The console knows the simple protocol only.
            result = connection.pgconn.exec_(b"SHOW SERVERS")
            assert result.status == ExecStatus.TUPLES_OK, result.error_message
            names = [result.fname(number) for number in range(result.nfields)]
            column = names.index(_COLUMN_OF_PIDS.encode())
            return [int(result.get_value(row, column) or 0) for row in range(result.ntuples)]


def installed() -> str:
    """Return the path of PgBouncer; empty without it, which continuous integration refuses."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if not program and os.environ.get("REQUIRE_PGBOUNCER"):
        pytest.fail(MISSING)
    return program or ""


@contextmanager
def pgbouncer(server_url: str, *, pool_mode: str) -> Iterator[PgBouncer]:
    """Run PgBouncer in front of the server of ``server_url``.

    Without PgBouncer the test is left out; in continuous integration it fails.
    """
    program = installed()
    if not program:
        pytest.skip(MISSING)
    server = urlsplit(server_url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Not pytest's tmp_path: PgBouncer refuses to run as root, and another account can't enter it.
    with tempfile.TemporaryDirectory(prefix="orders-test-") as folder:
        Path(folder).chmod(0o755)
        user, password = unquote(server.username or ""), unquote(server.password or "")
        Path(folder, "users").write_text(f'"{user}" "{password}"\n')
        Path(folder, "pgbouncer.ini").write_text(
            _CONFIGURATION.format(
                host=server.hostname,
                server_port=server.port,
                port=port,
                folder=folder,
                user=user,
                pool_mode=pool_mode,
                pool_size=_POOL_SIZES[pool_mode],
            )
        )
        account = "nobody" if os.geteuid() == 0 else None
        parent = os.getpid()
        process = subprocess.Popen(
            [program, "-q", f"{folder}/pgbouncer.ini"],
            user=account,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: die_with_parent(parent),
        )
        try:
            wait_until(lambda: _listens(port), missing="PgBouncer doesn't start")
            yield PgBouncer(port)
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def pooled(service: Service, *, pool_mode: str) -> Iterator[PgBouncer]:
    """Put a pooler between ``service``, which isn't started yet, and its databases."""
    with pgbouncer(service.write_url, pool_mode=pool_mode) as pooler:
        for name in ("DATABASE_URL", "READ_DATABASE_URL"):
            if name in service.environ:
                direct_url = service.environ[name]
                service.environ[name] = pooler.url(direct_url)
                if pool_mode == "transaction":
                    service.environ[name.replace("_URL", "_DIRECT_URL")] = direct_url
        if pool_mode == "transaction":
            service.environ["DATABASE_POOLER"] = "transaction"
        yield pooler
