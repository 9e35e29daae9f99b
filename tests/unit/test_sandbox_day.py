"""A recorded day of the sandbox gateway, in any order and repeated: the books are the same."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.handlers import handler_of
from ordering_write.models import Order
from ordering_write.ports.sandbox_payment import Message
from tests.kit import USER
from tests.kit_sandbox import ORDERS, order_of_the_day, recorded_day
from tests.proof import size

MESSAGES = recorded_day()
EVENING = max(message.happened_at for message in MESSAGES) + timedelta(hours=1)


def record_message(order: Order, message: Message) -> None:
    report = message.report()
    envelope = {"user_id": USER, "timestamp": EVENING}
    command = report.command.model_validate({**report.payload, **envelope})
    handler: Any = handler_of(report.command)
    handler.act(order, command)


def books_after(messages: Iterable[Message]) -> dict[UUID, dict[str, Any]]:
    """Return the books of each order after these messages."""
    orders = {order_id: order_of_the_day(order_id) for order_id in ORDERS}
    for message in messages:
        record_message(orders[message.order_id], message)
    return {order_id: books(order) for order_id, order in orders.items()}


def books(order: Order) -> dict[str, Any]:
    refunds = [(refund["amount"], refund["status"]) for refund in order.refunds.values()]
    return {
        "authorized": order.authorized,
        "captured": order.captured,
        "refunded": order.refunded,
        "balance": order.balance,
        "payment_status": order.payment_status(),
        "attention": order.attention,
        "requested": order.requested_refunds,
        "refunds": Counter(refund for refund in refunds if refund[1] != "failed"),
    }


IN_ORDER = books_after(MESSAGES)


def test_the_day_has_every_kind_of_message() -> None:
    assert {message.type for message in MESSAGES} == {
        "payment.authorized",
        "payment.captured",
        "payment.voided",
        "payment.failed",
        "payment.chargeback",
        "refund.settled",
        "refund.failed",
    }
    attention = {reason for order_books in IN_ORDER.values() for reason in order_books["attention"]}
    assert attention >= {"chargeback"}


@pytest.mark.proof
@settings(max_examples=size(40, full=2_000), deadline=None)
@given(st.data())
def test_a_day_of_webhooks_ends_in_the_same_books_in_any_order(data: st.DataObject) -> None:
    times = data.draw(st.lists(st.integers(1, 3), min_size=len(MESSAGES), max_size=len(MESSAGES)))
    sent = [message for message, count in zip(MESSAGES, times, strict=True) for _ in range(count)]

    assert books_after(data.draw(st.permutations(sent))) == IN_ORDER
