"""`manage.py import_orders`: lines at most once, refused lines with reasons, and own numbers."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config.accounts.models import User
from ordering_write.handlers.order import creating
from ordering_write.models import CommandRecord, Customer, Order, OutboxEvent, StockItem
from tests.kit import placed_order, registered_product
from tests.kit_imports import (
    PLACED,
    WHOLE_LIFE,
    import_lines,
    line,
    units,
)

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def lamp(db: None) -> StockItem:
    return registered_product(10, sku="LAMP-1")


@pytest.fixture
def run(tmp_path: Path, integration: User) -> Run:
    """``run(line, …)`` imports the lines as an integration; see ``import_lines``."""
    return partial(import_lines, tmp_path)


# --- Again, and refused ------------------------------------------------------------------------
def test_a_second_run_adds_nothing(run: Run, lamp: StockItem):
    run(WHOLE_LIFE, line(number="1002"))
    events = OutboxEvent.objects.count()

    assert run(WHOLE_LIFE, line(number="1002")).counts == "imported 0, repeated 2, refused 0"
    # However long ago the first run was.
    CommandRecord.objects.all().delete()
    assert run(WHOLE_LIFE, line(number="1002")).counts == "imported 0, repeated 2, refused 0"
    assert OutboxEvent.objects.count() == events


def test_the_number_or_reference_of_another_order_is_refused(
    run: Run, lamp: StockItem, admin_user: User
):
    imported_line = line(external_reference="till-1")
    run(imported_line)

    outcome = run(
        line(external_reference="till-1", note="Another"),
        line(number="1002", external_reference="TILL-1"),
        "",
        line(number="1003"),
    )
    assert outcome.reports == [
        "line 1: The order with the number 1001 was imported before, with another content.",
        "line 2: #/external_reference: There is an order with the external reference 'TILL-1'.",
    ]
    assert (outcome.counts, outcome.error) == (
        "imported 1, repeated 0, refused 2",
        "2 lines were refused.",
    )
    # Another user can't import it again either.
    assert run(imported_line, user=admin_user.username).reports == [
        "line 1: #/number: There is an order with the number 1001."
    ]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown product": (
        {"items": [{"sku": "GHOST", "quantity": 1, "unit_price": "1.00"}]},
        "#/items/0/sku: There is no product with the SKU GHOST.",
    ),
    "unknown line": (
        {"cancellations": [{"items": units(1, line=2), "happened_at": PLACED}]},
        "#/cancellations/0: The order has no line 2.",
    ),
    "too many units": (
        {"status": "delivered", "shipments": [{"items": units(4), "dispatched_at": PLACED}]},
        "#/shipments/0: 4 units of LAMP-1 were asked for, 3 are open.",
    ),
    "other status": (
        {"status": "delivered", "shipments": [{"dispatched_at": PLACED}]},
        "#/status: The facts make the order shipped, not delivered.",
    ),
    "completed without a delivery": (
        {"status": "completed"},
        "#/status: Order 1001 is confirmed; it can't become completed.",
    ),
    "completed too early": (
        {"status": "completed", "completed_at": PLACED},
        "#/completed_at: Order 1001 is confirmed; it can't become completed.",
    ),
    "more refunded than paid": (
        {"refunds": [{"amount": "1.00", "happened_at": PLACED}]},
        "#/refunds/0: Nothing of order 1001 was captured that isn't refunded already.",
    ),
    "in the future": (
        {"payments": [{"amount": "1.00", "happened_at": "2999-01-01T00:00:00Z"}]},
        "#/payments/0: 2999-01-01 00:00:00+00:00 lies in the future.",
    ),
    "fractions of a cent": (
        {"items": [{"sku": "LAMP-1", "quantity": 1, "unit_price": "1.001"}]},
        "#/items/0/unit_price: 1.001 has more decimals than EUR.",
    ),
    "too expensive": (
        {"items": [{"sku": "LAMP-1", "quantity": 10_000, "unit_price": "999999999999.00"}]},
        "#/items/0/unit_price: The order can't cost 1000000000000000 or more.",
    ),
    "too early": (
        {"placed_at": "1969-12-31T00:00:00Z"},
        "#/placed_at: A time is not earlier than the year 1970",
    ),
    "an empty number": ({"number": ""}, "#/number: "),
    "nothing to tell it apart": ({"number": None}, "#: Give number or external_reference"),
    "a channel": ({"channel": "api"}, "#/channel: There is no such field."),
    "an unknown field": ({"colour": "red"}, "#/colour: There is no such field."),
}


def test_each_refused_line_is_named_with_its_reason(
    run: Run, lamp: StockItem, subtests: pytest.Subtests
) -> None:
    outcome = run(*(line(**fields) for fields, _reason in REFUSED.values()))

    assert outcome.counts == f"imported 0, repeated 0, refused {len(REFUSED)}"
    for number, ((case, (_fields, reason)), report) in enumerate(
        zip(REFUSED.items(), outcome.reports, strict=True), start=1
    ):
        with subtests.test(case):
            assert report.startswith(f"line {number}: {reason}")
    assert not OutboxEvent.objects.filter(stream__startswith="order").exists()
    assert not Customer.objects.exists()


def test_an_import_needs_its_permission(db: None, clerk: User) -> None:
    with pytest.raises(CommandError, match="clerk can't import orders: this needs the permission"):
        call_command("import_orders", user="clerk", file="-", stdout=io.StringIO())


def test_a_dry_run_names_refused_lines_and_imports_nothing(run: Run, lamp: StockItem):
    run(line())
    events = OutboxEvent.objects.count()
    wrong = line(number="1002", status="delivered")

    outcome = run(line(), wrong, WHOLE_LIFE | {"number": "1003"}, dry_run=True)

    assert outcome.counts == "dry run: imported 1, repeated 1, refused 1"
    assert outcome.reports == [
        "line 2: #/status: The facts make the order confirmed, not delivered."
    ]
    assert OutboxEvent.objects.count() == events


def test_an_order_without_a_number_is_told_apart_by_its_reference(run: Run, lamp: StockItem):
    with_reference = line(number=None, external_reference="Till-1")

    assert run(with_reference).counts == "imported 1, repeated 0, refused 0"
    assert run(with_reference).counts == "imported 0, repeated 1, refused 0"
    assert Order.objects.get().order_number.startswith("2019-")
    assert run({**with_reference, "note": "Another"}).reports == [
        "line 1: The order with the external reference till-1 was imported before, with another "
        "content."
    ]


# --- Numbers -----------------------------------------------------------------------------------
def test_new_orders_leave_imported_numbers_out(run: Run, lamp: StockItem, customer: Customer):
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('order_number_seq')")
        [last] = cursor.fetchone()
    numbers = [last + ahead for ahead in (1, 2, 3)]
    run(*(line(number=f"2026-{number}") for number in numbers))

    order = placed_order(customer, (lamp, 1))

    assert order.order_number == f"2026-{last + 4:06d}"
    assert Order.objects.filter(order_number=f"2026-{last + 1:06d}").exists()


def test_a_number_that_is_imported_meanwhile_is_drawn_again(
    committed: None, customer: Customer, monkeypatch: pytest.MonkeyPatch
):
    product = registered_product(10)
    taken = placed_order(customer, (product, 1)).order_number
    numbers = [taken, "2026-900000"]
    monkeypatch.setattr(creating, "next_order_number", lambda *_: numbers.pop(0))

    assert placed_order(customer, (product, 1)).order_number == "2026-900000"
