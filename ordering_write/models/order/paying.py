"""Payments and refunds."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from config.fields.text import identity
from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.errors import (
    AmountMissingError,
    AmountTooLargeError,
    CurrencyMismatchError,
    ExceedsCapturedError,
    ExceedsTotalError,
    InvalidAmountError,
    PaymentMismatchError,
    RefundNotFoundError,
)
from ordering_write.domain.events import PaymentKind
from ordering_write.domain.values import TOO_LARGE, has_minor_units_only
from ordering_write.models.order.charging import Charging


class Paying(Charging):
    """Moves of payments and refunds. Facts from outside are recorded in every status."""

    class Meta(Charging.Meta):
        abstract = True

    @property
    def refundable(self) -> Decimal:
        """The amount that was captured and is neither refunded nor requested as a refund."""
        return self.captured - self.refunded - self._requested

    @property
    def credit(self) -> Decimal:
        """The amount that we owe the customer and for which no refund is requested."""
        return max(-self.balance - self._requested, Decimal(0))

    @property
    def _requested(self) -> Decimal:
        """The sum of the refunds that are requested and neither settled nor failed."""
        return sum(
            (
                Decimal(refund["amount"])
                for refund in self.refunds.values()
                if refund["status"] == "requested"
            ),
            Decimal(0),
        )

    def record_payment(
        self,
        payment_id: str,
        kind: PaymentKind,
        amount: Decimal,
        *,
        currency: str | None = None,
        method: str = "",
        reference: str = "",
        at: datetime,
    ) -> None:
        """Record a fact about a payment, true ``at``; the same fact twice changes nothing."""
        self._check_amount(amount, currency)
        payment_id = self._recorded_payment_id(payment_id)
        recorded = self.payments.get(payment_id, {}).get(kind)
        if recorded is not None:
            if Decimal(recorded) != amount:
                raise PaymentMismatchError(
                    f"Payment {payment_id} was recorded as {kind} with {recorded} {self.currency}."
                )
            return
        self._refuse_too_much(kind, amount)
        self._record(
            e.PaymentRecorded,
            now=at,
            payment_id=payment_id,
            kind=kind,
            amount=self.money(amount),
            method=method,
            reference=reference,
        )

    def _recorded_payment_id(self, payment_id: str) -> str:
        """Return ``payment_id`` as it was spelled when it was recorded first."""
        if payment_id in self.payments:
            return payment_id
        same = identity(payment_id)
        return next((other for other in self.payments if identity(other) == same), payment_id)

    def _refuse_too_much(self, kind: PaymentKind, amount: Decimal) -> None:
        """Raise AmountTooLargeError if the columns can't hold the sum of the payments."""
        sums = {PaymentKind.AUTHORIZED: self.authorized, PaymentKind.CAPTURED: self.captured}
        if kind in sums and sums[kind] + amount >= TOO_LARGE:
            raise AmountTooLargeError(
                f"The payments of an order can't add up to {TOO_LARGE} or more.",
                pointer="#/amount",
            )

    def may_request_refund(self) -> None:
        if not self.refundable:
            raise ExceedsCapturedError(
                f"Nothing of order {self.order_number} was captured that isn't refunded already."
            )

    def request_refund(
        self,
        amount: Decimal,
        reason: str,
        *,
        refund_id: UUID,
        lines: Sequence[LineQuantity] | None = None,
        return_id: UUID | None = None,
        now: datetime,
    ) -> None:
        """Request that ``amount`` is paid back.

        An amount beyond the credit of a paid order is goodwill, unless it is for ``lines`` or a
        return: the refund then anticipates their credit. While something is due, the refund gives
        back a payment, and its amount is due again.
        """
        self.may_request_refund()
        self._check_amount(amount, None)
        for number, item in enumerate(lines or ()):
            self.line(item.line_id, f"#/lines/{number}/line_id")
        if amount > self.refundable:
            raise ExceedsCapturedError(
                f"{amount} {self.currency} were to be refunded, "
                f"{self.money(self.refundable).amount} can be."
            )
        goodwill = amount - self.credit
        is_goodwill = goodwill > 0 and self.balance <= 0 and not lines and return_id is None
        self._record(
            e.RefundRequested,
            now=now,
            refund_id=refund_id,
            amount=self.money(amount),
            lines=[e.Units(**item.model_dump()) for item in lines] if lines else None,
            return_id=return_id,
            reason=reason,
        )
        if is_goodwill:
            self._give(goodwill, reason, now)

    # --- Goodwill --------------------------------------------------------------------------------
    def may_grant_goodwill(self) -> None:
        if self.due <= 0:
            raise ExceedsTotalError(f"Nothing of order {self.order_number} is charged any more.")

    def grant_goodwill(
        self, amount: Decimal, reason: str, *, refund_id: UUID, now: datetime
    ) -> None:
        """Lower the total by ``amount``, and request a refund of what is paid of this amount."""
        self.may_grant_goodwill()
        self._check_amount(amount, None)
        if amount > self.due:
            raise ExceedsTotalError(
                f"{amount} {self.currency} were to be granted, the order costs "
                f"{self.money(self.due).amount}."
            )
        self._give(amount, reason, now)
        refund = min(amount, self.credit)
        if refund > 0:
            self._record(
                e.RefundRequested,
                now=now,
                refund_id=refund_id,
                amount=self.money(refund),
                reason=reason,
            )

    def _give(self, amount: Decimal, reason: str, now: datetime) -> None:
        self._record(
            e.OrderAdjustmentAdded,
            now=now,
            kind="goodwill",
            label="Goodwill",
            amount=self.money(amount),
            reason=reason,
        )

    # --- Outcomes of refunds ---------------------------------------------------------------------
    def settle_refund(
        self,
        refund_id: UUID,
        *,
        amount: Decimal | None = None,
        currency: str | None = None,
        reference: str = "",
        at: datetime,
    ) -> None:
        """Record that a refund reached the customer ``at``; a second time changes nothing."""
        refund = self.refunds.get(str(refund_id), {})
        paid = self._refunded_amount(refund, amount, currency)
        if refund.get("status") == "settled":
            if paid != Decimal(refund["amount"]):
                raise PaymentMismatchError(
                    f"The refund was recorded with {refund['amount']} {self.currency}."
                )
            return
        if paid > self.captured - self.refunded:
            raise ExceedsCapturedError(
                f"{paid} {self.currency} were refunded, "
                f"{self.money(self.captured - self.refunded).amount} were captured and not "
                "refunded."
            )
        self._record(
            e.RefundSettled,
            now=at,
            refund_id=refund_id,
            amount=self.money(paid),
            reference=reference,
        )

    def fail_refund(
        self, refund_id: UUID, *, reason: str = "", reference: str = "", at: datetime
    ) -> None:
        """Record that a requested refund failed ``at``; a second time changes nothing."""
        refund = self.refunds.get(str(refund_id))
        if refund is None:
            raise RefundNotFoundError
        if refund["status"] == "failed":
            return
        if refund["status"] == "settled":
            raise PaymentMismatchError("The refund was recorded as settled.")
        self._record(
            e.RefundFailed,
            now=at,
            refund_id=refund_id,
            amount=self.money(Decimal(refund["amount"])),
            reason=reason,
            reference=reference,
        )

    def _refunded_amount(
        self, refund: dict[str, str], amount: Decimal | None, currency: str | None
    ) -> Decimal:
        if amount is None:
            if not refund:
                raise AmountMissingError(pointer="#/amount")
            return Decimal(refund["amount"])
        self._check_amount(amount, currency)
        return amount

    def _check_amount(self, amount: Decimal, currency: str | None) -> None:
        if currency not in (None, self.currency):
            raise CurrencyMismatchError(
                f"The order is in {self.currency}, not in {currency}.", pointer="#/currency"
            )
        if not has_minor_units_only(amount, self.currency):
            raise InvalidAmountError(
                f"{amount} has more decimals than {self.currency}.", pointer="#/amount"
            )
