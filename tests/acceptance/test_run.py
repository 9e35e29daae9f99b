"""`manage.py run`, which `make run` calls: everything starts, works and stops."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.acceptance.service import ROOT, plain_environ, start, wait_until
from tests.own_server import new_data_dir
from tests.patience import PATIENCE_SECONDS


class Copy:
    """A copy of the project with data of its own, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs: list[Run] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = plain_environ() | {"DATA_DIR": str(self.folder), "PORT": str(self.port)}

    def run(self, **environ: str) -> "Run":
        self._runs.append(Run(self, self.environ | environ))
        return self._runs[-1]

    def manage(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environ | environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_SECONDS,
        )

    def answers(self) -> bool:
        """Return True if the service is ready."""
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz", timeout=PATIENCE_SECONDS).status_code == 200
        return False

    def postgres(self) -> list[psutil.Process]:
        """Return the processes of its PostgreSQL server."""
        data = str((self.folder / "postgres").resolve() / "data")
        servers = [
            process for process in psutil.process_iter(["cmdline"]) if data in _arguments(process)
        ]
        return servers + [child for server in servers for child in _children(server)]

    def kill(self) -> None:
        """Kill its runs: a run that a failed test left would start PostgreSQL again."""
        for run in self._runs:
            run.program.kill()
            run.program.wait()


class Run:
    """One `manage.py run` of a copy."""

    def __init__(self, copy: Copy, environ: dict[str, str]) -> None:
        self.copy = copy
        self._log = copy.folder / f"run-{len(list(copy.folder.glob('run-*')))}.log"
        self.program = start(["manage.py", "run"], environ, self._log)

    @property
    def output(self) -> str:
        return self._log.read_text()

    def has_printed(self, text: str) -> bool:
        return text in self.output

    def ready(self) -> "Run":
        """Wait for the whole banner."""
        wait_until(self._is_ready, seconds=5 * PATIENCE_SECONDS, missing="it doesn't start")
        return self

    def _is_ready(self) -> bool:
        assert self.program.poll() is None, self.output
        output = self.output
        # Without demo data, the banner ends with the page that leads to the first order.
        return ("\ncurl " in output or "open-a-shop.md" in output) and output.endswith("\n")

    def processes(self) -> list[psutil.Process]:
        """Return its process and those that it started, without PostgreSQL."""
        process = psutil.Process(self.program.pid)
        return [process, *process.children(recursive=True)]

    def stop(self, signum: signal.Signals = signal.SIGINT) -> int:
        self.program.send_signal(signum)
        return self.program.wait(PATIENCE_SECONDS)


def _arguments(process: psutil.Process) -> list[str]:
    return process.info["cmdline"] or []


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def gone(processes: list[psutil.Process]) -> bool:
    return not any(
        process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        for process in _alive(processes)
    )


