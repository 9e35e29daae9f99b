"""`manage.py import_orders`: orders of the past, with their numbers, times and facts."""

import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from config.accounts.models import User
from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.handlers.order import creating
from ordering_write.models import CommandRecord, Customer, Order, OutboxEvent, StockItem, Timer
from tests.kit import ADDRESS, check_rows_equal_log, placed_order, registered_product
from tests.kit_admin import run_projections
from tests.kit_policies import give, run_policies

Run = Callable[..., SimpleNamespace]

PLACED = "2019-05-01T23:30:00+00:00"


@pytest.fixture
def lamp(db: None) -> StockItem:
    return registered_product(10, sku="LAMP-1")


@pytest.fixture
def run(tmp_path: Path, integration: User) -> Run:
    """``run(line, …)`` imports the lines and returns the output and the error of the command."""

    def run(*lines: Mapping[str, Any] | str, user: str = "integration") -> SimpleNamespace:
        file = tmp_path / "history.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("\n".join(texts))
        out, error = io.StringIO(), ""
        try:
            call_command("import_orders", user=user, file=str(file), stdout=out)
        except CommandError as caught:
            error = str(caught)
        *reports, summary = out.getvalue().splitlines()
        return SimpleNamespace(reports=reports, counts=summary.partition(" in ")[0], error=error)

    return run


def line(**fields: Any) -> dict[str, Any]:
    """An imported order of three lamps at 10.00, which only was placed."""
    return {
        "number": "1001",
        "customer": {"name": "Robin Sample", "email": "robin@example.com"},
        "placed_at": PLACED,
        "currency": "EUR",
        "items": [{"sku": "LAMP-1", "quantity": 3, "unit_price": "10.00"}],
        "shipping_address": ADDRESS,
        "status": "pending",
        **fields,
    }


def units(quantity: int, line: int = 1) -> list[dict[str, int]]:
    return [{"line": line, "quantity": quantity}]


DELIVERED = {
    "status": "delivered",
    "shipments": [
        {"dispatched_at": "2019-05-04T10:00:00Z", "delivered_at": "2019-05-06T10:00:00Z"}
    ],
}
# Of three lamps, one was cancelled, one arrived and came back, and one got lost.
WHOLE_LIFE = line(
    status="completed",
    payments=[{"payment_id": "p-1", "amount": "30.00", "happened_at": "2019-05-02T10:00:00Z"}],
    cancellations=[{"items": units(1), "happened_at": "2019-05-03T10:00:00Z"}],
    shipments=[
        {
            "items": units(1),
            "carrier": "Sample Post",
            "tracking_number": "SP1",
            "dispatched_at": "2019-05-04T10:00:00Z",
            "delivered_at": "2019-05-06T10:00:00Z",
        },
        {
            "items": units(1),
            "dispatched_at": "2019-05-04T11:00:00Z",
            "failed_at": "2019-05-07T10:00:00Z",
        },
    ],
    returns=[
        {
            "items": [{"line": 1, "quantity": 1, "damaged": 1}],
            "reason": "damaged",
            "received_at": "2019-05-20T10:00:00Z",
        }
    ],
    refunds=[{"amount": "30.00", "reference": "re-1", "happened_at": "2019-05-21T10:00:00Z"}],
    note="Came by telephone",
    tags=["gift"],
)


def imported_order(number: str = "1001") -> Order:
    with transaction.atomic():
        return Order.load(Order.objects.get(order_number=number).pk)


def levels(product: StockItem) -> tuple[int, int]:
    product.refresh_from_db()
    return product.on_hand, product.reserved


def events_of(order: Order) -> list[Any]:
    return log.read_stream(order.stream)


# --- What is imported --------------------------------------------------------------------------
def test_an_order_has_the_times_of_its_facts_and_the_channel_import(run: Run, lamp: StockItem):
    assert run(WHOLE_LIFE).counts == "imported 1, repeated 0, refused 0"

    events = events_of(imported_order())
    assert {event.recorded.channel for event in events} == {"import"}
    assert [(event.type, event.timestamp.isoformat()[:16]) for event in events] == [
        ("OrderCreated", "2019-05-01T23:30"),
        ("OrderItemAdded", "2019-05-01T23:30"),
        ("OrderTagged", "2019-05-01T23:30"),
        ("NoteAdded", "2019-05-01T23:30"),
        ("OrderStatusChanged", "2019-05-01T23:30"),
        ("PaymentRecorded", "2019-05-02T10:00"),
        ("OrderItemsCancelled", "2019-05-03T10:00"),
        ("ShipmentCreated", "2019-05-04T10:00"),
        ("ShipmentDispatched", "2019-05-04T10:00"),
        ("ShipmentCreated", "2019-05-04T11:00"),
        ("ShipmentDispatched", "2019-05-04T11:00"),
        ("ShipmentDelivered", "2019-05-06T10:00"),
        ("ShipmentFailed", "2019-05-07T10:00"),
        ("ReturnRequested", "2019-05-20T10:00"),
        ("ReturnReceived", "2019-05-20T10:00"),
        ("RefundRequested", "2019-05-21T10:00"),
        ("RefundSettled", "2019-05-21T10:00"),
        ("OrderStatusChanged", "2019-05-21T10:00"),
    ]


