"""The policies that request captures and hand them to the gateway."""

from decimal import Decimal
from typing import Any

import pytest

from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.models import Order, Timer
from ordering_write.ports.payment import PaymentAnswer
from tests import kit
from tests.kit import NOW, check_rows_equal_log
from tests.kit_policies import HOUR, Gateway, give, new_order, plug, run_policies

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _gateway(settings: Any) -> None:
    plug(settings, payment=Gateway)


def authorize(order: Order, amount: str = "39.80") -> None:
    give(c.RecordPayment, order, payment_id="p", kind="authorized", amount=amount)


def dispatch(order: Order, quantity: int) -> None:
    [line_id] = kit.stored(order.stream).lines
    [packed] = give(c.CreateShipment, order, items=[{"line_id": line_id, "quantity": quantity}])
    give(c.DispatchShipment, order, shipment_id=packed.shipment_id)


def captured(order: Order) -> list[Decimal]:
    return [
        event.amount.amount
        for event in log.read_stream(order.stream)
        if isinstance(event, e.PaymentRecorded) and event.kind == e.PaymentKind.CAPTURED
    ]


def test_captures_follow_the_occasion_that_the_setting_names(
    settings: Any, subtests: pytest.Subtests
) -> None:
    cases = {
        "outside": ([], [], []),
        "confirm": (["39.80"], ["39.80"], ["39.80"]),
        "dispatch": ([], ["19.90"], ["19.90", "19.90"]),
    }
    for setting, amounts in cases.items():
        with subtests.test(setting):
            settings.CAPTURE_ON = setting
            order = new_order()
            authorize(order)
            steps = [
                lambda order: give(c.ConfirmOrder, order),
                lambda order: dispatch(order, 1),
                lambda order: dispatch(order, 1),
            ]
            for step, expected in zip(steps, amounts, strict=True):
                step(order)
                run_policies(NOW)
                assert captured(order) == [Decimal(amount) for amount in expected]
    check_rows_equal_log()
    assert not Timer.objects.exists()


def test_an_authorization_after_the_occasion_is_captured(
    settings: Any, subtests: pytest.Subtests
) -> None:
    for setting in ("confirm", "dispatch"):
        with subtests.test(setting):
            settings.CAPTURE_ON = setting
            order = new_order()
            give(c.ConfirmOrder, order)
            dispatch(order, 2)
            run_policies(NOW)
            authorize(order, "30.00")
            run_policies(NOW)

            assert captured(order) == [Decimal("30.00")]


def test_a_refused_capture_is_recorded_with_its_reason(settings: Any) -> None:
    settings.CAPTURE_ON = "dispatch"
    Gateway.answers["capture"] = PaymentAnswer(is_done=False, reason="card expired")
    order = new_order()
    authorize(order)
    give(c.ConfirmOrder, order)
    dispatch(order, 2)
    run_policies(NOW)

    failed = log.read_stream(order.stream)[-1]
    assert isinstance(failed, e.PaymentRecorded)
    assert (failed.kind, failed.reason) == ("failed", "card expired")
    assert failed.attention == (e.Attention.CAPTURE_FAILED,)
    Gateway.answers.clear()
    [request] = give(c.CapturePayment, order)
    run_policies(NOW)
    assert (request.amount.amount, captured(order)) == (Decimal("39.80"), [Decimal("39.80")])
    check_rows_equal_log()


def test_an_answer_that_comes_later_closes_the_request() -> None:
    Gateway.answers["capture"] = None
    order = new_order()
    authorize(order)
    give(c.CapturePayment, order, amount="10.00")
    run_policies(NOW)
    assert len(kit.stored(order.stream).captures) == 1
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="10.00", reference="ca_1")

    assert not kit.stored(order.stream).captures
    assert captured(order) == [Decimal("10.00")]
    check_rows_equal_log()


def test_a_call_that_fails_is_repeated_with_its_key() -> None:
    Gateway.answers["capture"] = TimeoutError("slow")
    order = new_order()
    authorize(order)
    give(c.CapturePayment, order, amount="10.00")
    run_policies(NOW)
    Gateway.answers.clear()
    run_policies(NOW + HOUR)

    assert captured(order) == [Decimal("10.00")]
    assert len(set(Gateway.keys())) == 1
