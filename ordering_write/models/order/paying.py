"""Payments and refunds."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from config.fields.text import identity
from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.errors import (
    ExceedsCapturedError,
    ExceedsTotalError,
    NoAttentionNeededError,
    ReferenceNeededError,
)
from ordering_write.domain.events import PaymentKind
from ordering_write.domain.prices import adjustment_id
from ordering_write.models.order.accounting import Accounting
from ordering_write.models.order.payments import CAPTURED_SIGNS, facts_of


class Paying(Accounting):
    """Moves of payments and refunds. Facts from outside are recorded in every status."""

    class Meta(Accounting.Meta):
        abstract = True

    def record_payment(
        self,
        payment_id: str,
        kind: PaymentKind,
        amount: Decimal,
        *,
        currency: str | None = None,
        method: str = "",
        reference: str = "",
        reason: str = "",
        happened_at: datetime | None = None,
        at: datetime,
    ) -> None:
        """Record a fact about a payment, true ``at``; the same fact twice changes nothing.

        ``happened_at`` is the time that was reported with the fact, None if none was. Raises
        PaymentMismatchError for a recorded fact with another amount, and ReferenceNeededError if
        neither reference nor time tells the fact from a recorded one.
        """
        self._check_amount(amount, currency)
        payment_id = self._recorded_payment_id(payment_id)
        if self._is_recorded(payment_id, kind, amount, reference, happened_at):
            return
        is_authorized = kind == PaymentKind.AUTHORIZED
        self._refuse_too_much(
            authorized=amount if is_authorized else Decimal(0),
            captured=CAPTURED_SIGNS.get(kind, 0) * amount,
        )
        self._record(
            e.PaymentRecorded,
            now=at,
            payment_id=payment_id,
            kind=kind,
            amount=self.money(amount),
            method=method,
            reference=reference,
            reason=reason or None,
            happened_at=None if happened_at == at else happened_at,
        )

    def _is_recorded(
        self,
        payment_id: str,
        kind: PaymentKind,
        amount: Decimal,
        reference: str,
        happened_at: datetime | None,
    ) -> bool:
        """Return True if the fact is recorded. Raises the errors of ``record_payment``."""
        payment = self.payments.get(payment_id, {})
        if kind not in payment:
            return False
        facts = list(facts_of(payment, kind))
        if reference:
            name = identity(reference)
            same_fact = next((fact for fact in facts if identity(fact.reference) == name), None)
            if same_fact is not None:
                self._refuse_other_amount(f"{payment_id} was {kind}", amount, same_fact.amount)
                return True
        elif happened_at is None:
            raise ReferenceNeededError(
                f"Payment {payment_id} is recorded as {kind} already. Send the gateway's reference "
                "of this fact or its happened_at, also if it is the same fact.",
                pointer="#/reference",
            )
        # Two references are two facts, even of the same moment.
        return any(
            (fact.amount, fact.at) == (amount, happened_at) and not (reference and fact.reference)
            for fact in facts
        )

    def may_resolve_attention(self) -> None:
        if not self.attention:
            raise NoAttentionNeededError(
                f"Nobody needs to look at the money of order {self.order_number}."
            )

    def resolve_attention(self, note: str, *, now: datetime) -> None:
        """Record that a person has looked at the money, and what came of it: ``note``."""
        self.may_resolve_attention()
        self._record(e.AttentionResolved, now=now, reasons=list(self.attention), note=note)

    def may_request_refund(self) -> None:
        if self.refundable <= 0:
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
            self._add_goodwill(goodwill, reason, adjustment_id(refund_id, 0), now)

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
        self._add_goodwill(amount, reason, adjustment_id(refund_id, 0), now)
        refund = min(amount, self.credit)
        if refund > 0:
            self._record(
                e.RefundRequested,
                now=now,
                refund_id=refund_id,
                amount=self.money(refund),
                reason=reason,
            )

    def _add_goodwill(self, amount: Decimal, reason: str, goodwill_id: UUID, now: datetime) -> None:
        self._record(
            e.OrderAdjustmentAdded,
            now=now,
            kind="goodwill",
            label="Goodwill",
            adjustment_id=goodwill_id,
            amount=self.money(amount),
            reason=reason,
        )