def test_an_order_ends_as_its_facts_say(run: Run, lamp: StockItem):
    run(WHOLE_LIFE)

    order = imported_order()
    [row] = order.lines.values()
    assert order.status == "completed"
    assert order.captured == order.refunded == 30
    assert order.total == order.balance == 0
    assert (row.cancelled, row.delivered, row.failed, row.returned) == (1, 1, 1, 1)
    assert order.expires_at is None
    check_rows_equal_log()


def test_what_has_left_moves_no_stock_and_no_policy_acts(run: Run, lamp: StockItem):
    paid_too_much = [{"amount": "99.00", "happened_at": PLACED}]
    run(WHOLE_LIFE, line(number="1002", payments=paid_too_much, **DELIVERED))
    run_policies(datetime.now(UTC))

    assert levels(lamp) == (10, 0)
    assert OutboxEvent.objects.filter(stream=lamp.stream).count() == lamp.version
    assert not Timer.objects.exists()
    orders = OutboxEvent.objects.filter(stream__startswith="order")
    assert set(orders.values_list("channel", flat=True)) == {"import"}


def test_units_that_are_still_to_be_sent_are_reserved(run: Run, lamp: StockItem):
    outcome = run(
        line(),
        line(
            number="1002",
            status="partially_shipped",
            shipments=[{"items": units(1), "dispatched_at": PLACED}],
        ),
        line(
            number="1003",
            items=[
                {"sku": sku, "quantity": 3, "unit_price": "1.00"} for sku in ("lamp-1", "Lamp-1")
            ],
        ),
    )

    assert levels(lamp) == (10, 5)
    assert outcome.reports == [
        "line 3: Insufficient inventory: 3 requested of LAMP-1, 2 available."
    ]
    check_rows_equal_log()


def test_policies_act_on_what_happens_after_the_import(run: Run, lamp: StockItem):
    run(line(payments=[{"amount": "30.00", "happened_at": PLACED}]))
    order = imported_order()

    give(c.CancelOrder, order, reason="Forgotten")
    run_policies(datetime.now(UTC))

    assert levels(lamp) == (10, 0)
    assert "RefundRequested" in [event.type for event in events_of(order)]
    check_rows_equal_log()


def test_units_that_come_back_after_the_import_go_to_the_shelf(run: Run, lamp: StockItem):
    run(line(**DELIVERED))
    order = imported_order()

    back = {"line_id": next(iter(order.lines)), "quantity": 2, "reason": "unwanted"}
    soon = datetime(2019, 5, 20, tzinfo=UTC)
    [requested] = give(c.RequestReturn, order, items=[back], timestamp=soon)
    received = [{"line_id": back["line_id"], "restock": 2}]
    give(c.ReceiveReturn, order, return_id=requested.return_id, items=received)

    assert levels(lamp) == (12, 0)


def test_a_refund_beyond_the_credit_is_goodwill(run: Run, lamp: StockItem):
    run(
        line(
            payments=[{"amount": "30.00", "happened_at": PLACED}],
            refunds=[{"amount": "5.00", "reason": "sorry", "happened_at": PLACED}],
        )
    )

    order = imported_order()
    assert order.total == 25
    assert order.balance == 0
    assert order.payment_status() == "partially_refunded"


def test_facts_that_are_told_twice_are_recorded_once(run: Run, lamp: StockItem):
    paid = {"payment_id": "p-1", "amount": "30.00", "reference": "c-1", "happened_at": PLACED}
    refund = {"amount": "5.00", "reference": "re-1", "happened_at": PLACED}

    outcome = run(
        line(payments=[paid, paid], refunds=[refund, refund]),
        line(number="1002", payments=[paid], refunds=[refund, {**refund, "amount": "6.00"}]),
    )

    order = imported_order()
    assert order.captured == 30
    assert order.refunded == 5
    [report] = outcome.reports
    assert report.startswith("line 2: #/refunds/1: ")


def test_captures_of_one_authorization_add_up(run: Run, lamp: StockItem):
    facts = [
        ("authorized", "30.00", "a-1"),
        ("captured", "10.00", "c-1"),
        ("captured", "10.00", "c-2"),
    ]
    run(
        line(
            payments=[
                {
                    "payment_id": "p-1",
                    "kind": kind,
                    "amount": amount,
                    "reference": reference,
                    "happened_at": PLACED,
                }
                for kind, amount, reference in facts
            ]
        )
    )

    order = imported_order()
    assert order.captured == 20
    assert order.authorized == 10


