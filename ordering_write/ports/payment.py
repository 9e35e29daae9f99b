"""The payment gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.values import Money
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAnswer:
    """What the gateway says at once: whether it ``is_done``, by which ``reference`` it knows that,
    and the ``reason`` when it won't be done."""

    is_done: bool
    reference: str = ""
    reason: str = ""


@runtime_checkable
class PaymentPort(Protocol):
    """Takes and gives back money.

    A method may be called again with the same ``key``, after a crash or an exception: it happens
    at least once, and the gateway must take the same key for the same request (its idempotency
    key). It answers within ten seconds, or raises: then it is tried again later. None says that the
    answer comes later, as RecordPayment or RecordRefund.
    """

    def authorize(self, *, key: UUID, order_id: UUID, amount: Money) -> PaymentAnswer | None:
        """Set ``amount`` aside for an order."""
        ...

    def capture(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money
    ) -> PaymentAnswer | None:
        """Take ``amount`` of an authorized payment."""
        ...

    def void(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money
    ) -> PaymentAnswer | None:
        """Let go of an authorized payment, of which ``amount`` isn't captured."""
        ...

    def refund(
        self, *, key: UUID, order_id: UUID, payment_ids: Sequence[str], amount: Money
    ) -> PaymentAnswer | None:
        """Give ``amount`` back; ``payment_ids`` are the captured payments, the oldest first."""
        ...


class ManualPayments:
    """People take payments and give money back, and record that they did."""

    def authorize(self, *, key: UUID, order_id: UUID, amount: Money) -> None:
        return None

    def capture(self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money) -> None:
        return None

    def void(self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money) -> None:
        return None

    def refund(
        self, *, key: UUID, order_id: UUID, payment_ids: Sequence[str], amount: Money
    ) -> None:
        return None


def payment_port() -> PaymentPort:
    """The adapter that settings.PORTS names."""
    return cast(PaymentPort, adapter("payment"))
