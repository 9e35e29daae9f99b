"""Requests to capture authorized payments."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from ordering_write.domain import events as e
from ordering_write.domain.errors import ExceedsAuthorizedError, NothingToCaptureError
from ordering_write.domain.events import PaymentKind
from ordering_write.models.order.accounting import Accounting
from ordering_write.models.order.payments import authorized_rest


class Capturing(Accounting):
    """Moves that request captures. A fact about the payment and its amount answers a request."""

    class Meta(Accounting.Meta):
        abstract = True

    @property
    def authorized_payments(self) -> dict[str, Decimal]:
        """The amounts that can still be captured, by the ids of their payments."""
        rests = {key: authorized_rest(payment) for key, payment in self.payments.items()}
        return {key: rest for key, rest in rests.items() if rest}

    @property
    def capturable_payments(self) -> dict[str, Decimal]:
        """The amounts for which no capture is requested either, by the ids of their payments."""
        rests = {
            key: rest - self._requested_captures(key)
            for key, rest in self.authorized_payments.items()
        }
        return {key: rest for key, rest in rests.items() if rest > 0}

    @property
    def uncaptured(self) -> Decimal:
        """The amount that the customer owes and for which no capture is requested."""
        return max(self.balance - self._requested_captures(), Decimal(0))

    def _requested_captures(self, payment_id: str | None = None) -> Decimal:
        """Return the sum of the open requests, of one payment or of all."""
        amounts = (
            Decimal(capture["amount"])
            for capture in self.captures.values()
            if capture["status"] == "requested" and payment_id in (None, capture["payment_id"])
        )
        return sum(amounts, Decimal(0))

    def may_capture(self) -> None:
        if not self.capturable_payments:
            raise ExceedsAuthorizedError(
                f"Nothing is authorized for order {self.order_number} that isn't captured or "
                "requested already."
            )
        if not self.uncaptured:
            raise NothingToCaptureError(f"Nothing is due for order {self.order_number}.")

    def request_capture(
        self,
        amount: Decimal | None = None,
        *,
        payment_id: str | None = None,
        capture_id: UUID,
        now: datetime,
    ) -> None:
        """Request that ``amount`` is captured, of one payment or of all, the first one first.

        Without an amount, it is the cost of the dispatched units, as far as it is authorized and
        not captured.
        """
        self.may_capture()
        payments = self.capturable_payments
        if payment_id is not None:
            payment_id = self._recorded_payment_id(payment_id)
            payments = {key: rest for key, rest in payments.items() if key == payment_id}
        if not payments:
            raise ExceedsAuthorizedError(f"Nothing of payment {payment_id} can be captured.")
        authorized = sum(payments.values(), Decimal(0))
        if amount is None:
            amount = min(self._dispatched_and_uncaptured(), authorized)
            if not amount:
                raise NothingToCaptureError(
                    f"What was dispatched of order {self.order_number} is captured or requested."
                )
        self._check_amount(amount, None)
        if amount > authorized:
            raise ExceedsAuthorizedError(
                f"{amount} {self.currency} were to be captured, {self.money(authorized).amount} "
                "are authorized."
            )
        if amount > self.uncaptured:
            raise NothingToCaptureError(
                f"{amount} {self.currency} were to be captured, "
                f"{self.money(self.uncaptured).amount} are due."
            )
        for key, rest in payments.items():
            part = min(rest, amount)
            if part:
                self._record(
                    e.CaptureRequested,
                    now=now,
                    capture_id=capture_id,
                    payment_id=key,
                    amount=self.money(part),
                )
            amount -= part
            # The request of the next payment.
            capture_id = uuid5(capture_id, key)

    def _dispatched_and_uncaptured(self) -> Decimal:
        """Return the cost of what was dispatched, with all charges, less what is captured for it.

        What isn't dispatched costs what its cancellation would credit: the captures of all
        dispatches add up to the total.
        """
        if not any(line.shipped for line in self.lines.values()):
            return Decimal(0)
        unshipped = {line.id: line.unshipped for line in self.lines.values() if line.unshipped}
        credits = (item["amount"].amount for item in self.credited(unshipped))
        return max(self.uncaptured - sum(credits, Decimal(0)), Decimal(0))

    # --- For the state machine -------------------------------------------------------------------
    def _answer_capture(self, event: e.PaymentRecorded) -> None:
        """Close the oldest open request that a fact answers; a void closes all of its payment."""
        keys = sorted(
            (
                key
                for key, capture in self.captures.items()
                if capture["status"] == "requested" and capture["payment_id"] == event.payment_id
            ),
            key=lambda key: (self.captures[key]["at"], key),
        )
        if event.kind != PaymentKind.VOIDED:
            keys = [
                key for key in keys if Decimal(self.captures[key]["amount"]) == event.amount.amount
            ][:1]
        for key in keys:
            if event.kind == PaymentKind.FAILED:
                self.captures[key]["status"] = "failed"
            elif event.kind in (PaymentKind.CAPTURED, PaymentKind.VOIDED):
                del self.captures[key]