def test_metadata_and_the_po_number_are_kept(run: Run, lamp: StockItem):
    item = {"sku": "LAMP-1", "quantity": 1, "unit_price": "1.00", "metadata": {"bin": "A3"}}
    run(line(items=[item], po_number="PO-1", metadata={"shop": "old"}))

    order = imported_order()
    [row] = order.lines.values()
    assert (order.po_number, order.metadata, row.metadata) == (
        "PO-1",
        {"shop": "old"},
        {"bin": "A3"},
    )
    check_rows_equal_log()


def test_a_customer_is_found_by_the_address_or_registered(run: Run, lamp: StockItem):
    robin = {"name": "Robin Renamed", "email": "ROBIN@example.com"}
    run(line(), line(number="1002", customer=robin))

    customer = Customer.objects.get()
    assert (customer.name, Order.objects.filter(customer_id=customer.pk).count()) == (
        "Robin Sample",
        2,
    )
    # An order keeps the name that its customer had then.
    assert events_of(imported_order("1002"))[0].customer.name == "Robin Renamed"


def test_clocks_of_the_past_may_have_differed(run: Run, lamp: StockItem):
    dirty = {"dispatched_at": "2019-05-04T10:00:00Z", "delivered_at": "2019-05-04T09:00:00Z"}
    early = {"amount": "30.00", "happened_at": "1999-12-31T23:59:59Z"}

    outcome = run(line(status="delivered", shipments=[dirty], payments=[early]))

    assert outcome.reports == []
    assert imported_order().delivered_at == datetime(2019, 5, 4, 9, tzinfo=UTC)


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
    known = line(external_reference="till-1")
    run(known)

    outcome = run(
        line(external_reference="till-1", note="Another"),
        line(number="1002", external_reference="TILL-1"),
        "",
        line(number="1003"),
    )
    assert outcome.reports == [
        "line 1: The order 1001 was imported before, with another content.",
        "line 2: #/external_reference: There is an order with the external reference 'TILL-1'.",
    ]
    assert (outcome.counts, outcome.error) == (
        "imported 1, repeated 0, refused 2",
        "2 lines were refused.",
    )
    # Another user can't import it again either.
    assert run(known, user=admin_user.username).reports == [
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
    "no number": ({"number": ""}, "#/number: "),
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
    monkeypatch.setattr(creating, "_next_order_number", lambda _command: numbers.pop(0))

    assert placed_order(customer, (product, 1)).order_number == "2026-900000"


# --- Readers -----------------------------------------------------------------------------------
def test_reports_book_the_days_of_the_facts(run: Run, lamp: StockItem, customer: Customer):
    placed_order(customer, (lamp, 1))
    run(WHOLE_LIFE)
    run_projections()

    days = {row.day: row for row in SalesByDay.live.filter(day__year=2019)}
    # Half past eleven in the evening, in UTC, is the next day in the store.
    assert (days[date(2019, 5, 2)].gross, days[date(2019, 5, 2)].orders) == (30, 1)
    assert days[date(2019, 5, 3)].cancelled == 10
    assert days[date(2019, 5, 7)].refunded == 10
    assert days[date(2019, 5, 20)].refunded == 10
    row = OrderSummary.live.get(order_number="1001")
    assert (row.placed_on, row.status, row.balance) == (date(2019, 5, 2), "completed", 0)


def test_the_history_of_an_imported_order_is_read_at_every_version(run: Run, lamp: StockItem):
    run(WHOLE_LIFE)
    run_projections()
    order = imported_order()

    def shown(**when: Any) -> Any:
        return get_query_bus().dispatch(GetOrderById(order_id=order.pk, **when))

    assert [shown(version=version).status for version in (1, 5, 9, order.version)] == [
        "pending",
        "confirmed",
        "partially_shipped",
        "completed",
    ]
    assert shown().order_number == shown(as_of=datetime.now(UTC)).order_number == "1001"
    call_command("verify_projections", verbosity=0)


def test_a_log_with_imports_has_no_findings(committed: None, run: Run):
    registered_product(sku="LAMP-1")
    run(WHOLE_LIFE, line(number="1002"))

    call_command("verify_log", verbosity=0, stdout=io.StringIO())


# --- The page ----------------------------------------------------------------------------------
def test_the_examples_of_the_page_are_imported(db: None, run: Run) -> None:
    registered_product(sku="CHAIR-1")
    page = (settings.BASE_DIR / "docs/how-to/load-files.md").read_text()
    [example] = re.findall(r"```jsonl\n(.+?)```", page, re.DOTALL)

    assert run(example).counts == "imported 2, repeated 0, refused 0"
    returned = imported_order("2024-000017")
    assert returned.status == "completed"
    assert returned.balance == 0
    assert returned.total == Decimal("57.79")
    assert imported_order("2024-000018").status == "cancelled"
    assert run(example).counts == "imported 0, repeated 2, refused 0"
