"""A payment gateway to try the shop with: it moves no money, and answers as the amount says.

An adapter of a real gateway is one file of this shape: the methods of PaymentPort, and
``read_webhook`` for the messages that the gateway sends. docs/how-to/pay-in-the-sandbox.md has the
amounts.
"""

import hashlib
import hmac
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from pydantic import AwareDatetime, BaseModel, ConfigDict

from ordering_write.domain.commands import RecordPayment, RecordRefund
from ordering_write.domain.errors import WebhookSignatureError
from ordering_write.domain.values import MINOR_UNITS, Money
from ordering_write.ports.payment import PaymentAnswer, Report

SIGNATURE = "Sandbox-Signature"
# Signatures expire, so that a copied message can't be sent again later.
_TOLERANCE = timedelta(minutes=5)
# The meanings of the last two digits of an amount.
_REFUSED, _DONE_LATER, _REFUSED_LATER, _REVERSED, _REPEATED, _PENDING = range(1, 7)

_Kind = Literal[
    "payment.authorized",
    "payment.captured",
    "payment.voided",
    "payment.failed",
    "payment.chargeback",
    "refund.settled",
    "refund.failed",
]


class Message(BaseModel):
    """The body of a webhook: a fact about a payment or a refund."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: _Kind
    order_id: UUID
    payment_id: str = ""
    amount: Decimal
    currency: str
    reference: str
    reason: str = ""
    happened_at: AwareDatetime

    def report(self) -> Report:
        """Return the command that records this fact."""
        subject, _, outcome = self.type.partition(".")
        payload = self.model_dump(exclude={"type", "payment_id"})
        if subject == "refund":
            return Report(command=RecordRefund, payload={**payload, "outcome": outcome})
        payment = {**payload, "kind": outcome, "payment_id": self.payment_id}
        return Report(command=RecordPayment, payload=payment)


class SandboxPayments:
    """Keeps nothing: an answer follows from the amount, and its reference from the key."""

    # --- PaymentPort -----------------------------------------------------------------------------
    def capture(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money
    ) -> PaymentAnswer | None:
        fact = _message("payment.captured", "ca", key, order_id, amount, payment_id=payment_id)
        chargeback = _reference("cb", key)
        return self._answer(fact, failed="payment.failed", back=("payment.chargeback", chargeback))

    def void(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money
    ) -> PaymentAnswer | None:
        fact = _message("payment.voided", "vo", key, order_id, amount, payment_id=payment_id)
        if _ending(amount) == _DONE_LATER:
            self._send(fact)
            return None
        return PaymentAnswer(is_done=True, reference=fact.reference)

    def refund(
        self, *, key: UUID, order_id: UUID, payment_ids: Sequence[str], amount: Money
    ) -> PaymentAnswer | None:
        fact = _message("refund.settled", "re", key, order_id, amount)
        return self._answer(fact, failed="refund.failed", back=("refund.failed", fact.reference))

    # --- Beyond the port -------------------------------------------------------------------------
    def authorize(self, *, key: UUID, order_id: UUID, amount: Money) -> str:
        """Let the customer of an order pay; report the authorization, and return its payment id."""
        payment_id = _reference("pay", key)
        fact = _message("payment.authorized", "au", key, order_id, amount, payment_id=payment_id)
        if _ending(amount) == _REFUSED:
            fact = _refused(fact, "payment.failed")
        self._send(fact)
        return payment_id

    def end_capture(
        self, *, key: UUID, order_id: UUID, payment_id: str, amount: Money, is_done: bool
    ) -> None:
        """Report the end of a pending capture; ``key`` is the id of its request."""
        fact = _message("payment.captured", "ca", key, order_id, amount, payment_id=payment_id)
        self._send(fact if is_done else _refused(fact, "payment.failed"))

    def end_refund(self, *, key: UUID, order_id: UUID, amount: Money, is_done: bool) -> None:
        """Report the end of a pending refund; ``key`` is the id of its request."""
        fact = _message("refund.settled", "re", key, order_id, amount)
        self._send(fact if is_done else _refused(fact, "refund.failed"))

    def read_webhook(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[Report]:
        _check_signature(headers.get(SIGNATURE, ""), body, now)
        return [Message.model_validate_json(body).report()]

    def _answer(
        self, fact: Message, *, failed: _Kind, back: tuple[_Kind, str]
    ) -> PaymentAnswer | None:
        success = PaymentAnswer(is_done=True, reference=fact.reference)
        match _ending(Money(amount=fact.amount, currency=fact.currency)):
            case ending if ending == _REFUSED:
                refusal = _refused(fact, failed)
                return PaymentAnswer(is_done=False, reference=fact.reference, reason=refusal.reason)
            case ending if ending == _DONE_LATER:
                self._send(fact)
                return None
            case ending if ending == _REFUSED_LATER:
                self._send(_refused(fact, failed))
                return None
            case ending if ending == _PENDING:
                return None
            case ending if ending == _REVERSED:
                kind, reference = back
                update = {"type": kind, "reference": reference, "reason": "account closed"}
                self._send(fact, fact.model_copy(update=update))
            case ending if ending == _REPEATED:
                self._send(fact, fact)
        return success

    def _send(self, *messages: Message) -> None:
        for message in messages:
            body = message.model_dump_json().encode()
            headers = {SIGNATURE: sign(body, datetime.now(UTC)), "Content-Type": "application/json"}
            self.post(body, headers)

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a webhook to the service. Raises OSError unless it is accepted."""
        url = f"http://{settings.HOST}:{settings.PORT}/webhooks/payments"
        request = urllib.request.Request(url, data=body, headers=dict(headers))
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass


def is_pending(amount: Money) -> bool:
    """Return True if a capture or refund of ``amount`` waits for its end to be reported."""
    return _ending(amount) == _PENDING


def sign(body: bytes, now: datetime) -> str:
    """Return the signature of ``body`` at ``now``: ``t=<seconds>,v1=<HMAC-SHA256, hex>``."""
    if not settings.PAYMENT_WEBHOOK_SECRETS:
        raise ImproperlyConfigured("PAYMENT_WEBHOOK_SECRETS is empty.")
    time = int(now.timestamp())
    return f"t={time},v1={_digest(settings.PAYMENT_WEBHOOK_SECRETS[0], time, body)}"


def _check_signature(signature: str, body: bytes, now: datetime) -> None:
    """Raise WebhookSignatureError unless one of the secrets has signed ``body`` lately."""
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    time, digest = parts.get("t", ""), parts.get("v1", "")
    if not (time.isascii() and time.isdigit() and len(time) < 12 and digest.isascii()):
        raise WebhookSignatureError
    if abs(now.timestamp() - int(time)) > _TOLERANCE.total_seconds():
        raise WebhookSignatureError
    digests = [_digest(secret, int(time), body) for secret in settings.PAYMENT_WEBHOOK_SECRETS]
    if not any(hmac.compare_digest(digest, expected) for expected in digests):
        raise WebhookSignatureError


def _digest(secret: str, time: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()


def _message(
    kind: _Kind, prefix: str, key: UUID, order_id: UUID, amount: Money, *, payment_id: str = ""
) -> Message:
    return Message(
        type=kind,
        order_id=order_id,
        payment_id=payment_id,
        amount=amount.amount,
        currency=amount.currency,
        reference=_reference(prefix, key),
        happened_at=datetime.now(UTC),
    )


def _refused(fact: Message, kind: _Kind) -> Message:
    return fact.model_copy(update={"type": kind, "reason": "card declined"})


def _reference(prefix: str, key: UUID) -> str:
    return f"{prefix}_{hashlib.sha256(key.bytes).hexdigest()[:16]}"


def _ending(amount: Money) -> int:
    """Return the last two digits of an amount, in minor units."""
    return int(amount.amount / MINOR_UNITS[amount.currency]) % 100
