"""The attention that the money of an order needs, and its end."""

from decimal import Decimal

import pytest

from ordering_write.domain.errors import NoAttentionNeededError
from ordering_write.domain.events import Attention, AttentionResolved, PaymentKind
from ordering_write.models import Order
from tests.kit import NOW, event, given, placed


def record_fact(order: Order, kind: PaymentKind, amount: str, reference: str) -> None:
    order.record_payment("p", kind, Decimal(amount), reference=reference, at=NOW)


def test_a_resolved_reason_is_given_again_by_the_next_cause() -> None:
    order = Order.fold(placed(3))
    record_fact(order, PaymentKind.CAPTURED, "59.70", "capture")
    record_fact(order, PaymentKind.CHARGEBACK, "10.00", "dispute-1")
    order.resolve_attention("The bank is asked", now=NOW)
    assert Attention.CHARGEBACK not in order.attention

    record_fact(order, PaymentKind.CHARGEBACK_REVERSED, "10.00", "dispute-1")
    assert Attention.CHARGEBACK not in order.attention
    record_fact(order, PaymentKind.CHARGEBACK, "5.00", "dispute-2")
    assert Attention.CHARGEBACK in order.attention


def test_a_reversal_before_its_chargeback_needs_attention_and_is_no_credit_to_refund() -> None:
    order = Order.fold(placed(3))
    record_fact(order, PaymentKind.CAPTURED, "69.70", "capture")
    assert order.unheld_credit == Decimal("10.00")

    record_fact(order, PaymentKind.CHARGEBACK_REVERSED, "59.70", "reversal")
    assert Attention.CHARGEBACK in order.attention
    assert (order.credit, order.unheld_credit) == (Decimal("69.70"), Decimal("10.00"))

    record_fact(order, PaymentKind.CHARGEBACK, "59.70", "dispute")
    assert Attention.CHARGEBACK not in order.attention
    assert (order.credit, order.unheld_credit) == (Decimal("10.00"), Decimal("10.00"))


def test_all_reasons_given_are_resolved_together() -> None:
    past = placed(3)
    order = Order.fold(past)
    record_fact(order, PaymentKind.AUTHORIZED, "5.00", "authorization")
    record_fact(order, PaymentKind.CAPTURED, "20.00", "capture")
    record_fact(order, PaymentKind.CHARGEBACK, "10.00", "dispute-1")

    given(*past, *order.pending_events).when(
        lambda order: order.resolve_attention("The bank is asked", now=NOW)
    ).then(
        event(
            AttentionResolved,
            reasons=[Attention.OVER_CAPTURED, Attention.CHARGEBACK],
            note="The bank is asked",
            attention=(),
        )
    )


def test_an_order_without_concerns_needs_no_attention() -> None:
    with pytest.raises(NoAttentionNeededError):
        Order.fold(placed(1)).resolve_attention("Fine", now=NOW)
