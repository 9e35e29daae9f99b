"""`make run`: everything starts, everything stops, whoever is killed."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.acceptance.service import ROOT, plain_environ, wait_until
from tests.own_server import new_data_dir


class Copy(NamedTuple):
    """A copy of the project that runs."""

    make: "subprocess.Popen[bytes]"
    output: Path
    url: str
    supervisor: int
    # All processes: make, supervisor, web server, workers, PostgreSQL.
    pids: list[int]

    def gone(self) -> bool:
        self.make.poll()
        return not any(Path(f"/proc/{pid}").exists() for pid in self.pids)


@pytest.fixture(scope="module")
def environ() -> Iterator[Mapping[str, str]]:
    with new_data_dir() as data_dir:
        # Port 0: any that is free.
        yield plain_environ() | {"DATA_DIR": str(data_dir), "PORT": "0"}


@contextmanager
def running(environ: Mapping[str, str], output: Path) -> Iterator[Copy]:
    with open(output, "wb") as file:
        make = subprocess.Popen(
            ["make", "run"], env=environ, cwd=ROOT, stdout=file, stderr=file, start_new_session=True
        )
    try:
        told = wait_until(
            lambda: make.poll() is not None or re.search(r"Start page +(\S+)/", output.read_text()),
            seconds=90,
        )
        assert isinstance(told, re.Match), output.read_text()
        [supervisor] = children(make.pid)
        pid_file = Path(environ["DATA_DIR"], "postgres/data/postmaster.pid")
        postmaster = int(pid_file.read_text().split("\n")[0])
        pids = [make.pid, *descendants(make.pid), postmaster]
        yield Copy(make, output, told[1], supervisor, pids)
    finally:
        with make:
            make.terminate()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> list[int]:
    return [pid for child in children(pid) for pid in (child, *descendants(child))]


def test_ctrl_c_stops_all_processes_and_keeps_the_data(environ, tmp_path):
    with running(environ, tmp_path / "first") as first:
        assert httpx.get(f"{first.url}/readyz").status_code == 200
        assert len(first.pids) > 6

        # The terminal sends it to all processes of its foreground group.
        os.killpg(first.make.pid, signal.SIGINT)

        wait_until(first.gone, missing="some processes live on")
    assert "Traceback" not in first.output.read_text()
    assert "***" not in first.output.read_text()

    with running(environ, tmp_path / "second") as second:
        assert "no demo data are needed" in second.output.read_text()


def test_when_make_is_killed_everything_stops(environ, tmp_path):
    with running(environ, tmp_path / "output") as copy:
        copy.make.kill()

        wait_until(copy.gone, missing="some processes live on")


def test_after_the_supervisor_is_killed_only_the_database_is_left_for_the_next_run(
    environ, tmp_path
):
    with running(environ, tmp_path / "first") as first:
        os.kill(first.supervisor, signal.SIGKILL)

        *others, postmaster = first.pids
        wait_until(lambda: first._replace(pids=others).gone(), missing="orphans live on")

    with running(environ, tmp_path / "second") as second:
        assert second.pids[-1] == postmaster
        assert httpx.get(f"{second.url}/readyz").status_code == 200


def test_a_killed_web_server_comes_back_on_its_port(environ, tmp_path):
    with running(environ, tmp_path / "output") as copy:
        web, _workers = children(copy.supervisor)
        os.kill(web, signal.SIGKILL)

        # The supervisor holds the port: nobody is turned away, only late.
        assert httpx.get(f"{copy.url}/healthz", timeout=20).status_code == 200
        assert "The web server ended (SIGKILL)" in copy.output.read_text()


def refusal(environ: Mapping[str, str]) -> str:
    """What `make run` says when it can't."""
    finished = subprocess.run(
        ["make", "run"], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode != 0
    return "\n".join(line for line in finished.stderr.splitlines() if "make: ***" not in line)


def test_a_port_in_use_is_said_in_one_line(environ):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]

        said = refusal({**environ, "PORT": str(port)})

    assert said == (
        f"CommandError: Port {port} is in use. Stop what uses it or take another: "
        f"PORT={port + 1} make run"
    )


def test_an_unreachable_database_is_said_in_one_line(environ):
    url = "postgresql://orders@127.0.0.1:1/orders"

    said = refusal({**environ, "DATABASE_URL": url, "SECRET_KEY": "x" * 50})

    assert said.startswith("Cannot reach database 'orders': ")
    assert "port 1 failed: Connection refused" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [("DATABASE_URL", "mysql://orders@127.0.0.1/orders"), ("DEBUG", "yes"), ("PORT", "http")],
)
def test_a_wrong_setting_is_said_in_one_line(environ, setting, value):
    said = refusal({**environ, "SECRET_KEY": "x" * 50, setting: value})

    assert setting in said
    assert len(said.splitlines()) == 1
