"""Orders of 1.3.0, when lines had no prices: upgraded, read, returned and refunded.

``tests/data/releases`` holds the databases of that release: its demo, and orders with a discount, a
tax and charges for the whole order, each known by its external reference.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from ordering_read.engine import live
from ordering_read.projector import registered
from ordering_read.queries import get_query_bus
from ordering_read.queries.orders import GetOrderById, OrderDetail
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain import prices
from ordering_write.log import verification
from ordering_write.models import Order
from tests import releases
from tests.databases import Databases, connected_to
from tests.kit_policies import give
from tests.kit_projections import without_backorders

ZERO = Decimal(0)


@pytest.fixture(scope="module", autouse=True)
def _upgraded(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Restore the databases of the former release, migrate them and rebuild the projections."""
    with django_db_blocker.unblock():
        databases = Databases("write", "read")
        releases.restore(databases.urls, "1.3.0")
        with connected_to(databases.names):
            call_command("migrate", verbosity=0, skip_checks=True)
            call_command("rebuild_projections", "--all", "--workers=1", verbosity=0)
            yield
        databases.drop()


def order_of(reference: str) -> Order:
    """Return the order with this external reference, as it is now."""
    with transaction.atomic():
        return Order.load(Order.objects.get(external_reference=reference).pk)


def send_back(order: Order, quantity: int, line: int = 0) -> None:
    line_id = list(order.lines)[line]
    back = {"line_id": line_id, "quantity": quantity, "reason": "unwanted"}
    [requested] = give(c.RequestReturn, order, items=[back])
    received = [{"line_id": line_id, "restock": quantity}]
    give(c.ReceiveReturn, order, return_id=requested.return_id, items=received)


def cancel_a_unit(order: Order) -> None:
    items = [{"line_id": next(iter(order.lines)), "quantity": 1}]
    give(c.CancelOrderItems, order, items=items, reason="Too many")


def refund_credit(order: Order) -> Decimal:
    """Refund exactly the credit of ``order``; return the amount."""
    credit = order_of(order.external_reference or "").credit
    if credit:
        [requested] = give(c.RequestRefund, order, amount=credit, reason="returned")
        give(c.RecordRefund, order, refund_id=requested.refund_id, outcome="settled")
    return credit


def shown(order: Order, **parameters: Any) -> OrderDetail:
    return get_query_bus().dispatch(GetOrderById(order_id=order.pk, **parameters))


def check(*orders: Order) -> None:
    """Check the streams of ``orders``, their rows on both sides, and that their sums add up."""
    live.run(*registered())
    for order in orders:
        assert list(verification.verify(stream=order.stream, progress=lambda _: None)) == []
        detail = shown(order)
        assert shown(order, consistency="strong") == without_backorders(detail)
        check_sums(detail)


def check_sums(detail: OrderDetail) -> None:
    sums = detail.sums
    before_goodwill = sums.list_value - sums.discount + sums.charges + sums.tax
    assert before_goodwill - sums.goodwill == detail.total_amount


def test_an_upgraded_log_is_sound_at_every_version() -> None:
    assert list(verification.verify(progress=lambda _: None)) == []
    live.run(*registered())
    call_command("verify_projections", verbosity=0)
    for order in Order.objects.exclude(external_reference=None):
        for version, event in enumerate(log.read_stream(order.stream), start=1):
            then = shown(order, version=version)
            check_sums(then)
            assert isinstance(event, e.OrderEvent)
            if event.total:
                assert then.total_amount == event.total.amount
            if event.balance:
                assert then.balance == event.balance.amount


# The units that come back of the first line, return by return; the refund of each; what is due.
RETURNS: dict[str, tuple[list[int], list[str], str]] = {
    # 399.00 and 83.79 of tax; the shipping of 10.00 stays.
    "taxed": ([1], ["482.79"], "10.00"),
    # Two at 49.50 less 20.00, with 21 % on these and on the shipping of 10.00.
    "taxed-with-shipping": ([1, 1], ["47.80", "47.79"], "12.10"),
    # Two at 49.50 less 49.50.
    "discounted": ([1, 1], ["24.75", "24.75"], "0.00"),
    # The same; the former release refunded 49.50 for the first of them.
    "discounted-half-returned": ([1], ["0.00"], "0.00"),
    # 99.00 and 20.79 of tax; the former release refunded 49.50 for the first, without its tax.
    "taxed-half-returned": ([1], ["70.29"], "5.00"),
    # Three at 49.50, with the tax of one.
    "edited": ([2, 1], ["105.93", "52.97"], "5.00"),
    # 303 less 100, and 20 of tax.
    "yen": ([1, 2], ["75", "148"], "0"),
    "dinar": ([2, 1], ["18.669", "9.334"], "1.500"),
    "free": ([2], ["0.00"], "0.00"),
}


def test_old_orders_are_returned_and_refunded_with_right_money(subtests: pytest.Subtests) -> None:
    for reference, (portions, refunds, due) in RETURNS.items():
        with subtests.test(reference=reference):
            order = order_of(reference)
            paid = []
            for quantity in portions:
                send_back(order, quantity)
                paid.append(refund_credit(order))

            assert paid == [Decimal(refund) for refund in refunds]
            after = order_of(reference)
            assert after.total == after.captured - after.refunded == Decimal(due)
            assert after.balance == ZERO
            check(order)


def test_units_that_the_former_release_credited_too_high_are_made_up_for() -> None:
    # Two of three vases were lost, and credited without their discount; two mugs arrived.
    order = order_of("lost")
    assert order.credit == Decimal("20.00")

    send_back(order, 1, line=1)

    # The vases cost 19.35 of the 48.16, the mug 9.57.
    assert refund_credit(order) == Decimal("28.92")
    check(order)


def test_a_discount_no_longer_brings_the_total_of_an_old_order_below_zero() -> None:
    order = order_of("discounted-unpaid")

    cancel_a_unit(order)

    assert order_of("discounted-unpaid").balance == Decimal("9.50")
    check(order)


def test_the_price_of_an_old_order_can_be_changed() -> None:
    # Two at 49.50 less 80.00 with one unit cancelled, of which the former release credited 49.50.
    order = order_of("discounted-below-zero")
    # The total says so; nothing is owed for it.
    assert (order.total, order.balance) == (Decimal("-30.50"), ZERO)
    [discount] = shown(order).adjustments
    assert discount.adjustment_id == prices.adjustment_id(order.pk, 0)

    give(c.RemoveAdjustment, order, adjustment_id=discount.adjustment_id)
    assert order_of("discounted-below-zero").balance == Decimal("49.50")
    later = {"kind": "discount", "label": "Later", "amount": "9.50", "reason": "agreed"}
    give(c.AdjustOrder, order, **later)
    assert order_of("discounted-below-zero").balance == Decimal("40.00")
    check(order)


def test_a_refund_beyond_the_credit_is_made_goodwill() -> None:
    order = order_of("goodwill")
    assert order.balance == Decimal("5.00")

    give(c.GrantGoodwill, order, amount="5.00", reason="Refunded before")
    send_back(order, 1)

    assert refund_credit(order) == Decimal("9.90")
    check(order)


def test_a_cancelled_order_is_refunded_whole() -> None:
    order = order_of("cancelled")

    assert refund_credit(order) == order.captured == Decimal("48.40")
    check(order)
