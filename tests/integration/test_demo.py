"""The demo: sample data, logins that work, and a curl line to paste."""

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from knox.auth import TokenAuthentication

from ordering_write import client, log
from ordering_write.domain.commands import CreateOrder
from ordering_write.domain.events import OrderStatus
from ordering_write.management.commands import seed_demo
from ordering_write.management.demo import LOGINS, PASSWORD
from ordering_write.models import Order, OrderItem, OutboxEvent, Reservation, StockItem
from tests.kit import check_rows_equal_log, registered_customer
from tests.proof import size

URL = "http://localhost:8123"


def run(name: str, **options: object) -> str:
    out = io.StringIO()
    call_command(name, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def demo(db: None, settings: Any, tmp_path: Path) -> None:
    settings.DEMO = True
    settings.DATA_DIR = tmp_path
    settings.PRICES_INCLUDE_TAX = True
    # A login renews the hash of the demo, for which the first hasher would take half a second.
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    settings.PORTS = settings.PORTS | {"tax": "ordering_write.ports.fixed_rates.FixedRates"}


@pytest.mark.proof
def test_seeding_plays_a_scenario_by_commands(demo):
    # With 132 orders, as with 300, each state that is asserted below has an order.
    orders = size(132, full=seed_demo.ORDERS)
    run("seed_demo", orders=orders)
    own_orders = Order.objects.exclude(order_number__startswith="A-")
    exchanges = OutboxEvent.objects.filter(type="OrderReplaced").count()
    assert exchanges >= size(2, full=4)
    counts = (own_orders.count(), Order.objects.count())
    assert counts == (orders + exchanges, orders + 4 + exchanges)
    assert set(Order.objects.values_list("status", flat=True)) == set(OrderStatus)
    assert set(Order.objects.values_list("currency", flat=True)) == {"EUR", "USD"}
    event_types = set(OutboxEvent.objects.values_list("type", flat=True))
    assert {"OrderHeld", "ShipmentFailed", "ReturnReceived", "ReturnRejected"} <= event_types
    assert {"RefundSettled", "OrderItemsCancelled", "ShippingAddressChanged"} <= event_types
    assert {"CreditTransferred", "OrderAdjustmentAdded"} <= event_types
    # The shop is Spanish.
    prices: Any = OrderItem.objects.exclude(price=None).values_list("price", flat=True)
    taxes = {(tax["label"], tax["included"]) for price in prices for tax in price["taxes"]}
    assert {("IVA 21 %", True), ("IVA 10 %", True), ("IVA 4 %", True)} <= taxes
    # A payment arrived after the order had expired.
    assert own_orders.filter(status="cancelled", refunded__gt=0).exists()
    # The bank took payments back, of which it returned some; a refund bounced.
    assert "RefundBounced" in event_types
    kinds = [kind for row in own_orders for sums in row.payments.values() for kind in sums]
    assert kinds.count("chargeback") > kinds.count("chargeback_reversed") > 0
    # A product was oversold; all orders but the newest one had the units that came in.
    assert Reservation.objects.filter(backordered__gt=0).count() == 1
    sofa = StockItem.objects.get(sku="SOFA-1")
    assert (sofa.on_hand, sofa.reserved, sofa.backordered) == (1, 3, 2)
    assert [units.quantity for units in sofa.expectations] == [3]
    # The log is in the order of time, like a real one, apart from what was imported.
    own_events = OutboxEvent.objects.exclude(channel="import").order_by("id")
    times = list(own_events.values_list("timestamp", flat=True))
    assert times == sorted(times)
    timestamps = OutboxEvent.objects.values_list("timestamp", "recorded_at")
    assert all(timestamp <= recorded for timestamp, recorded in timestamps)
    check_rows_equal_log()


def test_seeding_says_how_far_it_is(demo, monkeypatch):
    monkeypatch.setattr(seed_demo, "LINE_SECONDS", 0)

    lines = run("seed_demo", orders=3).splitlines()

    assert lines[:3] == ["1 of 3 orders", "2 of 3 orders", "3 of 3 orders"]
    assert "3 orders" in lines[3]


def test_seeding_leaves_a_log_that_is_not_empty_alone(demo):
    registered_customer()
    assert run("seed_demo") == "The log isn't empty; no demo data are needed.\n"
    assert log.head() == 1
    assert "no demo logins" in run("demo_welcome", url=URL)


@pytest.mark.parametrize("name", ["seed_demo", "demo_welcome"])
def test_demo_commands_are_refused_in_production(db, settings, name):
    settings.DEMO = False
    with pytest.raises(CommandError, match="set DEMO=1"):
        run(name)
    assert log.head() == 0


def test_the_welcome_names_logins_that_work(demo):
    run("seed_demo", orders=3)
    text = run("demo_welcome", url=URL)
    for login in LOGINS:
        assert f"{login.username} ({login.role})" in text
        assert authenticate(username=login.username, password=PASSWORD) is not None
    assert f"Password    {PASSWORD}\n" in text


def test_the_token_is_kept_as_long_as_it_works(demo, tmp_path):
    run("seed_demo", orders=3)
    token = token_in(run("demo_welcome", url=URL))
    kept = tmp_path / "demo_token"
    assert kept.read_text() == token
    assert kept.stat().st_mode & 0o777 == 0o600
    assert token_in(run("demo_welcome", url=URL)) == token
    user, key = TokenAuthentication().authenticate_credentials(token.encode())
    assert user.username == "admin"
    key.delete()
    assert token_in(run("demo_welcome", url=URL)) != token


def token_in(text: str) -> str:
    [token] = re.findall(r"Token       (\w+)\n", text)
    return token


def test_the_curl_line_places_an_order_as_pasted(demo, admin_login):
    text = run("demo_welcome", url=URL)
    [curl] = [line for line in text.splitlines() if line.startswith("curl ")]
    words = shlex.split(curl)
    assert f"{URL}/api/v1/orders" in words
    assert f"Authorization: Token {token_in(text)}" in words
    body = json.loads(words[words.index("-d") + 1])
    command = CreateOrder(**body, **client.envelope(admin_login, channel="api"))
    assert client.dispatch(command, user=admin_login)


@pytest.fixture
def admin_login(demo: None) -> Any:
    run("seed_demo", orders=3)
    return authenticate(username="admin", password=PASSWORD)
