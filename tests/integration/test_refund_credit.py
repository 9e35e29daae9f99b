"""The policy that refunds the credit owed, and the money of orders of earlier releases."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById, OrderDetail
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import RefundLimitError, VersionConflictError
from ordering_write.models import Order, Timer
from ordering_write.policies import POLICIES
from ordering_write.policies.base import Trigger
from tests import kit
from tests.kit import NOW, check_rows_equal_log
from tests.kit_policies import give, new_order, run_policies

pytestmark = pytest.mark.usefixtures("db")


def refunds_of(order: Order) -> list[Decimal]:
    return [
        event.amount.amount
        for event in log.read_stream(order.stream)
        if isinstance(event, e.RefundRequested)
    ]


def pay(order: Order, amount: str, name: str = "payment-1") -> None:
    give(c.RecordPayment, order, payment_id=name, kind="captured", amount=amount)


def discounted_order() -> Order:
    """Place an order of 39.80 EUR less 10.00, with a tax of 21 %, and pay it: 36.06 EUR."""
    order = new_order(
        adjustments=[
            {"kind": "discount", "label": "Spring", "amount": "10.00"},
            {"kind": "tax", "label": "IVA 21 %", "amount": "6.26", "rate": "21"},
        ]
    )
    pay(order, "36.06")
    return order


def units(order: Order, quantity: int = 1) -> list[dict[str, Any]]:
    [line_id] = order_now(order).lines
    return [{"line_id": line_id, "quantity": quantity}]


def order_now(order: Order) -> Order:
    with transaction.atomic():
        return Order.load(order.pk)


def cancel_a_unit(order: Order) -> None:
    give(c.CancelOrderItems, order, items=units(order), reason="sold out")


def lose_a_unit(order: Order) -> None:
    give(c.ConfirmOrder, order)
    [packed] = give(c.CreateShipment, order, items=units(order))
    give(c.DispatchShipment, order, shipment_id=packed.shipment_id)
    give(c.FailDelivery, order, shipment_id=packed.shipment_id, outcome="lost")


def return_a_unit(order: Order) -> None:
    give(c.UpdateOrderStatus, order, status="confirmed")
    give(c.UpdateOrderStatus, order, status="shipped")
    give(c.UpdateOrderStatus, order, status="delivered")
    [line] = units(order)
    [requested] = give(c.RequestReturn, order, items=[{**line, "reason": "unwanted"}])
    received = [{"line_id": line["line_id"], "restock": 1}]
    give(c.ReceiveReturn, order, return_id=requested.return_id, items=received)


def pay_too_much(order: Order) -> None:
    pay(order, "18.03", name="payment-2")


def cancel(order: Order) -> None:
    give(c.CancelOrder, order, reason="not wanted")


CAUSES = {
    "a cancelled unit": (cancel_a_unit, "18.03"),
    "a lost unit": (lose_a_unit, "18.03"),
    "a returned unit": (return_a_unit, "18.03"),
    "a payment too high": (pay_too_much, "18.03"),
    "a cancelled order": (cancel, "36.06"),
}


@pytest.mark.parametrize(
    ("setting", "refunded"),
    [
        ("always", set(CAUSES)),
        ("cancelled_and_returned", {"a returned unit", "a cancelled order"}),
        ("never", set()),
    ],
)
def test_the_credit_is_refunded_for_the_causes_that_the_setting_names(
    settings: Any, subtests: pytest.Subtests, setting: str, refunded: set[str]
) -> None:
    settings.REFUND_CREDIT = setting
    for name, (cause, amount) in CAUSES.items():
        with subtests.test(cause=name):
            order = discounted_order()
            cause(order)

            run_policies(NOW)
            run_policies(NOW)

            assert refunds_of(order) == ([Decimal(amount)] if name in refunded else [])
    check_rows_equal_log()


def test_a_requested_refund_is_not_requested_again() -> None:
    order = discounted_order()
    cancel_a_unit(order)
    give(c.RequestRefund, order, amount="18.03", reason="sold out")

    run_policies(NOW)

    assert refunds_of(order) == [Decimal("18.03")]


def test_a_failed_refund_is_left_to_people_and_part_of_the_next_credit() -> None:
    order = discounted_order()
    cancel_a_unit(order)
    run_policies(NOW)
    [refund_id] = order_now(order).refunds
    give(c.RecordRefund, order, refund_id=refund_id, outcome="failed")
    run_policies(NOW)
    assert refunds_of(order) == [Decimal("18.03")]

    cancel(order)
    run_policies(NOW)

    assert refunds_of(order) == [Decimal("18.03"), Decimal("36.06")]


def test_a_failed_refund_is_not_repeated_when_another_refund_settles() -> None:
    order = discounted_order()
    cancel_a_unit(order)
    run_policies(NOW)
    [refund_id] = order_now(order).refunds
    give(c.RecordRefund, order, refund_id=refund_id, outcome="failed")
    [_, goodwill] = give(c.GrantGoodwill, order, amount="5.00", reason="late")

    give(c.RecordRefund, order, refund_id=goodwill.refund_id, outcome="settled")
    run_policies(NOW)

    assert refunds_of(order) == [Decimal("18.03"), Decimal("5.00")]
    assert order_now(order).balance == Decimal("-18.03")


def test_the_credit_of_a_reversal_before_its_chargeback_is_not_refunded() -> None:
    order = discounted_order()
    fact = {"payment_id": "payment-1", "amount": "36.06"}

    give(c.RecordPayment, order, kind="chargeback_reversed", **fact)
    run_policies(NOW)
    give(c.RecordPayment, order, kind="chargeback", **fact)
    run_policies(NOW)

    assert refunds_of(order) == []
    assert order_now(order).balance == 0


def test_the_policy_does_not_refund_a_credit_that_has_changed() -> None:
    order = discounted_order()
    cancel_a_unit(order)
    event = log.read_stream(order.stream)[-1]
    policy = POLICIES["refund_credit"]
    commands = policy.act(Trigger(policy=policy, event=event, now=NOW, key=uuid7()))
    assert isinstance(commands, list)
    give(c.RequestRefund, order, amount="18.03", reason="sold out")

    with pytest.raises(VersionConflictError):
        kit.dispatch(commands[0])


@pytest.mark.parametrize("name", ["refund_cancelled", "refund_returned"])
def test_a_timer_of_an_earlier_release_is_fired(name: str) -> None:
    order = discounted_order()
    cancel_a_unit(order)
    run_policies(NOW - timedelta(days=1))
    assert Timer.objects.filter(policy="refund_credit").update(policy=name) == 1

    run_policies(NOW)

    assert refunds_of(order) == [Decimal("18.03")]
    assert not Timer.objects.exists()


# --- Goodwill ----------------------------------------------------------------------------------
def test_goodwill_is_refunded_once_and_a_later_return_whole() -> None:
    order = discounted_order()
    granted, requested = give(c.GrantGoodwill, order, amount="5.00", reason="late")
    assert (granted.kind, granted.reason, granted.total.amount) == (
        "goodwill",
        "late",
        Decimal("31.06"),
    )
    give(c.RecordRefund, order, refund_id=requested.refund_id, outcome="settled")
    assert order_now(order).balance == 0

    return_a_unit(order)
    run_policies(NOW)

    assert refunds_of(order) == [Decimal("5.00"), Decimal("18.03")]
    check_rows_equal_log()


def test_a_clerk_grants_goodwill_up_to_the_limit(settings: Any) -> None:
    settings.REFUND_LIMITS = {"EUR": Decimal(8)}
    order = new_order()
    give(c.GrantGoodwill, order, amount="5.00", reason="late", privileges=[])

    with pytest.raises(RefundLimitError):
        give(c.GrantGoodwill, order, amount="5.00", reason="late", privileges=[])


# --- Orders of earlier releases ----------------------------------------------------------------
def make_old(order: Order) -> None:
    """Make the rows and the events of ``order`` as an earlier release stored them."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE event DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE event SET data = data - 'price' - 'total_before' WHERE stream = %s",
            [order.stream],
        )
        cursor.execute("ALTER TABLE event ENABLE TRIGGER USER")
        table = Order._meta.db_table
        cursor.execute(
            f"UPDATE {table} SET adjustments = NULL, charges = NULL WHERE id = %s",
            [order.pk],
        )
        cursor.execute(
            "UPDATE ordering_write_orderitem SET price = NULL, line_total = 39.80 "
            "WHERE order_id = %s",
            [order.pk],
        )


