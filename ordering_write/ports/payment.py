"""The payment gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.commands import RecordPayment, RecordRefund
from ordering_write.domain.values import Money
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAnswer:
    """The answer of the gateway: done under a ``reference``, or refused for a ``reason``.

    A gateway that also sends webhooks must give the reference that its webhooks have.
    """

    is_done: bool
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A fact that a gateway reports: the command that records the fact, and its payload."""

    command: type[RecordPayment] | type[RecordRefund]
    payload: Mapping[str, Any]


@runtime_checkable
class WebhookGateway(Protocol):
    """A gateway that reports facts by webhooks, to POST /webhooks/payments."""

    def read_webhook(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[Report]:
        """Return the facts in a message that was received ``now`` (UTC).

        Each fact has a reference, and the same one whenever it is reported. Raises
        WebhookSignatureError unless the gateway has signed the message lately.
        """
        ...


@runtime_checkable
class PaymentPort(Protocol):
    """Takes and refunds money.

    After a crash or an exception a method is called again with the same ``key``, which the gateway
    must use as its idempotency key. A call returns within ten seconds or raises; after an exception
    it is retried later. None means that the answer comes later, as RecordPayment or RecordRefund.
    """

    def capture(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money
    ) -> PaymentAnswer | None:
        """Capture ``amount`` of an authorized payment, in parts if it is called again."""
        ...

    def void(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money
    ) -> PaymentAnswer | None:
        """Void an authorized payment, of which ``amount`` isn't captured."""
        ...

    def refund(
        self, *, key: UUID, order_id: UUID, payment_ids: Sequence[str], amount: Money
    ) -> PaymentAnswer | None:
        """Refund ``amount``; ``payment_ids`` are the captured payments, the oldest first."""
        ...


class ManualPayments:
    """Leaves payments and refunds to people, who record them."""

    def capture(self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money) -> None:
        return None

    def void(self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money) -> None:
        return None

    def refund(
        self, *, key: UUID, order_id: UUID, payment_ids: Sequence[str], amount: Money
    ) -> None:
        return None


def payment_port() -> PaymentPort:
    """Return the adapter that settings.PORTS names."""
    return cast(PaymentPort, adapter("payment"))
