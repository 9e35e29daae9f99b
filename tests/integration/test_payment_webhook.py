"""The endpoint of the payment gateway's webhooks, and the sandbox gateway that calls it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client

from ordering_write import log
from ordering_write.api.webhooks import MOST_BYTES
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.values import Money
from ordering_write.models import Order
from ordering_write.ports.payment import PaymentAnswer
from ordering_write.ports.sandbox_payment import SIGNATURE, SandboxPayments, sign
from tests import kit
from tests.kit import NOW, check_rows_equal_log
from tests.kit_policies import give, new_order, run_policies
from tests.kit_sandbox import RecordingSandbox, eur

pytestmark = pytest.mark.usefixtures("db")


class PostingSandbox(SandboxPayments):
    """Sends its webhooks to the views of this process."""

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        response = send(body, headers[SIGNATURE])
        if response.status_code != 200:
            raise OSError(response.content)


@pytest.fixture(autouse=True)
def _sandbox(settings: Any) -> None:
    RecordingSandbox.sent.clear()
    plug(settings, PostingSandbox)
    settings.PAYMENT_WEBHOOK_SECRETS = ["new secret", "old secret"]


def plug(settings: Any, adapter: type) -> None:
    settings.PORTS = settings.PORTS | {"payment": f"{adapter.__module__}.{adapter.__name__}"}


def send(body: bytes, signature: str | None = None) -> Any:
    """Send a webhook without any login; ``signature`` is by default a right one."""
    headers = {SIGNATURE: sign(body, datetime.now(UTC)) if signature is None else signature}
    return Client(enforce_csrf_checks=True).post(
        "/webhooks/payments", body, content_type="application/json", headers=headers
    )


def messages_about(order: Order, amount: str = "10.02") -> list[bytes]:
    """Return the webhook of a capture of ``order``."""
    RecordingSandbox().capture(
        key=uuid4(), order_id=order.pk, payment_id="pay_1", amount=eur(amount)
    )
    return [body for body, _ in RecordingSandbox.sent]


def payments_of(order: Order) -> list[tuple[str, Decimal]]:
    return [
        (event.kind, event.amount.amount)
        for event in log.read_stream(order.stream)
        if isinstance(event, e.PaymentRecorded)
    ]


# --- Signatures ----------------------------------------------------------------------------------
def test_a_signed_message_is_recorded_once_without_a_login() -> None:
    order = new_order()
    [body] = messages_about(order)

    assert [send(body).json() for _ in range(3)] == [{"recorded": n} for n in (1, 0, 0)]
    [event] = log.read_stream(order.stream)[2:]
    assert isinstance(event, e.PaymentRecorded)
    assert event.recorded.actor.label == "payment gateway"
    assert event.recorded.channel == "webhook"
    check_rows_equal_log()


def test_messages_without_a_right_signature_are_refused(
    settings: Any, subtests: pytest.Subtests
) -> None:
    order = new_order()
    [body] = messages_about(order)
    now = datetime.now(UTC)
    right = sign(body, now)
    settings.PAYMENT_WEBHOOK_SECRETS = ["another secret"]
    wrong = sign(body, now)
    settings.PAYMENT_WEBHOOK_SECRETS = ["new secret", "old secret"]
    cases = {
        "none": "",
        "another secret": wrong,
        "too old": sign(body, now - timedelta(minutes=6)),
        "too early": sign(body, now + timedelta(minutes=6)),
        "another body": sign(body + b" ", now),
        "no digest": right.partition(",")[0],
        "no time": right.partition(",")[2],
        "no number": right.replace("t=", "t=x"),
        "another time": right.replace("t=", "t=1"),
        "no ASCII": right + "\u00e9",
    }
    for name, signature in cases.items():
        with subtests.test(name):
            response = send(body, signature)
            assert response.status_code == 403
            assert response.json()["code"] == "wrong_signature"
    settings.PAYMENT_WEBHOOK_SECRETS = []
    assert send(body, right).status_code == 403
    assert payments_of(order) == []


def test_a_message_may_be_signed_with_any_of_the_secrets(settings: Any) -> None:
    order = new_order()
    [body] = messages_about(order)
    settings.PAYMENT_WEBHOOK_SECRETS = ["old secret"]
    signature = sign(body, datetime.now(UTC))
    settings.PAYMENT_WEBHOOK_SECRETS = ["new secret", "old secret"]

    assert send(body, signature).status_code == 200


def test_nothing_is_signed_without_a_secret(settings: Any) -> None:
    settings.PAYMENT_WEBHOOK_SECRETS = []
    with pytest.raises(ImproperlyConfigured):
        sign(b"{}", datetime.now(UTC))


def test_bad_messages_get_a_problem(settings: Any, subtests: pytest.Subtests) -> None:
    [body] = messages_about(new_order())
    other = RecordingSandbox()
    other.sent.clear()
    other.capture(key=uuid4(), order_id=uuid4(), payment_id="pay_1", amount=eur("10.02"))
    [(unknown_order, _)] = other.sent
    cases = {
        "not JSON": (b"{", 422),
        "another type": (body.replace(b"payment.captured", b"payment.lost"), 422),
        "an unknown order": (unknown_order, 404),
        "another currency": (body.replace(b"EUR", b"USD"), 422),
        "too large": (body + b" " * MOST_BYTES, 413),
    }
    for name, (message, status) in cases.items():
        with subtests.test(name):
            response = send(message)
            assert response.status_code == status
            assert response.headers["Content-Type"] == "application/problem+json"
    assert Client().get("/webhooks/payments").status_code == 405
    settings.PORTS = settings.PORTS | {"payment": "ordering_write.ports.payment.ManualPayments"}
    assert send(body).status_code == 404


def test_another_amount_of_a_known_fact_is_a_conflict_that_shows_both() -> None:
    order = new_order()
    [body] = messages_about(order)
    send(body)
    response = send(body.replace(b"10.02", b"11.00"))

    assert response.status_code == 409
    assert (response.json()["sent"], response.json()["recorded"]) == ("11.00", "10.02")


# --- The sandbox ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("10.00", [("captured", "10.00")]),
        ("10.01", [("failed", "10.01")]),
        ("10.02", [("captured", "10.02")]),
        ("10.03", [("failed", "10.03")]),
        ("10.04", [("captured", "10.04"), ("chargeback", "10.04")]),
        ("10.05", [("captured", "10.05")]),
    ],
)
def test_a_capture_ends_as_its_amount_says(amount: str, expected: list[tuple[str, str]]) -> None:
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay_1", kind="authorized", amount="39.80")
    give(c.CapturePayment, order, amount=amount)
    run_policies(NOW)

    assert payments_of(order)[1:] == [(kind, Decimal(text)) for kind, text in expected]
    assert not [
        capture
        for capture in kit.stored(order.stream).captures.values()
        if capture["status"] == "requested"
    ]
    check_rows_equal_log()


@pytest.mark.parametrize(
    ("amount", "status"),
    [
        ("10.00", "settled"),
        ("10.01", "failed"),
        ("10.02", "settled"),
        ("10.03", "failed"),
        ("10.04", "bounced"),
        ("10.05", "settled"),
    ],
)
def test_a_refund_ends_as_its_amount_says(amount: str, status: str) -> None:
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay_1", kind="captured", amount="39.80")
    give(c.RequestRefund, order, amount=amount, reason="Scratched")
    run_policies(NOW)

    stored = kit.stored(order.stream)
    [refund] = stored.refunds.values()
    assert refund["status"] == status
    assert stored.refunded == (Decimal(amount) if status == "settled" else 0)
    check_rows_equal_log()


@pytest.mark.parametrize(("options", "kind"), [((), "captured"), (("--fail",), "failed")])
def test_a_pending_capture_ends_when_the_gateway_is_told_to(
    options: tuple[str, ...], kind: str
) -> None:
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay_1", kind="authorized", amount="39.80")
    give(c.CapturePayment, order, amount="10.06")
    run_policies(NOW)
    assert [fact for fact, _ in payments_of(order)] == ["authorized"]

    call_command("settle_in_sandbox", order.order_number, *options)
    run_policies(NOW)

    assert payments_of(order)[1:] == [(kind, Decimal("10.06"))]
    with pytest.raises(CommandError, match="Nothing is pending"):
        call_command("settle_in_sandbox", order.order_number)
    check_rows_equal_log()


@pytest.mark.parametrize(("options", "status"), [((), "settled"), (("--fail",), "failed")])
def test_a_pending_refund_ends_when_the_gateway_is_told_to(
    options: tuple[str, ...], status: str
) -> None:
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay_1", kind="captured", amount="39.80")
    give(c.RequestRefund, order, amount="10.06", reason="Scratched")
    run_policies(NOW)
    assert kit.stored(order.stream).requested_refunds == Decimal("10.06")

    call_command("settle_in_sandbox", order.order_number, *options)
    run_policies(NOW)

    [refund] = kit.stored(order.stream).refunds.values()
    assert refund["status"] == status
    with pytest.raises(CommandError, match="Nothing is pending"):
        call_command("settle_in_sandbox", order.order_number)
    check_rows_equal_log()


def test_a_request_of_another_amount_is_not_pending() -> None:
    order = new_order()
    give(c.RecordPayment, order, payment_id="pay_1", kind="captured", amount="39.80")
    give(c.RequestRefund, order, amount="10.02", reason="Scratched")

    with pytest.raises(CommandError, match="Nothing is pending"):
        call_command("settle_in_sandbox", order.order_number)
    assert kit.stored(order.stream).requested_refunds == Decimal("10.02")


def test_the_customer_of_an_order_pays_in_the_sandbox(settings: Any, capsys: Any) -> None:
    order = new_order()
    call_command("pay_in_sandbox", order.order_number)
    call_command("pay_in_sandbox", order.order_number, "--amount", "5.01")

    assert payments_of(order) == [("authorized", Decimal("39.80")), ("failed", Decimal("5.01"))]
    assert "39.80 EUR" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no order"):
        call_command("pay_in_sandbox", "2026-999999")
    with pytest.raises(CommandError, match="due"):
        call_command("pay_in_sandbox", order.order_number, "--amount", "0")
    settings.PORTS = settings.PORTS | {"payment": "ordering_write.ports.payment.ManualPayments"}
    with pytest.raises(CommandError, match="PAYMENT_PORT"):
        call_command("pay_in_sandbox", order.order_number)


def test_a_shuffled_story_with_repeats_ends_in_the_books_of_the_plain_one() -> None:
    sandbox = RecordingSandbox()
    books = []
    for shuffled in (False, True):
        order = new_order()
        sandbox.sent.clear()
        keys = [UUID(int=number) for number in range(4)]
        payment_id = sandbox.authorize(key=keys[0], order_id=order.pk, amount=eur("39.80"))
        for key, amount in zip(keys[1:3], ("20.02", "10.04"), strict=True):
            about: dict[str, Any] = {"key": key, "order_id": order.pk, "payment_id": payment_id}
            sandbox.capture(**about, amount=eur(amount))
        refund: dict[str, Any] = {"order_id": order.pk, "payment_ids": [payment_id]}
        answer = sandbox.refund(key=keys[3], **refund, amount=Money.of(Decimal("5.04"), "EUR"))
        assert isinstance(answer, PaymentAnswer)
        bodies = [body for body, _ in sandbox.sent]
        if shuffled:
            Random(7).shuffle(bodies)
            bodies = [body for body in bodies for _ in range(2)]
        assert [send(body).status_code for body in bodies] == [200] * len(bodies)
        stored = kit.stored(order.stream)
        names = ("authorized", "captured", "refunded", "balance", "attention")
        books.append({name: getattr(stored, name) for name in names})
    assert books[0] == books[1]
    check_rows_equal_log()
