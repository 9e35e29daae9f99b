"""The previous release serves requests while the migrations of this release run, one by one."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.sql import emit_pre_migrate_signal
from django.db import connections

from config.databases.executor import SideExecutor
from config.databases.retry import on_transient_errors
from config.processes import die_with_parent
from tests.acceptance.service import ROOT, plain_environ, wait_until
from tests.acceptance.shop import ADDRESS
from tests.databases import ALIASES, Databases, connected_to
from tests.patience import PATIENCE_SECONDS
from tests.proof import IS_PROOF, size
from tests.releases import archive, releases

# The release that serves: the first that promises it, which most migrations must leave at work.
PREVIOUS = next(release.commit for release in releases() if release.version == "1.2.0")
# Whole rounds of requests that pass after so many migrations.
ROUNDS = 1
MIGRATIONS_BETWEEN = size(20, full=1)
# Between two rounds; the full proof has none.
PAUSE_SECONDS = 0.0 if IS_PROOF else 0.2

# Migrates, prints the port and a token, then serves requests and projects events.
SERVE = """
import sys, threading, time
import django
django.setup()
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from ordering_read.engine import live
from ordering_read.projector import registered

def project():
    while True:
        live.run(*registered())
        time.sleep(0.2)

call_command("migrate", verbosity=0)
server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
server.set_app(get_wsgi_application())
print(server.server_port, flush=True)
call_command("create_token", "admin", "--role", "admin")
sys.stdout.flush()
threading.Thread(target=project, daemon=True).start()
server.serve_forever()
"""


class Release:
    """The code of a commit in a folder, which serves requests on databases of its own."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self.databases = databases
        self.write_url, self.read_url = databases.urls
        self.folder = folder
        archive(PREVIOUS, folder)
        environ = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": self.write_url,
            "READ_DATABASE_URL": self.read_url,
            "SECRET_KEY": uuid4().hex * 2,
            "HTTPS": "0",
        }
        parent = os.getpid()
        with open(folder / "errors.log", "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE],
                env=plain_environ() | environ,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                preexec_fn=lambda: die_with_parent(parent),
            )
        assert self.process.stdout is not None
        port, token = self.process.stdout.readline(), self.process.stdout.readline()
        assert token, self.errors()
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port.strip()}/api/v1",
            headers={"Authorization": f"Token {token.strip()}"},
            timeout=PATIENCE_SECONDS,
        )

    def errors(self) -> str:
        return (self.folder / "errors.log").read_text()

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.communicate()


class Load:
    """Requests of a shop, round after round, in a thread; ``refused`` lists failed ones."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._is_over = threading.Event()
        self.rounds = 0
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def go_on(self) -> None:
        """Wait until ROUNDS rounds, which begin from now on, are over."""
        enough = self.rounds + ROUNDS + 1
        wait_until(lambda: self.refused or self.rounds >= enough)
        assert self.refused == []

    def _run(self) -> None:
        is_over = False
        while not is_over:
            self._round()
            self.rounds += 1
            is_over = self._is_over.wait(PAUSE_SECONDS)

    def _round(self) -> None:
        customer = {"name": "Robin Sample", "email": f"{uuid4().hex}@example.com"}
        customer_id = self._send("POST", "/customers", customer).get("customer_id")
        product = {"sku": uuid4().hex, "name": "Desk lamp", "on_hand": 5}
        product_id = self._send("POST", "/inventory", product).get("product_id")
        item = {"product_id": product_id, "quantity": 2, "unit_price": "19.90"}
        order = {
            "customer_id": customer_id,
            "currency": "EUR",
            "items": [item],
            "shipping_address": ADDRESS,
            "note": "Ring twice, please.",
        }
        order_id = self._send("POST", "/orders", order).get("order_id")
        for status in ("confirmed", "processing", "shipped", "delivered"):
            self._send("POST", f"/orders/{order_id}/status", {"status": status})
        self._send("GET", "/orders")
        self._send("GET", "/inventory")

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        response = self._client.request(method, path, json=body)
        if not response.is_success:
            self.refused.append(f"{method} {path}: {response.status_code} {response.text[:300]}")
        return response.json() if response.is_success else {}


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    try:
        _git("cat-file", "-e", f"{PREVIOUS}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the history ends before the previous release, {PREVIOUS}")
    databases = Databases("write", "read")
    running = Release(tmp_path, databases)
    yield running
    running.stop()
    databases.drop()


@pytest.mark.proof
def test_no_request_is_refused_while_this_release_migrates(
    release: Release, django_db_setup: None, django_db_blocker: Any
) -> None:
    names = release.databases.names
    projections = _positions(release).keys()
    with Load(release.client) as load, django_db_blocker.unblock(), connected_to(names):
        load.go_on()
        for alias in ALIASES:
            _migrate(alias, load)
        # With the receivers of its end.
        call_command("migrate", verbosity=0, skip_checks=True)
        load.go_on()

    def is_settled() -> bool:
        # The previous release doesn't know the projections that this one has added.
        [(head,)] = _rows(release.write_url, "SELECT count(*) FROM event")
        positions = _positions(release)
        return all(positions[name] == head for name in projections)

    wait_until(is_settled, missing="the projections lag behind")
    failed = _rows(
        release.read_url,
        "SELECT name, error FROM projection WHERE error <> '' OR parked_streams > 0",
    )
    assert failed == []


def _migrate(alias: str, load: Load) -> None:
    """Apply the missing migrations; let whole rounds of requests pass between them."""
    applied = 0

    def go_on(action: str, *_migration: object) -> None:
        nonlocal applied
        if action == "apply_success":
            applied += 1
            if applied % MIGRATIONS_BETWEEN == 0:
                load.go_on()

    def migrate() -> None:
        executor = SideExecutor(connections[alias], go_on)
        leaves = executor.loader.graph.leaf_nodes()
        plan = executor.migration_plan(leaves)
        emit_pre_migrate_signal(verbosity=0, interactive=False, db=alias, apps=apps, plan=plan)
        executor.migrate(leaves)

    # The command tries again too after a deadlock with requests.
    on_transient_errors(migrate)


def _positions(release: Release) -> dict[str, int]:
    """Return the position of each live projection."""
    return dict(
        _rows(release.read_url, "SELECT name, position FROM projection WHERE status = 'live'")
    )


def _rows(url: str, query: LiteralString) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def _git(*arguments: str) -> bytes:
    command: Sequence[str] = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
