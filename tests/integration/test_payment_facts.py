"""Payments and refunds in the database: rows of earlier releases, statements, bounces."""

import json
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.models import Order
from tests.kit import NOW, check_rows_equal_log
from tests.kit_policies import Gateway, give, later_event_types, new_order, plug, run_policies

pytestmark = pytest.mark.usefixtures("db")

PAID = {"payment_id": "p", "kind": "captured", "amount": "20.00"}


def load(order: Order) -> tuple[Order, int]:
    """Return the order as it is now, and the number of statements that loaded the order."""
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        loaded = Order.load(order.pk)
    return loaded, len(queries)


def store_as_earlier_release(order: Order) -> None:
    """Store the payments and refunds of ``order`` as an earlier release did."""
    loaded, _ = load(order)
    payments = {
        key: {kind: amount for kind, amount in payment.items() if kind != "facts"}
        for key, payment in loaded.payments.items()
    }
    refunds = {
        key: {name: refund[name] for name in ("amount", "status")}
        for key, refund in loaded.refunds.items()
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {Order._meta.db_table} SET payments = %s, refunds = %s WHERE id = %s",
            [json.dumps(payments), json.dumps(refunds), order.pk],
        )


def test_facts_that_an_earlier_release_left_out_are_read_from_the_log() -> None:
    order = new_order()
    give(c.RecordPayment, order, reference="capture-1", **PAID)
    give(c.RecordRefund, order, outcome="settled", amount="5.00", reference="re_1")
    kept, statements = load(order)
    store_as_earlier_release(order)
    read, more_statements = load(order)

    assert (read.payments, read.refunds) == (kept.payments, kept.refunds)
    assert more_statements == statements + 1
    check_rows_equal_log()
    assert give(c.RecordPayment, order, reference="capture-1", **PAID) == []
    assert give(c.RecordRefund, order, outcome="settled", amount="5.00", reference="re_1") == []
    give(c.RecordPayment, order, reference="capture-2", **PAID)
    assert load(order)[1] == statements
    check_rows_equal_log()


def test_adjustments_that_a_row_keeps_are_not_read_from_the_log() -> None:
    order = new_order(adjustments=[{"kind": "discount", "label": "Spring", "amount": "5.00"}])
    give(c.RecordPayment, order, reference="capture-1", **PAID)
    [adjustment] = load(order)[0].adjustments or []
    adjustment_id = adjustment["adjustment_id"]
    give(c.RemoveAdjustment, order, adjustment_id=adjustment_id)
    kept, _ = load(order)
    store_as_earlier_release(order)

    assert load(order)[0].adjustments == kept.adjustments
    check_rows_equal_log()


def test_a_bounced_refund_is_not_requested_again(settings) -> None:
    plug(settings, payment=Gateway)
    order = new_order()
    give(c.RecordPayment, order, **PAID | {"amount": "39.80"})
    give(c.CancelOrder, order, reason="Not needed")
    run_policies(NOW)
    [bounced] = give(
        c.RecordRefund, order, outcome="failed", amount="39.80", reference="refund-1", reason="shut"
    )
    run_policies(NOW)

    assert isinstance(bounced, e.RefundBounced)
    assert bounced.attention == ("refund_failed",)
    assert load(order)[0].balance == Decimal("-39.80")
    assert later_event_types(order)[-4:] == [
        "OrderCancelled",
        "RefundRequested",
        "RefundSettled",
        "RefundBounced",
    ]
    check_rows_equal_log()


def test_the_rest_of_a_partly_captured_authorization_is_voided(settings) -> None:
    plug(settings, payment=Gateway)
    order = new_order()
    give(c.RecordPayment, order, payment_id="p", kind="authorized", amount="39.80")
    give(c.RecordPayment, order, **PAID)
    give(c.CancelOrder, order, reason="Not needed")
    run_policies(NOW)

    [request] = Gateway.calls("void")
    assert request["amount"].amount == Decimal("19.80")
    assert load(order)[0].authorized == 0
    assert not [event for event in log.read_stream(order.stream) if event.type == "RefundFailed"]
