"""`manage.py run` and other commands that can't start say why in one line."""

import json
import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest

from config.databases.embedded import EmbeddedServer
from tests.acceptance.copies import Copy, free_port, new_copy


@pytest.fixture(scope="module")
def idle() -> Iterator[Copy]:
    """Yield a copy that never runs."""
    with new_copy() as copy:
        yield copy


def one_line(text: str) -> str:
    [line] = text.strip().splitlines()
    assert "Traceback" not in line
    return line


def test_a_port_in_use_is_reported_in_one_line(idle: Copy) -> None:
    with socket.create_server(("127.0.0.1", idle.port)):
        process = idle.manage("run")

    assert process.returncode != 0
    assert f"Port {idle.port} is in use" in one_line(process.stderr)
    assert idle.postgres() == []


def test_a_folder_that_postgresql_cannot_use_is_reported_in_one_line(idle: Copy) -> None:
    process = idle.manage("run", DATA_DIR=f'{idle.folder}/a "folder"')

    assert process.returncode != 0
    assert """PostgreSQL can't work in a folder with " in its path""" in one_line(process.stderr)


def test_an_unreachable_database_is_reported_in_one_line(idle: Copy) -> None:
    nowhere = f"postgresql://x@127.0.0.1:{free_port()}/x"

    process = idle.manage("run", DATABASE_URL=nowhere, SECRET_KEY=uuid4().hex * 2)

    assert process.returncode != 0
    assert "Cannot reach database" in one_line(process.stderr)


def test_an_unreachable_database_is_one_record_with_json(idle: Copy) -> None:
    environ = {"DATABASE_URL": f"postgresql://x@127.0.0.1:{free_port()}/x", "DEBUG": "1"}
    process = idle.manage("migrate", SECRET_KEY=uuid4().hex * 2, LOG_FORMAT="json", **environ)

    assert process.returncode != 0
    warning, error = map(json.loads, process.stderr.splitlines())
    assert "DEBUG=1 with DATABASE_URL" in warning["message"]
    assert (warning["level"], error["level"]) == ("WARNING", "ERROR")
    assert "Cannot reach database" in error["message"]


def test_an_invalid_setting_is_reported_in_one_line(idle: Copy) -> None:
    process = idle.manage("run", PORT="many")

    assert process.returncode != 0
    assert "PORT must be a whole number" in one_line(process.stderr)


def test_manage_stop_stops_a_server_that_was_left_running(idle: Copy) -> None:
    EmbeddedServer(idle.folder).start()
    assert idle.postgres() != []

    assert idle.manage("stop").returncode == 0

    assert idle.postgres() == []
