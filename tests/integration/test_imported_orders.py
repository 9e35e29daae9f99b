"""Imported orders: their facts, and what their readers, the stock and the policies make of them."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command

from config.accounts.models import User
from ordering_read.models import OrderSummary
from ordering_read.models.sales_by_day import SalesByDay
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.models import Customer, Order, OutboxEvent, StockItem, Timer
from tests.kit import check_rows_equal_log, placed_order, registered_product
from tests.kit_admin import run_projections
from tests.kit_imports import (
    DELIVERED,
    PLACED,
    WHOLE_LIFE,
    import_lines,
    imported_order,
    levels,
    line,
    units,
)
from tests.kit_policies import give, run_policies

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def lamp(db: None) -> StockItem:
    return registered_product(10, sku="LAMP-1")


@pytest.fixture
def run(tmp_path: Path, integration: User) -> Run:
    """``run(line, …)`` imports the lines as an integration; see ``import_lines``."""
    return partial(import_lines, tmp_path)


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


def test_units_that_require_no_shipping_were_sent_too(db: None, run: Run):
    registered_product(sku="EBOOK-1", requires_shipping=False)
    item = {"sku": "EBOOK-1", "quantity": 1, "unit_price": "5.00"}

    assert run(line(items=[item], **DELIVERED)).reports == []
    assert imported_order().status == "delivered"


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


def test_facts_that_are_repeated_are_recorded_once(run: Run, lamp: StockItem):
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


@pytest.mark.parametrize(
    ("currency", "price", "discount", "tax", "credit"),
    [("JPY", "101", "10", "29", "108"), ("KWD", "1.001", "0.100", "0.291", "1.065")],
)
def test_amounts_have_the_minor_units_of_their_currency(
    run: Run,
    lamp: StockItem,
    currency: str,
    price: str,
    discount: str,
    tax: str,
    credit: str,
):
    adjustments = [
        {"kind": "discount", "label": "Sale", "amount": discount},
        {"kind": "tax", "label": "Tax", "amount": tax},
    ]
    back = [{"items": units(1), "received_at": "2019-05-20T10:00:00Z"}]
    item = {"sku": "LAMP-1", "quantity": 3, "unit_price": price}
    run(
        line(currency=currency, items=[item], adjustments=adjustments, returns=back, **DELIVERED),
    )

    order = imported_order()
    whole = 3 * Decimal(price) - Decimal(discount) + Decimal(tax)
    assert whole - order.total == Decimal(credit)


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
