"""The pages of the documents: a person who pastes their blocks sees what they show.

One service with demo data is there for all pages. `make proof` also carries out the pages for
operators, whose commands have the environment of production, and the pages that change code:
tests/acceptance/test_code_pages.py.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from config.databases import programs
from config.databases.embedded import EmbeddedServer
from ordering_write.management.demo import demo_id
from tests.acceptance.copies import Copy, Run
from tests.acceptance.forking import replace_environment
from tests.acceptance.page_session import Session, environ_of
from tests.acceptance.service import start, wait_until
from tests.pages import PAGES, ROOT, Block, blocks_of, changes_code
from tests.proof import IS_PROOF

PARKED = ROOT / "docs/how-to/find-out-why-an-event-is-parked.md"
# A test of its own: it is about a shop without demo data.
EMPTY_SHOP = ROOT / "docs/how-to/open-a-shop.md"
# In the order in which an operator reads them, in one shell.
FOR_OPERATORS = [ROOT / "docs/deployment.md", ROOT / "docs/operations.md"]

# Done in `make proof` only: tests/acceptance/test_generated_client.py generates a client too.
SKIPPED = {".venv/bin/python -m openapi_python_client": "true"}

pytestmark = pytest.mark.proof


def carried_out() -> list[Path]:
    """Return the pages with blocks for a service that runs with demo data."""
    return [
        page
        for page in PAGES
        if page not in (EMPTY_SHOP, *FOR_OPERATORS)
        and not changes_code(page)
        and any(block.is_carried_out for block in blocks_of(page))
    ]


class Shop:
    """The service with demo data, in which pages are carried out."""

    def __init__(self, running: Run) -> None:
        self.copy = running.copy
        self.server = EmbeddedServer(self.copy.folder)
        self.client = self.copy.client(Authorization=f"Token {running.token}")

    def database(self, name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.url(f"orders_{name}"), autocommit=True)

    def wait_until_level(self, _block: object = None) -> None:
        """Wait until projections and policies have done their work, as while a person reads."""
        with closing(self.database("write")) as write, closing(self.database("read")) as read:
            wait_until(partial(_is_level, write, read), missing="the workers lag behind")

    def post(self, path: str, body: dict[str, Any], *, method: str = "POST") -> Any:
        response: httpx.Response = self.client.request(method, f"/api/v1{path}", json=body)
        assert response.is_success, response.text
        return response.json()


def _is_level(write: psycopg.Connection[Any], read: psycopg.Connection[Any]) -> bool:
    [(events,)] = write.execute("SELECT count(*) FROM event")
    positions = [
        *read.execute("SELECT position FROM projection WHERE status = 'live'"),
        *write.execute("SELECT position FROM policy_checkpoint"),
    ]
    due = write.execute(
        "SELECT 1 FROM policy_timer WHERE due_at <= now() AND parked_at IS NULL LIMIT 1"
    )
    return all(position >= events for (position,) in positions) and not due.fetchall()


@pytest.fixture(scope="module")
def shop(demo: Run) -> Iterator[Shop]:
    """Use the demo; outside of proofs, commands of manage.py run in forks, which saves a minute."""
    shop = Shop(demo)
    with shop.client, nullcontext() if IS_PROOF else _forked_commands(demo.copy):
        yield shop


@contextmanager
def _forked_commands(copy: Copy) -> Iterator[None]:
    environ = environ_of(copy)
    address = copy.folder / "forking"
    replace_environment(copy.code, address, environ)
    command = ["-m", "tests.acceptance.forking", str(address)]
    server = start(command, environ, copy.folder / "forking.log", cwd=copy.code)
    try:
        wait_until(address.exists)
        yield
    finally:
        server.kill()
        server.wait()


class ParkedEvents:
    """Parks events of orders by a constraint on the table of orders, and drops it when retried."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def __call__(self, block: Block) -> None:
        if "retry_parked" in block.text or "verify" in block.text:
            self.close()
        elif "skip_parked" in block.text or not self._parked():
            self._park()

    def close(self) -> None:
        """Drop the constraint."""
        self._execute("ALTER TABLE order_summary DROP CONSTRAINT IF EXISTS nobody")

    def _park(self) -> None:
        self._execute(
            "ALTER TABLE order_summary ADD CONSTRAINT nobody CHECK (assigned_to = '') NOT VALID"
        )
        customer = str(demo_id("Robin Sample"))
        line = {"product_id": str(demo_id("MUG-1")), "quantity": 1, "unit_price": "9.90"}
        items = [line | {"requires_shipping": False}]
        order = self._shop.post("/orders", {"customer_id": customer, "items": items})["order_id"]
        self._shop.post(f"/orders/{order}/assign", {"assignee": "warehouse"})
        self._shop.post(f"/orders/{order}/tags/parked", {}, method="PUT")
        self._shop.wait_until_level()

    def _parked(self) -> list[Any]:
        return list(self._shop.client.get("/api/v1/parked-events").json()["results"])

    def _execute(self, statement: str) -> None:
        with closing(self._shop.database("read")) as read:
            read.execute(statement)


@pytest.mark.parametrize("page", carried_out(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_can_be_followed(page: Path, shop: Shop) -> None:
    park = ParkedEvents(shop) if page == PARKED else None

    def before(block: Block) -> None:
        if park:
            park(block)
        else:
            shop.wait_until_level()

    skipped = {} if IS_PROOF else SKIPPED
    with Session(shop.copy, skipped) as session, closing(park) if park else nullcontext():
        complaints = session.carry_out(page, before=before)
        if park:
            # The page skips an event, which the next rebuild would apply.
            session.run(".venv/bin/python manage.py rebuild_projections order_view")

    assert not complaints, "\n\n".join(complaints)


@pytest.mark.skipif(not IS_PROOF, reason="takes a minute: make proof carries these pages out")
def test_the_pages_for_operators_can_be_followed(shop: Shop) -> None:
    environment = shop.copy.folder / "orders.env"
    environment.write_text(environment_of(shop))
    [pending] = shop.client.get("/api/v1/orders?status=pending&page_size=1").json()["results"]
    meant = {
        "/srv/orders/current": str(shop.copy.code),
        "/etc/orders.env": str(environment),
        "createsuperuser ": "createsuperuser --noinput ",
        "2026-000123": pending["order_number"],
    }
    environ = {
        "DJANGO_SUPERUSER_PASSWORD": secrets.token_urlsafe(),
        # pg_dump of the server's version.
        "PATH": f"{programs.in_wheel()}:{os.environ['PATH']}",
    }

    with Session(shop.copy, meant, **environ) as session:
        complaints = [
            complaint
            for page in FOR_OPERATORS
            for complaint in session.carry_out(page, before=shop.wait_until_level)
        ]

    assert not complaints, "\n\n".join(complaints)


def environment_of(shop: Shop) -> str:
    """Return deploy/orders.env with the databases and the address of ``shop``, and without mail."""
    values = {
        "DATABASE_URL": shop.server.url("orders_write"),
        "READ_DATABASE_URL": shop.server.url("orders_read"),
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ALLOWED_HOSTS": "localhost",
        "HOST": "127.0.0.1",
        "PORT": str(shop.copy.port),
        "ADMINS": "",
        "EMAIL_HOST": "",
    }
    text = (ROOT / "deploy/orders.env").read_text()
    for name, value in values.items():
        text = re.sub(rf"^{name}=.*", f"{name}={value}", text, flags=re.MULTILINE)
    return text
