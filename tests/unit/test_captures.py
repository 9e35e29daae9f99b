"""Requests to capture what the dispatched units cost, and the answers of the gateway."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from ordering_write.domain import commands as c
from ordering_write.domain.errors import ExceedsAuthorizedError, NothingToCaptureError
from ordering_write.domain.events import Attention, CaptureRequested, PaymentKind
from ordering_write.domain.values import MINOR_UNITS
from ordering_write.models import Order
from tests.kit import NOW
from tests.kit_money import order_of

ADJUSTMENTS = {"shipping": 500, "discount": 1_000, "tax": 777}


def authorized_order(currency: str = "EUR", amount: int | None = None) -> Order:
    """Return a confirmed order of two lines, with discount, tax and shipping, all authorized."""
    _, order = order_of([(3, 999), (2, 1_001)], ADJUSTMENTS, currency)
    order.confirm(now=NOW)
    value = order.total if amount is None else amount * MINOR_UNITS[currency]
    order.record_payment("p", PaymentKind.AUTHORIZED, value, reference="auth", at=NOW)
    return order


def dispatch(order: Order, line: int, quantity: int) -> None:
    shipment_id, line_id = uuid4(), list(order.lines)[line]
    order.pack(
        [c.LineQuantity(line_id=line_id, quantity=quantity)], shipment_id=shipment_id, now=NOW
    )
    order.dispatch_shipment(shipment_id, now=NOW)


def request(order: Order, amount: str | None = None, **fields: str) -> list[Decimal]:
    """Request a capture; return the amounts of the requests."""
    version = len(order.raised_events)
    value = None if amount is None else Decimal(amount)
    order.request_capture(value, **fields, capture_id=uuid4(), now=NOW)
    events = order.raised_events[version:]
    return [event.amount.amount for event in events if isinstance(event, CaptureRequested)]


def answer(order: Order, amount: Decimal, kind: PaymentKind = PaymentKind.CAPTURED) -> None:
    reference = f"capture-{order.version}"
    order.record_payment("p", kind, amount, reference=reference, at=NOW)


def test_the_captures_of_all_dispatches_add_up_to_the_total(subtests: pytest.Subtests) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        with subtests.test(currency=currency):
            order = authorized_order(currency)
            for line, quantity in ((0, 1), (1, 1), (0, 2), (1, 1)):
                dispatch(order, line, quantity)
                [amount] = request(order)
                answer(order, amount)
            assert (order.captured, order.authorized) == (order.total, Decimal(0))
            assert not order.captures


def test_the_first_dispatch_captures_the_shipping_too() -> None:
    _, order = order_of([(2, 1_000)], {"shipping": 500}, "EUR")
    order.confirm(now=NOW)
    order.record_payment("p", PaymentKind.AUTHORIZED, order.total, at=NOW)
    dispatch(order, 0, 1)
    assert request(order) == [Decimal("15.00")]
    dispatch(order, 0, 1)
    assert request(order) == [Decimal("10.00")]


def test_cancelled_and_paid_units_are_not_captured() -> None:
    _, order = order_of([(3, 1_000)], {}, "EUR")
    order.confirm(now=NOW)
    order.record_payment("p", PaymentKind.AUTHORIZED, order.total, at=NOW)
    order.record_payment("cash", PaymentKind.CAPTURED, Decimal("5.00"), at=NOW)
    [line] = order.lines
    order.cancel_items([c.LineQuantity(line_id=line, quantity=1)], "sold out", now=NOW)
    dispatch(order, 0, 2)

    assert request(order) == [Decimal("15.00")]


def test_at_most_the_authorized_amount_is_captured_of_several_payments() -> None:
    order = authorized_order(amount=1_000)
    order.record_payment("q", PaymentKind.AUTHORIZED, Decimal("5.00"), at=NOW)
    order.ship_everything(shipment_id=uuid4(), now=NOW)

    assert request(order) == [Decimal("10.00"), Decimal("5.00")]
    with pytest.raises(ExceedsAuthorizedError, match="isn't captured or requested"):
        request(order)


def test_a_request_names_an_amount_and_a_payment() -> None:
    order = authorized_order(amount=1_000)
    order.record_payment("q", PaymentKind.AUTHORIZED, Decimal("5.00"), at=NOW)

    assert request(order, "2.00", payment_id="Q") == [Decimal("2.00")]
    with pytest.raises(ExceedsAuthorizedError, match=r"4\.00 EUR .* 3\.00"):
        request(order, "4.00", payment_id="q")
    with pytest.raises(ExceedsAuthorizedError, match="payment other"):
        request(order, "1.00", payment_id="other")


def test_nothing_is_captured_before_a_dispatch_or_beyond_the_balance() -> None:
    order = authorized_order(amount=99_999)
    with pytest.raises(NothingToCaptureError, match="dispatched"):
        request(order)
    with pytest.raises(NothingToCaptureError, match="are due"):
        request(order, str(order.total + 1))
    request(order, str(order.total))
    with pytest.raises(NothingToCaptureError, match="Nothing is due"):
        request(order, "0.01")


def test_a_failed_capture_needs_attention_until_the_order_is_paid() -> None:
    order = authorized_order()
    order.ship_everything(shipment_id=uuid4(), now=NOW)
    [amount] = request(order)
    answer(order, amount, PaymentKind.FAILED)

    assert order.attention == (Attention.CAPTURE_FAILED,)
    assert request(order) == [amount]
    answer(order, amount)
    assert order.balance == 0


def test_a_void_ends_the_open_requests_of_its_payment() -> None:
    order = authorized_order()
    request(order, "1.00")
    answer(order, Decimal("1.00"), PaymentKind.VOIDED)

    assert not order.captures
    assert order.authorized == 0


def test_the_oldest_request_of_an_amount_is_answered() -> None:
    order = authorized_order()
    ids = [UUID(int=number) for number in (2, 1)]
    for number, capture_id in enumerate(ids):
        now = NOW.replace(minute=number)
        order.request_capture(Decimal("1.00"), capture_id=capture_id, now=now)
    answer(order, Decimal("1.00"))

    assert list(order.captures) == [str(ids[1])]
