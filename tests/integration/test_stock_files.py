"""`manage.py set_prices` and `manage.py adjust_stock`: a product per line of a CSV file."""

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from config.accounts.models import User
from ordering_write import client
from ordering_write.domain.commands import ReceiveStock
from ordering_write.models import CommandRecord, OutboxEvent, StockItem
from tests.kit import USER, check_rows_equal_log, dispatch, registered_product

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def lamp(db: None) -> StockItem:
    return registered_product(10, sku="LAMP-1")


@pytest.fixture
def run(tmp_path: Path, admin_user: User) -> Run:
    """``run(command, content)`` returns the output and the error of the command for this file."""

    def run(
        command: str, content: str | bytes, name: str = "monday.csv", **options: Any
    ) -> SimpleNamespace:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        out, error = io.StringIO(), ""
        try:
            call_command(command, user=admin_user.username, file=str(file), stdout=out, **options)
        except CommandError as caught:
            error = str(caught)
        *reports, summary = out.getvalue().splitlines()
        return SimpleNamespace(reports=reports, counts=summary.partition(" in ")[0], error=error)

    return run


def price_of(product: StockItem) -> tuple[Decimal | None, str]:
    product.refresh_from_db()
    return product.list_price, product.currency


def on_hand(product: StockItem) -> int:
    product.refresh_from_db()
    return product.on_hand


# --- Prices ------------------------------------------------------------------------------------
def test_each_line_sets_a_price(run: Run, lamp: StockItem) -> None:
    mug = registered_product(sku="MUG-1")

    outcome = run("set_prices", "sku,list_price,currency\nLAMP-1,24.90,\nmug-1,1200,JPY\n")

    assert (outcome.counts, outcome.reports) == ("set 2, unchanged 0, refused 0", [])
    assert price_of(lamp) == (Decimal("24.90"), "EUR")
    assert price_of(mug) == (Decimal("19.90"), "EUR")
    assert mug.other_prices == {"JPY": "1200"}
    check_rows_equal_log()


def test_prices_that_are_set_already_are_unchanged(run: Run, lamp: StockItem) -> None:
    prices = "sku,list_price\nLAMP-1,24.90\n"
    run("set_prices", prices)
    events = OutboxEvent.objects.count()

    assert run("set_prices", prices).counts == "set 0, unchanged 1, refused 0"
    assert OutboxEvent.objects.count() == events


def test_a_price_list_can_be_used_again_after_other_prices(run: Run, lamp: StockItem) -> None:
    run("set_prices", "sku,list_price\nLAMP-1,24.90\n")
    run("set_prices", "sku,list_price\nLAMP-1,9.90\n")

    assert run("set_prices", "sku,list_price\nLAMP-1,24.90\n").counts.startswith("set 1")
    assert price_of(lamp) == (Decimal("24.90"), "EUR")


def test_refused_lines_of_prices_are_reported(run: Run, lamp: StockItem) -> None:
    outcome = run(
        "set_prices",
        b"sku;list_price\n"
        b"GHOST-1;5.00\n"
        b"LAMP-1;cheap\n"
        b"LAMP-1;\n"
        b"LAMP-1;1;2\n"
        b'LAMP-1;"5.00\n'
        b"\xff;5.00\n"
        b"LAMP-1;0.001\n"
        b"\n"
        b"LAMP-1;5.00\n",
    )

    assert outcome.counts == "set 1, unchanged 0, refused 7"
    assert outcome.error == "7 lines were refused."
    assert [report.partition(": ")[0] for report in outcome.reports] == [
        f"line {number}" for number in range(2, 9)
    ]
    assert outcome.reports[0] == "line 2: There is no product with the SKU GHOST-1."
    assert outcome.reports[2] == "line 4: #/list_price: Field required"
    assert outcome.reports[3] == "line 5: The line has 3 cells, the first line has 2."
    assert price_of(lamp) == (Decimal(5), "EUR")


HEADERS = {
    "list_price,sku,colour": "There is no column 'colour'; there are sku, list_price, currency.",
    "sku,list_price,sku": "The column sku appears twice.",
    "sku,currency": "The first line must name the column list_price.",
    'sku,"list_price': "monday.csv: The line is not CSV: unexpected end of data.",
}


def test_a_file_with_other_columns_is_refused_at_once(
    run: Run, lamp: StockItem, subtests: pytest.Subtests
) -> None:
    for header, message in HEADERS.items():
        with subtests.test(header):
            outcome = run("set_prices", f"{header}\nLAMP-1,24.90,red\n")
            assert outcome.error.endswith(message)
            assert outcome.counts == "set 0, unchanged 0, refused 0"
    assert price_of(lamp) == (Decimal("19.90"), "EUR")
    assert run("set_prices", "").counts == "set 0, unchanged 0, refused 0"