def _alive(processes: list[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.status()
            yield process


def wait_until_level(run: "Run") -> None:
    """Wait until the read side shows all demo data."""
    [token] = re.findall(r"Token +([0-9a-f]{64})$", run.output, re.MULTILINE)
    headers = {"Authorization": f"Token {token}"}
    with httpx.Client(
        base_url=f"{run.copy.url}/api/v1", headers=headers, timeout=PATIENCE_SECONDS
    ) as client:
        wait_until(
            lambda: (
                not any(row["lag_events"] for row in client.get("/projections").json()["results"])
            )
        )


@contextmanager
def new_copy() -> Iterator[Copy]:
    with new_data_dir() as folder:
        copy = Copy(folder)
        try:
            yield copy
        finally:
            copy.kill()


@pytest.fixture(scope="module")
def running() -> Iterator[Run]:
    """Run a copy for all tests of this module."""
    with new_copy() as copy:
        run = copy.run().ready()
        wait_until_level(run)
        yield run
        if run.program.poll() is None:
            run.stop()


@pytest.fixture
def idle() -> Iterator[Copy]:
    """Yield a copy that has never run."""
    with new_copy() as copy:
        yield copy


def test_the_banner_names_addresses_that_work(running: Run) -> None:
    output = running.output
    url = running.copy.url
    for path in ("/", "/api/v1", "/api/docs", "/admin/"):
        assert f"{url}{path}\n" in output
        assert (
            httpx.get(f"{url}{path}", follow_redirects=True, timeout=PATIENCE_SECONDS).status_code
            == 200
        )
    assert "admin" in output
    assert "Password" in output

    # The line works in a shell as it stands.
    [line] = re.findall(r"^curl .*$", output, re.MULTILINE)
    [token] = re.findall(r"Token +([0-9a-f]{64})$", output, re.MULTILINE)
    headers = {"Authorization": f"Token {token}"}
    with httpx.Client(
        base_url=f"{url}/api/v1", headers=headers, timeout=PATIENCE_SECONDS
    ) as client:
        before = client.get("/orders").json()["count"]
        placed = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
        assert '"order_number"' in placed.stdout, placed.stdout
        wait_until(lambda: client.get("/orders").json()["count"] == before + 1)


def test_a_person_places_and_cancels_an_order_without_knowing_json(running: Run) -> None:
    with logged_in(running) as browser:
        page = browser.get("/api/v1/orders", headers=HTML)
        before = browser.get("/api/v1/orders").json()["count"]

        response = submit(browser, page, "/api/v1/orders")

        assert response.status_code == 201, response.text
        # The page waits until the read side shows the order.
        newest = browser.get("/api/v1/orders").json()
        assert newest["count"] == before + 1
        order = newest["results"][0]
        page = browser.get(order["links"]["self"], headers=HTML)
        response = submit(browser, page, f"/api/v1/orders/{order['id']}/cancel")
        assert response.status_code == 200, response.text
        assert browser.get(order["links"]["self"]).json()["status"] == "cancelled"


def test_the_admin_lists_the_log(running: Run) -> None:
    with logged_in(running) as browser:
        home = browser.get("/admin/")
        log = browser.get("/admin/ordering_write/outboxevent/")

        assert "Outbox (event log)" in home.text
        assert log.status_code == 200
        assert "OrderCreated" in log.text
        assert browser.get("/admin/ordering_write/outboxevent/add/").status_code in (403, 404)


HTML = {"Accept": "text/html"}


@contextmanager
def logged_in(running: Run) -> Iterator[httpx.Client]:
    """Yield a client that has logged in as the demo's administrator by the form of the admin."""
    [password] = re.findall(r"Password +(\S+)$", running.output, re.MULTILINE)
    with httpx.Client(
        base_url=running.copy.url, follow_redirects=True, timeout=PATIENCE_SECONDS
    ) as browser:
        log_in(browser, "admin", password, next="/")
        yield browser


def log_in(browser: httpx.Client, name: str, password: str, *, next: str) -> httpx.Response:
    """Log in by the form of the admin, and return the page ``next``."""
    page = browser.get("/admin/login/")
    login = {
        "username": name,
        "password": password,
        "csrfmiddlewaretoken": field(page.text, "csrfmiddlewaretoken"),
        "next": next,
    }
    response = browser.post("/admin/login/", data=login, headers={"Referer": str(page.url)})
    assert response.url.path == next, response.text
    return response


def field(html: str, name: str) -> str:
    """Return the value of a hidden field."""
    return unescape(re.findall(rf'name="{name}" value="([^"]*)"', html)[0])


def form_at(html: str, address: str) -> dict[str, str]:
    """Return the fields of the form with the action ``address``, as they stand."""
    for form in re.findall(r"<form\b.*?</form>", html, re.DOTALL):
        action = re.findall(r'action="([^"]*)"', form)
        if action and urlsplit(unescape(action[0])).path.removesuffix("/") == address:
            fields = re.findall(r'name="([^"]+)"[^>]*value="([^"]*)"', form)
            text = r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>'
            fields += re.findall(text, form, re.DOTALL)
            return {name: unescape(value) for name, value in fields}
    raise AssertionError(f"no form goes to {address}")


def submit(browser: httpx.Client, page: httpx.Response, address: str) -> httpx.Response:
    """Send the form of ``page`` with the action ``address`` as it stands, as a browser would."""
    fields = form_at(page.text, address)
    return browser.post(address, data=fields, headers=HTML | {"Referer": str(page.url)})


def test_a_killed_program_is_started_again(running: Run) -> None:
    for process in psutil.Process(running.program.pid).children():
        process.kill()
    for name in ("web server", "workers"):
        wait_until(partial(running.has_printed, f"The {name} ended (SIGKILL)"))
    wait_until(lambda: len(psutil.Process(running.program.pid).children()) == 2)
    wait_until(running.copy.answers)


def test_a_second_copy_is_killed_run_again_and_stopped(running: Run, idle: Copy) -> None:
    run = idle.run(DEMO="0").ready()
    assert running.copy.answers()
    processes = run.processes()
    assert len(processes) > 8

    run.program.kill()

    wait_until(lambda: gone(processes), missing="a process outlived the supervisor")
    run.program.wait()
    again = idle.run(DEMO="0").ready()
    assert idle.answers()
    processes = again.processes() + idle.postgres()

    assert again.stop() == 0

    assert gone(processes), again.output
    assert idle.postgres() == []
    assert "Traceback" not in again.output
    assert not idle.answers()
    assert running.copy.answers()


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


@pytest.mark.parametrize("command", ["run", "migrate"])
def test_an_unreachable_database_is_reported_in_one_line(idle: Copy, command: str) -> None:
    nowhere = f"postgresql://x@127.0.0.1:{free_port()}/x"

    process = idle.manage(command, DATABASE_URL=nowhere, SECRET_KEY=uuid4().hex * 2)

    assert process.returncode != 0
    assert "Cannot reach database" in one_line(process.stderr)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"PORT": "many"}, "PORT must be a whole number"),
        ({"DATABASE_URL": "postgresql://x@127.0.0.1/x"}, "SECRET_KEY is required"),
        ({"DATABASE_URL": "mysql://x@127.0.0.1/x", "SECRET_KEY": uuid4().hex * 2}, "postgresql://"),
        (
            {"DATABASE_URL": "postgresql://x@127.0.0.1/x", "SECRET_KEY": "x"},
            "SECRET_KEY can be guessed",
        ),
        ({"HTTPS": "perhaps"}, "HTTPS must be 0 or 1"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(
    idle: Copy, environ: dict[str, str], reason: str
) -> None:
    process = idle.manage("run", **environ)

    assert process.returncode != 0
    assert reason in one_line(process.stderr)


def test_manage_stop_stops_a_server_that_a_command_left_running(idle: Copy) -> None:
    connect = "from django.db import connection; connection.ensure_connection()"
    assert idle.manage("shell", "-v", "0", "-c", connect).returncode == 0
    assert idle.postgres() != []

    assert idle.manage("stop").returncode == 0

    assert idle.postgres() == []
