"""Refunds are known by their ids and by the gateway's references, in whatever order they come."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordering_write.domain.errors import (
    AmountMissingError,
    PaymentMismatchError,
    RefundNotFoundError,
)
from ordering_write.domain.events import Attention, PaymentKind, RefundBounced, RefundSettled
from ordering_write.models import Order
from tests.kit import NOW, placed, state
from tests.proof import size

PAID = Decimal("59.70")
A, B = UUID(int=1), UUID(int=2)


class Report(NamedTuple):
    """A report of the gateway. Requests are named by id or by reference, or by both."""

    outcome: str
    refund_id: UUID | None = None
    reference: str = ""
    amount: Decimal | None = None
    minutes: int = 0


def past_with(*requests: tuple[UUID, str]) -> list[Any]:
    """Return the events of a paid order with open requests, by their ids and amounts."""
    past = placed(3)
    order = Order.fold(past)
    order.record_payment("p", PaymentKind.CAPTURED, PAID, at=NOW)
    for number, (refund_id, amount) in enumerate(requests):
        now = NOW + timedelta(seconds=number)
        order.request_refund(Decimal(amount), "Scratched", refund_id=refund_id, now=now)
    return [*past, *order.pending_events]


def order_with(*requests: tuple[UUID, str]) -> Order:
    return Order.fold(past_with(*requests))


def record_report(order: Order, report: Report) -> None:
    """Record a report, as the handler of RecordRefund does."""
    refund_id = order.reported_refund_id(
        report.refund_id, reference=report.reference, amount=report.amount, new_id=uuid4()
    )
    fields: dict[str, Any] = {
        "amount": report.amount,
        "reference": report.reference,
        "at": NOW + timedelta(minutes=1 + report.minutes),
    }
    record = order.settle_refund if report.outcome == "settled" else order.fail_refund
    record(refund_id, **fields)
    if report.refund_id is not None:
        has_failed = report.outcome == "failed"
        order.close_request(report.refund_id, refund_id, has_failed=has_failed, at=NOW)


def forget_events(order: Order) -> None:
    assert order.pending_events


def statuses(order: Order) -> Counter[tuple[str, str]]:
    """Return how many refunds there are of each amount and status."""
    return Counter((refund["amount"], refund["status"]) for refund in order.refunds.values())


TEN, ZERO = Decimal("10.00"), Decimal(0)
BY_ID = Report("settled", A, "re_1")
ALONE = Report("settled", None, "re_1", TEN)


@pytest.mark.parametrize("first", [BY_ID, ALONE], ids=["by id", "by reference"])
@pytest.mark.parametrize("second", [BY_ID, ALONE], ids=["by id", "by reference"])
def test_a_refund_known_by_id_and_by_reference_is_one_refund(first: Report, second: Report) -> None:
    order = order_with((A, "10.00"))
    for report in (first, second, first):
        record_report(order, report)

    assert order.refunded == TEN
    assert statuses(order) == {("10.00", "settled"): 1}


def test_a_reference_alone_belongs_to_the_oldest_open_request_of_its_amount() -> None:
    order = order_with((B, "5.00"), (UUID(int=9), "10.00"), (A, "10.00"))
    record_report(order, ALONE)

    assert [order.refunds[str(key)]["status"] for key in (A, B, UUID(int=9))] == [
        "requested",
        "requested",
        "settled",
    ]


def test_a_reference_of_another_amount_is_a_refund_of_its_own() -> None:
    order = order_with((A, "10.00"))
    record_report(order, Report("settled", None, "re_1", Decimal("4.00")))

    assert statuses(order) == {("10.00", "requested"): 1, ("4.00", "settled"): 1}


def test_a_reference_known_as_another_refund_closes_the_request() -> None:
    order = order_with((A, "10.00"))
    record_report(order, Report("settled", None, "re_1", Decimal("4.00")))
    record_report(order, Report("settled", A, "re_1"))

    assert statuses(order) == {("10.00", "failed"): 1, ("4.00", "settled"): 1}
    assert (order.refunded, order.requested_refunds) == (Decimal("4.00"), ZERO)


def test_two_requests_of_one_amount_are_settled_in_any_order() -> None:
    reports = [
        Report("settled", A, "re_a"),
        Report("settled", B, "re_b"),
        Report("settled", None, "re_a", TEN),
        Report("settled", None, "re_b", TEN),
    ]
    for order_of_reports in permutations(reports):
        order = order_with((A, "10.00"), (B, "10.00"))
        for report in order_of_reports:
            record_report(order, report)
        assert statuses(order) == {("10.00", "settled"): 2}
        assert order.refunded == 2 * TEN


def test_a_settled_refund_that_fails_bounces_and_is_owed_again() -> None:
    order = order_with()
    order.cancel("Not needed", now=NOW)
    order.request_refund(PAID, "cancelled", refund_id=A, now=NOW)
    record_report(order, Report("settled", A, "re_1"))
    assert (order.balance, order.credit) == (ZERO, ZERO)
    forget_events(order)
    record_report(order, Report("failed", A, "re_1"))
    record_report(order, Report("failed", None, "re_1", PAID))

    [bounced] = order.pending_events
    assert isinstance(bounced, RefundBounced)
    assert (bounced.amount.amount, bounced.reference) == (PAID, "re_1")
    assert (order.refunded, order.balance, order.credit) == (ZERO, -PAID, PAID)
    assert order.attention == (Attention.REFUND_FAILED,)
    # Another attempt by people ends that.
    record_report(order, Report("settled", A, "re_2"))
    assert (order.refunded, order.balance) == (PAID, ZERO)
    assert not order.attention


def test_a_failure_reported_before_its_settlement_is_a_bounce_with_both_events() -> None:
    order = order_with((A, "10.00"))
    record_report(order, Report("failed", A, "re_1", minutes=9))
    record_report(order, Report("settled", A, "re_1", minutes=3))
    record_report(order, Report("settled", A, "re_1", minutes=3))

    _failed, settled, bounced = order.pending_events
    assert isinstance(settled, RefundSettled)
    assert isinstance(bounced, RefundBounced)
    assert bounced.timestamp - settled.timestamp == timedelta(minutes=6)
    assert (order.refunded, order.refunds[str(A)]["status"]) == (ZERO, "bounced")


def test_a_refund_that_failed_can_still_be_settled_without_a_reference() -> None:
    order = order_with((A, "10.00"))
    record_report(order, Report("failed", A))
    record_report(order, Report("settled", A, minutes=5))
    # The first failure once more.
    record_report(order, Report("failed", A))

    assert (order.refunded, statuses(order)) == (TEN, {("10.00", "settled"): 1})


def test_a_reference_that_comes_after_the_outcome_is_kept() -> None:
    order = order_with((A, "10.00"))
    record_report(order, Report("settled", A))
    record_report(order, Report("settled", A, "re_1"))
    record_report(order, ALONE)

    assert statuses(order) == {("10.00", "settled"): 1}
    assert order.refunds[str(A)]["reference"] == "re_1"


def test_wrong_reports_are_refused(subtests: pytest.Subtests) -> None:
    cases = {
        "another amount": (Report("settled", None, "re_1", Decimal(9)), PaymentMismatchError),
        "an unknown id": (Report("settled", UUID(int=7), "re_9"), RefundNotFoundError),
        "a failure of nothing": (Report("failed"), RefundNotFoundError),
        "a new refund without an amount": (Report("settled", None, "re_9"), AmountMissingError),
        "a bounce of another amount": (
            Report("failed", None, "re_1", Decimal(9)),
            PaymentMismatchError,
        ),
    }
    for name, (report, error) in cases.items():
        with subtests.test(name):
            order = order_with((A, "10.00"))
            record_report(order, BY_ID)
            forget_events(order)
            with pytest.raises(error):
                record_report(order, report)
            assert order.pending_events == []


REPORTS = [
    Report("settled", A, "re_a", minutes=1),
    Report("settled", None, "re_a", TEN, minutes=1),
    Report("failed", B, "re_b", minutes=2),
    Report("failed", None, "re_b", TEN, minutes=2),
    Report("settled", None, "re_c", Decimal("5.00"), minutes=3),
    Report("failed", None, "re_c", Decimal("5.00"), minutes=4),
    Report("settled", None, "re_d", Decimal("3.00"), minutes=5),
]


@pytest.mark.proof
@settings(max_examples=size(100, full=2_000), deadline=None)
@given(st.permutations([*REPORTS, *REPORTS, *REPORTS[:3]]))
def test_reports_in_any_order_end_in_the_same_books(reports: list[Report]) -> None:
    past = past_with((A, "10.00"), (B, "10.00"))
    order = Order.fold(past)
    for report in reports:
        record_report(order, report)

    assert (order.refunded, order.requested_refunds) == (Decimal("13.00"), ZERO)
    # A failure reported by its reference alone may be counted for both requests of its amount.
    counts = {key: count for key, count in statuses(order).items() if key[1] != "failed"}
    assert counts == {("10.00", "settled"): 1, ("5.00", "bounced"): 1, ("3.00", "settled"): 1}
    assert state(Order.fold([*past, *order.pending_events])) == state(order)
