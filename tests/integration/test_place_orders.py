"""`manage.py place_orders`: places each line at most once, and reports refused lines."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from uuid_utils.compat import uuid7

from config.accounts.models import User
from config.accounts.roles import Role
from ordering_write.management.commands import place_orders
from ordering_write.models import CommandRecord, Customer, Order, StockItem
from tests.kit import ADDRESS, check_rows_equal_log, registered_customer, registered_product
from tests.patience import PATIENCE_SECONDS
from tests.proof import size


def line(customer: Customer, product: StockItem, **fields: Any) -> bytes:
    fields_of_line = {
        "customer_id": str(customer.pk),
        "items": [{"product_id": str(product.pk), "quantity": 1, "unit_price": "19.90"}],
        "shipping_address": ADDRESS,
    }
    return json.dumps({**fields_of_line, **fields}).encode()


@pytest.fixture
def product(db: None) -> StockItem:
    return registered_product(1000)


@pytest.fixture
def place(
    tmp_path: Path, clerk: User, capsys: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """``place(line, …)`` runs the command and returns its output and its error."""

    def run(*lines: bytes, content: bytes | None = None, user: str = "clerk") -> SimpleNamespace:
        file = tmp_path / "orders.jsonl"
        file.write_bytes(b"\n".join(lines) if content is None else content)
        out = io.StringIO()
        error = ""
        try:
            call_command("place_orders", user=user, file=str(file), stdout=out)
        except CommandError as caught:
            error = str(caught)
        *reports, summary = out.getvalue().splitlines()
        counts = re.fullmatch(r"placed (\d+), repeated (\d+), refused (\d+) in \d+\.\d s", summary)
        assert counts, summary
        return SimpleNamespace(
            reports=reports, counts=tuple(map(int, counts.groups())), error=error
        )

    return run


def test_every_line_is_placed_and_a_terminal_shows_progress(
    place, customer, product, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    outcome = place(*[line(customer, product)] * 3)
    assert (outcome.counts, outcome.reports, outcome.error) == ((3, 0, 0), [], "")
    assert Order.objects.count() == 3
    assert "0/3" in capsys.readouterr().err


def test_a_second_run_places_no_line_twice(place, customer, product):
    lines = [line(customer, product)] * 2 + [line(customer, product, note="Ring twice")]
    place(*lines)
    assert place(*lines).counts == (0, 3, 0)
    assert place(*lines, lines[0]).counts == (1, 3, 0)
    assert place(*reversed(lines)).counts == (0, 3, 0)
    # However long ago that was.
    CommandRecord.objects.all().delete()
    assert place(*lines).counts == (0, 3, 0)
    assert Order.objects.count() == 4


def test_a_command_id_is_the_key_of_its_line(place, customer, product):
    key = str(uuid7())
    assert place(line(customer, product, command_id=key)).counts == (1, 0, 0)
    assert place(line(customer, product, command_id=key)).counts == (0, 1, 0)
    outcome = place(line(customer, product, command_id=key, note="Another"))
    assert outcome.reports == ["line 1: This idempotency key was used for another command."]


def test_an_equal_line_of_another_user_is_another_order(place, customer, product, make_user):
    make_user(Role.INTEGRATION)
    assert place(line(customer, product)).counts == (1, 0, 0)
    assert place(line(customer, product), user="integration").counts == (1, 0, 0)


def test_refused_lines_are_reported_and_the_others_placed(place, customer, product):
    scarce = registered_product(1, sku="RARE-1")
    good = line(customer, product)
    outcome = place(
        line(customer, scarce),
        line(customer, scarce),
        b"{nonsense",
        good,
        line(customer, product, customer_id=str(uuid7())),
        good,
    )
    assert outcome.counts == (3, 0, 3)
    assert outcome.error == "3 lines were refused."
    assert [report.partition(": ")[0] for report in outcome.reports] == [
        "line 2",
        "line 3",
        "line 5",
    ]
    assert outcome.reports[0] == (
        "line 2: Insufficient inventory: 1 requested of RARE-1, 0 available."
    )


HOSTILE = {
    b"{": "not JSON",
    b"[]": "must be a JSON object",
    b"null": "must be a JSON object",
    b'"text"': "must be a JSON object",
    b"\xff\xfe": "not UTF-8",
    b'{"note": NaN}': "NaN is not JSON",
    b'{"note": "\\u0000"}': "NUL",
    b'{"note": "\x00"}': "not JSON",
    b'{"note": "\\ud800"}': "surrogate",
    b'{"note": 1, "note": 2}': "appears twice",
    b'{"note": 1e999999}': "out of any range",
    b'{"note": ' + b"9" * 5000 + b"}": "out of any range",
    b'{"note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}": "nested deeper",
    b"{}": "#/customer_id: Field required",
    b'{"surprise": 1}': "#/surprise: There is no such field.",
    b'{"user_id": "x"}': "#/user_id: There is no such field.",
    b'{"actor": null}': "#/actor: There is no such field.",
    b'{"timestamp": "2020-01-01T00:00:00Z"}': "#/timestamp: There is no such field.",
    b'{"customer_scope": null}': "#/customer_scope: There is no such field.",
    b'{"command_id": 5}': "#/command_id: ",
    b'{"items": [{"quantity": true}]}': "#/items/0/quantity: ",
    b'{"items": 3}': "#/items: ",
    b"x" * 1_000_001: "longer than 1000000 bytes",
}


def test_a_line_that_is_no_order_is_refused(
    place, customer, product, subtests: pytest.Subtests
) -> None:
    for number, (written, reason) in enumerate(HOSTILE.items()):
        with subtests.test(repr(written)[:60]):
            sound = line(customer, product, note=f"Order {number}")
            outcome = place(sound, written, sound)
            assert outcome.counts == (2, 0, 1)
            [report] = outcome.reports
            assert report.startswith("line 2: ")
            assert reason in report


def test_the_shape_of_the_file_does_not_matter(place, customer, product):
    good = line(customer, product)
    assert place(content=b"\xef\xbb\xbf" + good + b"\r\n\r\n  \n" + good).counts == (2, 0, 0)
    assert place(content=good + b"\n" + good + b"\n").counts == (0, 2, 0)
    assert place(content=b"").counts == (0, 0, 0)
    outcome = place(content=b"\n" + b"x" * 3_000_000 + b"\n" + good + b"\n{")
    assert [report.partition(": ")[0] for report in outcome.reports] == ["line 2", "line 4"]


def test_a_user_without_the_permission_is_refused_at_once(place, customer, product, auditor):
    out = io.StringIO()
    for user, reason in (
        ("auditor", "auditor can't place orders: this needs the permission"),
        ("ghost", "There is no user ghost."),
    ):
        with pytest.raises(CommandError, match=reason):
            call_command("place_orders", user=user, file="-", stdout=out)
    assert out.getvalue() == ""


def test_a_line_names_a_guest(place, customer, product):
    guest = {"name": "Kim Example", "email": "kim@example.com"}
    order = json.loads(line(customer, product, customer_id=None))
    first, second = (
        json.dumps({**order, "customer": guest, "note": note}).encode()
        for note in ("First", "Second")
    )
    assert place(first, second).counts == (2, 0, 0)
    assert place(first, second).counts == (0, 2, 0)
    kim = Customer.objects.exclude(pk=customer.pk).get()
    assert (kim.name, Order.objects.filter(customer_id=kim.pk).count()) == ("Kim Example", 2)


def test_a_customer_places_their_own_orders_only(place, customer, product, customer_user):
    other = registered_customer()
    outcome = place(line(customer, product), line(other, product), user="customer")
    assert outcome.counts == (1, 0, 1)
    assert outcome.reports == [f"line 2: There is no customer {other.pk}."]


@pytest.mark.parametrize("path", ["nowhere.jsonl", "."])
def test_an_unreadable_file_is_reported(db, clerk, tmp_path, path):
    with pytest.raises(CommandError, match=r"No such file|Is a directory"):
        call_command("place_orders", user="clerk", file=str(tmp_path / path), stdout=io.StringIO())


def test_a_lost_database_ends_the_command_with_one_line(place, customer, product, monkeypatch):
    def lost(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("server closed\nthe connection")

    monkeypatch.setattr(place_orders.client, "dispatch", lost)
    outcome = place(line(customer, product))
    assert outcome.error == (
        "Stopped at line 1: server closed the connection. Run it again: nothing is placed twice."
    )


def test_ctrl_c_ends_with_a_summary(db, clerk, customer, product, tmp_path, monkeypatch):
    dispatch = place_orders.client.dispatch
    done: list[Any] = []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(dispatch(*args, **kwargs))
        return done[-1]

    monkeypatch.setattr(place_orders.client, "dispatch", interrupted)
    file = tmp_path / "orders.jsonl"
    file.write_bytes(b"\n".join([line(customer, product)] * 5))
    out = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("place_orders", user="clerk", file=str(file), stdout=out)
    assert caught.value.code == 130
    stopped, summary = out.getvalue().splitlines()
    assert stopped == "Stopped. Run it again: what is placed is not placed again."
    assert summary.startswith("placed 2, repeated 0, refused 0 in ")


@pytest.mark.proof
def test_a_killed_command_that_is_run_again_places_no_line_twice(committed, clerk, tmp_path):
    customer, product = registered_customer(), registered_product(1000)
    file = tmp_path / "orders.jsonl"
    file.write_bytes(b"\n".join([line(customer, product)] * 40))
    for enough in (5, 15)[: size(1, full=2)]:
        process = start(file)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while Order.objects.count() < enough and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    out = io.StringIO()
    call_command("place_orders", user="clerk", file=str(file), stdout=out)
    assert re.match(r"placed \d+, repeated \d+, refused 0", out.getvalue())
    assert Order.objects.count() == 40
    check_rows_equal_log()


def start(file: Path) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own, on the database of the tests."""
    code = (
        "import sys, django; from django.conf import settings;"
        "settings.DATABASES['default']['NAME'] = sys.argv[1]; django.setup();"
        "from django.core.management import call_command;"
        "call_command('place_orders', user='clerk', file='-')"
    )
    name = connections["default"].settings_dict["NAME"]
    with file.open("rb") as lines:
        return subprocess.Popen(
            [sys.executable, "-c", code, name],
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=settings.BASE_DIR,
            env=os.environ,
        )