def test_an_order_of_an_earlier_release_is_returned_with_right_money() -> None:
    order = discounted_order()
    make_old(order)
    check_rows_equal_log()

    return_a_unit(order)
    run_policies(NOW)

    assert refunds_of(order) == [Decimal("18.03")]
    assert order_now(order).total == Decimal("18.03")
    check_rows_equal_log()


# --- Readers -----------------------------------------------------------------------------------
def test_a_receipt_adds_up_as_printed() -> None:
    order = discounted_order()
    give(c.GrantGoodwill, order, amount="5.00", reason="late")
    cancel_a_unit(order)

    detail = shown(order)

    [line] = detail.items
    assert (line.list_value, line.discount, line.line_total) == (
        Decimal("19.90"),
        Decimal("5.00"),
        Decimal("14.90"),
    )
    [tax] = line.taxes
    assert (tax.label, tax.rate, tax.base, tax.amount) == (
        "IVA 21 %",
        Decimal(21),
        Decimal("14.90"),
        Decimal("3.13"),
    )
    assert detail.sums.model_dump() == {
        "list_value": Decimal("19.90"),
        "discount": Decimal("5.00"),
        "charges": 0,
        "tax": Decimal("3.13"),
        "included_tax": 0,
        "goodwill": Decimal("5.00"),
    }
    assert detail.total_amount == Decimal("13.03")


def test_the_receipt_of_an_order_of_an_earlier_release_adds_up() -> None:
    order = discounted_order()
    make_old(order)

    detail = shown(order)

    assert detail.charges is None
    assert detail.sums.model_dump() == {
        "list_value": Decimal("39.80"),
        "discount": Decimal("10.00"),
        "charges": 0,
        "tax": Decimal("6.26"),
        "included_tax": 0,
        "goodwill": 0,
    }


def shown(order: Order) -> OrderDetail:
    query = GetOrderById(order_id=order.pk, consistency="strong")
    detail: OrderDetail = get_query_bus().dispatch(query)
    return detail
