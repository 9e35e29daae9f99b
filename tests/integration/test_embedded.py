"""The embedded PostgreSQL: starts from many processes, and after every kind of crash."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from config.databases import embedded
from config.databases.embedded import EmbeddedServer
from tests.own_server import new_data_dir
from tests.patience import PATIENCE_SECONDS

START = """
import pathlib, sys
from config.databases.embedded import EmbeddedServer
print(EmbeddedServer(pathlib.Path(sys.argv[1])).start())
"""


@pytest.fixture
def fresh_dir() -> Iterator[Path]:
    """A data folder without a server."""
    with new_data_dir() as folder:
        yield folder


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A data folder that all tests share, with a server that may be running or not."""
    with new_data_dir() as folder:
        yield folder


@pytest.fixture
def server(data_dir: Path) -> EmbeddedServer:
    return EmbeddedServer(data_dir)


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres/data/postmaster.pid").read_text().split("\n")[0])


def execute(server: EmbeddedServer, statement: str) -> list[tuple]:
    with psycopg.connect(server.url("orders_write")) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_many_processes_start_one_server_with_both_databases(fresh_dir):
    server = EmbeddedServer(fresh_dir)

    starters = [
        subprocess.Popen([sys.executable, "-c", START, fresh_dir], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    ports = {starter.communicate(timeout=PATIENCE_SECONDS)[0] for starter in starters}

    assert [starter.returncode for starter in starters] == [0] * 4
    assert ports == {f"{server.start()}\n".encode()}
    names = {name for (name,) in execute(server, "SELECT datname FROM pg_database")}
    assert names >= {"orders_write", "orders_read"}


def test_data_and_port_survive_a_stop(server):
    port = server.start()
    execute(server, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")

    assert server.stop() is True
    assert server.stop() is False

    assert server.start() == port
    assert execute(server, "SELECT answer FROM kept") == [(42,)]


def test_the_log_of_the_server_has_errors_without_values(data_dir, server):
    server.start()
    execute(server, "CREATE TABLE IF NOT EXISTS customer (email text UNIQUE)")
    for _ in range(2):
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            execute(server, "INSERT INTO customer VALUES ('robin@example.com')")

    log = (data_dir / "postgres/server.log").read_text()
    assert 'violates unique constraint "customer_email_key"' in log
    assert "robin" not in log


def test_data_and_port_survive_a_killed_postmaster(data_dir, server):
    port = server.start()
    execute(server, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")

    os.kill(postmaster(data_dir), signal.SIGKILL)

    assert server.start() == port
    assert execute(server, "SELECT answer FROM kept") == [(42,)]


def test_the_server_starts_when_another_program_has_the_pid_of_a_dead_one(data_dir, server):
    server.start()
    os.kill(postmaster(data_dir), signal.SIGKILL)
    data = data_dir / "postgres/data"
    account = data.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=account) as other_program:
        pid_file = data / "postmaster.pid"
        _, rest = pid_file.read_text().split("\n", 1)
        pid_file.write_text(f"{other_program.pid}\n{rest}")

        server.start()

        assert postmaster(data_dir) != other_program.pid
        assert other_program.poll() is None
        other_program.kill()


def test_the_server_starts_with_an_empty_pid_file_after_a_machine_crash(data_dir, server):
    server.start()
    os.kill(postmaster(data_dir), signal.SIGKILL)
    (data_dir / "postgres/data/postmaster.pid").write_text("")

    server.start()

    assert execute(server, "SELECT 1") == [(1,)]


def test_a_port_that_another_program_took_is_replaced_for_good(data_dir, server, monkeypatch):
    monkeypatch.setattr(embedded, "_PORT_SECONDS", 0.5)
    port = server.start()
    server.stop()
    with closing(socket.create_server(("127.0.0.1", port))):
        other = server.start()

        assert other != port
        assert f":{other}/" in server.url("orders_write")
    server.stop()
    assert server.start() == other


def test_a_start_waits_for_a_server_that_recovers_longer_than_the_limit(server, monkeypatch):
    monkeypatch.setattr(embedded, "START_SECONDS", 0)
    answers = ["the database system is starting up", "Connection refused", "is still in use"]
    make_databases = EmbeddedServer._make_databases

    def recover_first(self: EmbeddedServer) -> int:
        if answers:
            raise psycopg.OperationalError(answers.pop())
        return make_databases(self)

    monkeypatch.setattr(EmbeddedServer, "_make_databases", recover_first)

    server.start()

    assert answers == []


def test_the_last_user_stops_the_server(data_dir, server):
    with server.in_use():
        server.start()
        with EmbeddedServer(data_dir).in_use():
            pass
        assert execute(server, "SELECT 1") == [(1,)]
    assert server.stop() is False


def test_the_server_refuses_a_wrong_password(server):
    server.start()
    wrong = server.url("orders_write").replace("orders:", "orders:x")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server under another account")
def test_a_closed_folder_of_root_keeps_its_permissions(fresh_dir):
    fresh_dir.chmod(0o700)
    server = EmbeddedServer(fresh_dir)

    server.start()

    assert execute(server, "SELECT 1") == [(1,)]
    assert fresh_dir.stat().st_mode & 0o777 == 0o700
    assert (fresh_dir / "postgres").is_symlink()
    assert (fresh_dir / "postgres").resolve().is_relative_to("/var/lib")
