"""A shop's own apps beside ours: the one of the page and a started one, in tests and in service."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.core.management import call_command

from config.databases.embedded import EmbeddedServer
from tests.acceptance.copies import HTML, Copy, logged_in, new_copy
from tests.acceptance.service import ROOT, wait_until
from tests.proof import IS_PROOF

PAGE = ROOT / "docs" / "how-to" / "extend-from-your-own-app.md"
FILE = re.compile(r"`(loyalty/[\w/.]+)`, a\snew\sfile:\n\n```python\n(.*?)```", re.DOTALL)
MUG = "98127d07-072b-5bf1-a111-98938f88741e"

# Makes the migrations of the page's app as its reader does, and runs the tests of both.
RUN_TESTS = """
import django, sys
django.setup()
from django.core.management import call_command
call_command("makemigrations", "loyalty_write", "loyalty_read", verbosity=0)
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def full_size(test: Any) -> Any:
    """Return ``test`` for `make proof` only; the first test of this module is the small one."""
    return pytest.mark.proof(pytest.mark.skipif(not IS_PROOF, reason="in make proof")(test))


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packages loyalty, as the page makes it, and acme, as started."""
    folder = tmp_path_factory.mktemp("shops")
    made = {"directory": folder, "stdout": StringIO()}
    call_command("start_shop_app", "acme", **made)
    call_command("start_shop_app", "loyalty", bare=True, **made)
    files = FILE.findall(PAGE.read_text())
    assert len(files) == 15
    for path, text in files:
        (folder / path).write_text(text)
    output = run(folder, "-c", RUN_TESTS, *options_of_pytest(folder))
    assert re.search(r"^11 passed", output, re.MULTILINE), output
    return folder


def options_of_pytest(folder: Path) -> list[str]:
    tests = [str(folder / package / "tests") for package in ("acme", "loyalty")]
    return ["-c", str(ROOT / "pyproject.toml"), "-q", "-x", "-p", "no:cacheprovider", *tests]


def environ_of(folder: Path) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return environ | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": str(folder),
        "SHOP_APPS": "acme,loyalty",
    }


def run(folder: Path, *command: str, status: int = 0) -> str:
    """Run Python in the project, with the packages of ``folder``; return its output."""
    process = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environ_of(folder),
        capture_output=True,
        text=True,
    )
    output = process.stdout + process.stderr
    assert process.returncode == status, output
    return output


def test_the_tests_of_both_apps_pass(shops: Path) -> None:
    """The fixture has run them."""


@full_size
def test_both_apps_pass_the_gates(shops: Path, subtests: pytest.Subtests) -> None:
    packages = [str(shops / "acme"), str(shops / "loyalty")]
    # Outside of the project, ruff doesn't know which folders have tests, and what is whose.
    config = ["--config", str(ROOT / "pyproject.toml"), "--quiet", "--exclude", "migrations"]
    ignored = ["--ignore", "I001,S101"]
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    for name, command in (
        ("style", ["-m", "ruff", "check", *config, *ignored, *packages]),
        ("layout", ["-m", "ruff", "format", "--check", *config, *packages]),
        ("settings", ["manage.py", "check", "--fail-level", "WARNING"]),
        ("migrations", ["manage.py", "makemigrations", "--check", "--dry-run"]),
        (
            "schema",
            ["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null"],
        ),
        ("reference", ["manage.py", "write_docs"]),
        *(
            (f"contracts of {name}", ["-c", lint, "--config", f"{shops}/{name}/importlinter.ini"])
            for name in ("acme", "loyalty")
        ),
    ):
        with subtests.test(name):
            run(shops, *command)
    page = shops / "loyalty" / "docs" / "reference" / "commands" / "SpendLoyaltyPoints.md"
    assert "POST /api/v1/loyalty-accounts/{customer_id}/spend" in page.read_text()
    assert not subprocess.run(
        ["git", "status", "--porcelain", "docs/reference"], cwd=ROOT, capture_output=True
    ).stdout


@full_size
def test_a_name_that_two_apps_define_is_told_at_the_start(shops: Path) -> None:
    events = shops / "acme" / "write" / "events.py"
    text = events.read_text()
    events.write_text(f"{text}\n\nclass OrderCancelled(OrderEvent):\n    pass\n")
    try:
        [sentence] = run(shops, "manage.py", "migrate", status=1).splitlines()
    finally:
        events.write_text(text)
    assert sentence.startswith("acme.write.events: the event type OrderCancelled must have acme in")


# --- In service ----------------------------------------------------------------------------------
class Shop:
    """A running service with both apps, and a client with the demo's token."""

    def __init__(self, copy: Copy, token: str) -> None:
        self.copy = copy
        self.client = copy.client(Authorization=f"Token {token}")
        self.server = EmbeddedServer(copy.folder)
        # Not a customer of the demo, whose orders have earned points too.
        self.robin = ""

    def customer(self, name: str, email: str) -> str:
        return str(self.post("/customers", 201, name=name, email=email)["customer_id"])

    def post(self, path: str, status: int, /, **fields: Any) -> Any:
        response: httpx.Response = self.client.post(f"/api/v1{path}", json=fields)
        assert response.status_code == status, response.text
        return response.json()

    def results(self, path: str) -> Any:
        return self.client.get(f"/api/v1{path}").json()["results"]

    def balance(self) -> int:
        [account] = self.results(f"/loyalty-accounts?customer={self.robin}") or [{"balance": 0}]
        return int(account["balance"])

    def confirmed_order(self) -> str:
        line = {"product_id": MUG, "quantity": 2, "unit_price": "9.90"}
        address = {"name": "Robin Sample", "line1": "1 Example Street", "city": "Sampleton"}
        order = self.post(
            "/orders",
            201,
            customer_id=self.robin,
            items=[line],
            shipping_address=address | {"country": "ES"},
        )["order_id"]
        self.post(f"/orders/{order}/confirm", 200)
        return str(order)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.server.url("orders_read"), autocommit=True) as read:
            read.execute(statement)

    def manage(self, *arguments: str) -> str:
        done = self.copy.manage(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def shop(shops: Path) -> Iterator[Shop]:
    with new_copy() as copy:
        copy.environ |= {"PYTHONPATH": str(shops), "SHOP_APPS": "acme,loyalty"}
        running = copy.running()
        shop = Shop(copy, running.token)
        with shop.client, logged_in(running) as shop.browser:  # type: ignore[attr-defined]
            shop.robin = shop.customer("Robin Sample", "robin.sample@example.org")
            yield shop


@full_size
def test_the_running_service_knows_the_apps_as_ours(shop: Shop) -> None:
    order = shop.confirmed_order()
    wait_until(lambda: shop.balance() == 19)

    # Commands: preview, key, refusal, browsable page, document, shell.
    spend = f"/loyalty-accounts/{shop.robin}/spend"
    preview = shop.post(f"{spend}?dry_run=true", 200, points=9)
    keyed = shop.copy.client(
        Authorization=shop.client.headers["Authorization"], **{"Idempotency-Key": "one"}
    )
    with keyed:
        answers = [keyed.post(f"/api/v1{spend}", json={"points": 9}) for _ in range(2)]
    assert preview["diff"] == [{"path": "/balance", "before": 19, "after": 10}]
    assert [answer.json()["balance"] for answer in answers] == [10, 10]
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert shop.post(spend, 409, points=11)["code"] == "invalid_operation"
    page = shop.client.get("/api/v1/loyalty-accounts", headers=HTML)
    assert "Loyalty accounts" in page.text
    paths = shop.client.get("/api/schema?format=json").json()["paths"]
    assert "/api/v1/loyalty-accounts/{customer_id}/spend" in paths
    spent = ["--customer-id", shop.robin, "--points", "1"]
    answer_text = shop.manage("command", "SpendLoyaltyPoints", *spent)
    assert "LoyaltyPointsSpent: loyalty-" in answer_text

    # An event of an order: address, actions, timeline.
    shop.post(f"/orders/{order}/acme-mark", 200, mark="urgent")
    actions = shop.client.get(f"/api/v1/orders/{order}/actions").json()["actions"]
    assert "mark_acme_order" in {action["name"] for action in actions}
    wait_until(
        lambda: "marked the order as urgent" in str(shop.results(f"/orders/{order}/timeline"))
    )

    # Projections: status, metrics, System page, rebuild, verify, SQL.
    assert {row["name"] for row in shop.results("/projections")} >= {"loyalty_balances"}
    assert 'projection="loyalty_balances"' in shop.client.get("/metrics").text
    assert "loyalty accounts" in shop.browser.get("/admin/system/").text.lower()  # type: ignore[attr-defined]
    wait_until(lambda: shop.balance() == 9)
    shop.manage("rebuild_projections", "loyalty_balances")
    shop.manage("verify_projections", "loyalty_balances", "acme_wishes")
    shop.manage("verify_log")
    shop.execute("SELECT balance FROM reporting.loyalty_read_loyaltybalance")

    # Parked events.
    table = "ALTER TABLE loyalty_read_loyaltybalance"
    shop.execute(f"{table} ADD CONSTRAINT nobody CHECK (balance < 9) NOT VALID")
    shop.confirmed_order()
    wait_until(lambda: "LoyaltyPointsEarned" in str(shop.results("/parked-events")))
    shop.execute(f"{table} DROP CONSTRAINT nobody")
    shop.manage("retry_parked")
    wait_until(lambda: shop.balance() == 28)

    # Admin and export.
    admin = shop.browser.get("/admin/loyalty_read/loyaltybalance/")  # type: ignore[attr-defined]
    assert "Loyalty accounts" in admin.text
    file = shop.client.get("/api/v1/loyalty-accounts?format=csv")
    assert f"{shop.robin},28" in file.text


@full_size
def test_an_erasure_reaches_the_personal_fields_of_the_apps(shop: Shop) -> None:
    customer = shop.customer("Robin Erasable", "robin.erasable@example.org")
    shop.post("/acme-wishes", 201, customer_id=customer, text="A turquoise samovar")
    wait_until(lambda: "turquoise" in str(shop.results("/acme-wishes")))

    shop.manage("erase_customer", customer, "--user", "admin", "--reason", "Asked for it")

    wait_until(lambda: "[erased]" in str(shop.results(f"/acme-wishes?customer={customer}")))
    assert "Found nowhere" in shop.manage("scan_personal_data", "--text", "turquoise")
    shop.manage("verify_log")
