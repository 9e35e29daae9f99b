"""The kit of the sandbox gateway: a recorded day of its webhooks.

    .venv/bin/python manage.py shell -c "from tests import kit_sandbox; kit_sandbox.record()"

records the day anew, after a change of the messages.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid5

from ordering_write.domain.events import PaymentKind
from ordering_write.domain.values import Money
from ordering_write.models import Order
from ordering_write.ports.sandbox_payment import Message, SandboxPayments
from tests.kit import NOW, placed

DAY = Path(__file__).parent / "data" / "sandbox_day.jsonl"
# The ids of the orders of the day: each costs 79.60 EUR.
ORDERS = [UUID(int=number) for number in range(1, 6)]


class RecordingSandbox(SandboxPayments):
    """Keeps its messages instead of sending them."""

    sent: ClassVar[list[tuple[bytes, Mapping[str, str]]]] = []

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.sent.append((body, headers))


def eur(amount: str) -> Money:
    return Money.of(Decimal(amount), "EUR")


def record() -> None:
    """Write the messages of a day to DAY: every kind of message, and every kind of order."""
    sandbox = RecordingSandbox()
    sandbox.sent.clear()

    def call(method: str, order_id: UUID, step: str, amount: str, **fields: Any) -> Any:
        key = uuid5(order_id, step)
        return getattr(sandbox, method)(key=key, order_id=order_id, amount=eur(amount), **fields)

    in_parts, equal, bounced, refused, voided = ORDERS
    payments = {order: call("authorize", order, "pay", "79.60") for order in ORDERS}
    # The endings say: 02 is done later, 03 refused later, 04 reversed, 05 repeated.
    for step, amount in {"one": "20.02", "two": "20.05", "three": "30.04"}.items():
        call("capture", in_parts, step, amount, payment_id=payments[in_parts])
    for order in (equal, bounced):
        call("capture", order, "all", "70.05", payment_id=payments[order])
    for step in ("one", "two"):
        call("refund", equal, step, "10.02", payment_ids=[payments[equal]])
    call("refund", bounced, "one", "10.04", payment_ids=[payments[bounced]])
    call("refund", bounced, "two", "5.03", payment_ids=[payments[bounced]])
    call("capture", refused, "one", "20.03", payment_id=payments[refused])
    call("capture", refused, "two", "20.02", payment_id=payments[refused])
    call("authorize", refused, "declined", "30.01")
    call("capture", voided, "one", "40.02", payment_id=payments[voided])
    call("void", voided, "rest", "39.02", payment_id=payments[voided])
    DAY.write_bytes(b"".join(body + b"\n" for body, _ in sandbox.sent))


def recorded_day() -> list[Message]:
    """Return the messages of the day, in the order in which they were sent."""
    return [Message.model_validate_json(line) for line in DAY.read_text().splitlines()]


def order_of_the_day(order_id: UUID) -> Order:
    """Return an order of the day before its first message, with the requests of our side."""
    created, line = placed(4)
    order = Order.fold(
        [event.model_copy(update={"order_id": order_id}) for event in (created, line)]
    )
    equal, bounced = ORDERS[1:3]
    requests = {equal: ["10.02", "10.02"], bounced: ["10.04", "5.03"]}
    if order_id in requests:
        order.record_payment(
            "till", PaymentKind.CAPTURED, Decimal("50.00"), reference="till-1", at=NOW
        )
    for number, text in enumerate(requests.get(order_id, ())):
        refund_id = uuid5(order_id, f"refund {number}")
        order.request_refund(Decimal(text), "Scratched", refund_id=refund_id, now=NOW)
    return order