# --- Stock -------------------------------------------------------------------------------------
def test_a_count_becomes_the_stock(run: Run, lamp: StockItem) -> None:
    counts = "sku,on_hand,comment\nLAMP-1,7,aisle 3\n"

    assert run("adjust_stock", counts).counts == "adjusted 1, unchanged 0, refused 0"
    assert run("adjust_stock", counts).counts == "adjusted 0, unchanged 1, refused 0"
    assert on_hand(lamp) == 7
    adjusted = OutboxEvent.objects.get(type="StockAdjusted")
    assert (adjusted.data["delta"], adjusted.data["reason"]) == (-3, "count")
    assert adjusted.data["comment"] == "aisle 3"
    check_rows_equal_log()


def test_a_delta_is_adjusted_once_by_files_of_the_same_name(run: Run, lamp: StockItem) -> None:
    damages = "sku,delta,reason\nLAMP-1,-1,damage\nLAMP-1,-1,damage\n"

    assert run("adjust_stock", damages).counts == "adjusted 2, unchanged 0, refused 0"
    longer = damages + "LAMP-1,+3,found\n"
    assert run("adjust_stock", longer).counts == "adjusted 1, unchanged 2, refused 0"
    CommandRecord.objects.all().delete()
    assert run("adjust_stock", longer).counts == "adjusted 0, unchanged 3, refused 0"
    assert on_hand(lamp) == 11

    assert run("adjust_stock", damages, "tuesday.csv").counts.startswith("adjusted 2")
    assert on_hand(lamp) == 9


def test_a_dry_run_changes_nothing(run: Run, lamp: StockItem) -> None:
    prices = "sku,list_price\nLAMP-1,24.90\nLAMP-1,19.90\nGHOST-1,1.00\n"
    stock = "sku,on_hand,delta,reason\nLAMP-1,7,,\nLAMP-1,,-1,damage\nLAMP-1,,-11,theft\n"
    damage = "sku,on_hand,delta,reason\nLAMP-1,,-1,damage\n"
    run("adjust_stock", damage)
    events = OutboxEvent.objects.count()

    for_prices = run("set_prices", prices, dry_run=True)
    for_stock = run("adjust_stock", stock, dry_run=True)

    assert for_prices.counts == "dry run: set 1, unchanged 1, refused 1"
    assert for_stock.counts == "dry run: adjusted 1, unchanged 1, refused 1"
    assert (price_of(lamp)[0], on_hand(lamp)) == (Decimal("19.90"), 9)
    assert OutboxEvent.objects.count() == events


def test_refused_lines_of_stock_are_reported(run: Run, lamp: StockItem) -> None:
    outcome = run(
        "adjust_stock",
        "sku\ton_hand\tdelta\treason\n"
        "LAMP-1\t\t\tcount\n"
        "LAMP-1\t5\t-1\tcount\n"
        "LAMP-1\tmany\t\tcount\n"
        "LAMP-1\t-5\t\tcount\n"
        "LAMP-1\t\t-11\ttheft\n"
        "LAMP-1\t\t0\tcount\n"
        "LAMP-1\t\t-1\tbored\n"
        "LAMP-1\t4\t\t\n",
    )

    assert outcome.counts == "adjusted 1, unchanged 0, refused 7"
    assert outcome.reports[:5] == [
        "line 2: A line has either on_hand or delta.",
        "line 3: A line has either on_hand or delta.",
        "line 4: on_hand is many, not a number of units.",
        "line 5: on_hand is -5, not a number of units.",
        "line 6: -1 units of LAMP-1 would be left, and 0 are reserved.",
    ]
    assert on_hand(lamp) == 4


def test_a_count_holds_although_the_stock_moves_meanwhile(
    run: Run, lamp: StockItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch_as = client.dispatch
    deliveries = [ReceiveStock(user_id=USER, product_id=lamp.pk, quantity=5)]

    def after_a_delivery(*args: Any, **kwargs: Any) -> Any:
        if deliveries:
            dispatch(deliveries.pop())
        return dispatch_as(*args, **kwargs)

    monkeypatch.setattr(client, "dispatch", after_a_delivery)

    assert run("adjust_stock", "sku,on_hand\nLAMP-1,7\n").counts.startswith("adjusted 1")
    assert on_hand(lamp) == 7


def test_files_need_the_permission_of_their_command(db: None, clerk: User) -> None:
    for command, purpose in (("set_prices", "set list prices"), ("adjust_stock", "adjust stock")):
        with pytest.raises(CommandError, match=f"clerk can't {purpose}: this needs"):
            call_command(command, user="clerk", file="-", stdout=io.StringIO())
