"""Copies of the project with data of their own, which `manage.py run` runs, and a browser."""

import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from tests.acceptance.service import ROOT, plain_environ, start, wait_until
from tests.own_server import new_data_dir
from tests.patience import PATIENCE_SECONDS

# No copy speaks TLS, and loading the certificates of authorities takes long.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Headers of a request for a page.
HTML = {"Accept": "text/html"}
# Not in a fresh copy of the code. Bytecode is in it, since compiling all of it takes long.
_LEFT_OUT = (".git", ".venv", "var", ".*_cache", ".hypothesis")


class Copy:
    """A copy of the project with data of its own, in ``folder``, on a port of its own.

    It runs the code in ``code``.
    """

    def __init__(self, folder: Path, code: Path = ROOT) -> None:
        self.folder = folder
        self.code = code
        self._runs: list[Run] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = plain_environ() | {"DATA_DIR": str(self.folder), "PORT": str(self.port)}

    def run(self, **environ: str) -> "Run":
        self._runs.append(Run(self, self.environ | environ))
        return self._runs[-1]

    def running(self, **environ: str) -> "Run":
        """Return its run as soon as it is ready: the last one, or a new one if that has ended."""
        if not self._runs or self._runs[-1].program.poll() is not None:
            self.run(**environ)
        return self._runs[-1].ready()

    def client(self, **headers: str) -> httpx.Client:
        """Return a client that follows redirects, for a block."""
        return httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=PATIENCE_SECONDS,
            follow_redirects=True,
            verify=_NO_CERTIFICATES,
        )

    def manage(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environ | environ,
            cwd=self.code,
            capture_output=True,
            text=True,
            timeout=5 * PATIENCE_SECONDS,
        )

    def answers(self) -> bool:
        """Return True if the service is ready."""
        with suppress(httpx.TransportError), self.client() as client:
            return client.get("/readyz").status_code == 200
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
        self._has_demo = environ.get("DEMO") != "0"
        self._has_records = environ.get("LOG_FORMAT") == "json"
        self._log = copy.folder / f"run-{len(list(copy.folder.glob('run-*')))}.log"
        self.program = start(["manage.py", "run"], environ, self._log, cwd=copy.code)

    @property
    def output(self) -> str:
        """All lines so far. Lines that are JSON records are their messages."""
        text = self._log.read_text()
        if not self._has_records:
            return text
        # The last line may be half written.
        lines = text.split("\n")[:-1]
        return "".join(f"{json.loads(line)['message']}\n" for line in lines)

    def has_printed(self, text: str) -> bool:
        return text in self.output

    def ready(self) -> "Run":
        """Wait for the whole banner."""
        wait_until(self._is_ready, seconds=5 * PATIENCE_SECONDS, missing="it doesn't start")
        return self

    def _is_ready(self) -> bool:
        assert self.program.poll() is None, self.output
        output = self.output
        end = "\ncurl " if self._has_demo else f"{self.copy.url}/admin/\n"
        return end in output and output.endswith("\n")

    @property
    def token(self) -> str:
        """The demo's token, which the banner shows."""
        [token] = re.findall(r"Token +([0-9a-f]{64})$", self.output, re.MULTILINE)
        return str(token)

    def wait_until_level(self) -> None:
        """Wait until the read side shows all demo data."""
        with self.copy.client(Authorization=f"Token {self.token}") as client:
            wait_until(
                lambda: (
                    not any(
                        row["lag_events"]
                        for row in client.get("/api/v1/projections").json()["results"]
                    )
                )
            )

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


@contextmanager
def new_copy(*, with_code: bool = False) -> Iterator[Copy]:
    """Yield a copy of the project; ``with_code``, one whose code can be changed too."""
    with new_data_dir() as folder, tempfile.TemporaryDirectory(prefix="orders-code-") as parent:
        code = _copied_code(Path(parent), folder) if with_code else ROOT
        copy = Copy(folder, code)
        try:
            yield copy
        finally:
            copy.kill()


def _copied_code(parent: Path, data: Path) -> Path:
    """Copy the code, which shares the installed packages; return its folder."""
    code = parent / "orders"
    shutil.copytree(ROOT, code, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True)
    (code / "var").symlink_to(data)
    (code / ".venv").symlink_to(sys.prefix)
    return code


@contextmanager
def logged_in(running: Run) -> Iterator[httpx.Client]:
    """Yield a client that has logged in as the demo's administrator by the form of the admin."""
    [password] = re.findall(r"Password +(\S+)$", running.output, re.MULTILINE)
    with running.copy.client() as browser:
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
