"""Outcomes of refunds, which gateways report by the id of a refund or by its reference."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from config.fields.text import identity
from ordering_write.domain import events as e
from ordering_write.domain.errors import AmountMissingError, RefundNotFoundError
from ordering_write.models.order.accounting import Accounting

# A refund as the state keeps it: amount, status, reference, the time of the last event, and the
# references of attempts that failed before the present one.
_Refund = dict[str, Any]


class Refunding(Accounting):
    """Moves that settle, fail or bounce refunds.

    A reference is the gateway's name of one attempt to refund. The failure of an attempt is final,
    whether its report comes before or after that of the settlement. Another attempt has another
    reference.
    """

    class Meta(Accounting.Meta):
        abstract = True

    def reported_refund_id(
        self, refund_id: UUID | None, *, reference: str, amount: Decimal | None, new_id: UUID
    ) -> UUID:
        """Return the id of the refund that a report is about.

        The reference decides, then the id. A reference that is reported without an id belongs to
        the oldest open request of the amount, else to a refund of its own. ``new_id`` is the id of
        a refund that is reported with neither.

        Raises RefundNotFoundError for an unknown ``refund_id``.
        """
        if refund_id is not None and str(refund_id) not in self.refunds:
            raise RefundNotFoundError
        name = identity(reference)
        if not name:
            return refund_id or new_id
        for key, refund in self.refunds.items():
            if name in _references(refund):
                return UUID(key)
        if refund_id is not None:
            refund = self.refunds[str(refund_id)]
            if refund["status"] != "settled" or not refund.get("reference"):
                return refund_id
            # Another attempt has taken this request, by its amount: the two change places.
            amount = amount or Decimal(refund["amount"])
        requests = [
            (refund.get("at", ""), key)
            for key, refund in self.refunds.items()
            if refund["status"] == "requested" and Decimal(refund["amount"]) == amount
        ]
        return UUID(min(requests)[1]) if requests else uuid5(self.id, name)

    def close_request(
        self, refund_id: UUID, reported_id: UUID, *, has_failed: bool, at: datetime
    ) -> None:
        """Close a request whose outcome was recorded for another refund, by its reference alone.

        A request stays open if another request of the same amount has taken its settlement, because
        the outcome of the other request is still to come.
        """
        reported, refund = self.refunds[str(reported_id)], self.refunds[str(refund_id)]
        own_ids = [uuid5(self.id, name) for name in _references(reported)]
        is_open = reported_id != refund_id and refund["status"] == "requested"
        if is_open and (has_failed or reported_id in own_ids):
            self._record(
                e.RefundFailed,
                now=at,
                refund_id=refund_id,
                amount=self.money(Decimal(refund["amount"])),
                reason=f"recorded as the refund {reported['reference']}",
            )

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
        if amount is None:
            if not refund:
                raise AmountMissingError(pointer="#/amount")
            amount = Decimal(refund["amount"])
        self._check_amount(amount, currency)
        status = refund.get("status")
        if status == "settled":
            self._refuse_other_amount("The refund was recorded", amount, Decimal(refund["amount"]))
            self._keep_reference(refund_id, reference, at)
            return
        has_failed_since = bool(refund) and _has_failed_since(refund, reference, at)
        if status == "bounced" and has_failed_since:
            return
        self._refuse_too_much(refunded=amount)
        self._record(
            e.RefundSettled,
            now=at,
            refund_id=refund_id,
            amount=self.money(amount),
            reference=reference,
        )
        if has_failed_since:
            # The failure was reported before the settlement.
            self._bounce(refund_id, datetime.fromisoformat(refund["at"]), reference=reference)

    def fail_refund(
        self,
        refund_id: UUID,
        *,
        amount: Decimal | None = None,
        currency: str | None = None,
        reason: str = "",
        reference: str = "",
        at: datetime,
    ) -> None:
        """Record that a refund failed ``at``, or bounced if it had settled.

        A second time changes nothing. Raises RefundNotFoundError for an unknown refund, unless the
        report has a reference and an amount: the settlement may be reported later.
        """
        refund = self.refunds.get(str(refund_id))
        if refund is None and not (reference and amount):
            raise RefundNotFoundError
        recorded = Decimal(refund["amount"]) if refund else amount or Decimal(0)
        if amount is not None:
            self._check_amount(amount, currency)
        status = refund["status"] if refund else "requested"
        if refund is None or status == "requested" or _is_further_attempt(refund, reference):
            self._record(
                e.RefundFailed,
                now=at,
                refund_id=refund_id,
                amount=self.money(recorded),
                reason=reason,
                reference=reference,
            )
        elif status != "settled":
            self._keep_reference(refund_id, reference, at)
        elif not _is_earlier_attempt(refund, reference, at):
            self._refuse_other_amount("The refund was recorded", amount or recorded, recorded)
            self._bounce(refund_id, at, reason=reason, reference=reference)

    def _bounce(self, refund_id: UUID, at: datetime, **texts: str) -> None:
        amount = self.money(Decimal(self.refunds[str(refund_id)]["amount"]))
        self._record(e.RefundBounced, now=at, refund_id=refund_id, amount=amount, **texts)

    def _keep_reference(self, refund_id: UUID, reference: str, at: datetime) -> None:
        """Record the first reference of a refund whose outcome was recorded without one."""
        if reference and not self.refunds[str(refund_id)].get("reference"):
            self._record(e.RefundReferenced, now=at, refund_id=refund_id, reference=reference)

    # --- For the state machine -------------------------------------------------------------------
    def _change_refund(
        self,
        event: e.RefundRequested | e.RefundSettled | e.RefundFailed | e.RefundBounced,
        status: str,
    ) -> None:
        before: _Refund = self.refunds.get(str(event.refund_id), {})
        former_reference = before.get("reference", "")
        reference = getattr(event, "reference", "") or former_reference
        failed = list(before.get("failed", ()))
        if former_reference and identity(former_reference) != identity(reference):
            failed.append(former_reference)
        refund: _Refund = {
            "amount": str(event.amount.amount),
            "status": status,
            "reference": reference,
            "at": event.timestamp.astimezone(UTC).isoformat(),
        }
        self.refunds[str(event.refund_id)] = {**refund, **({"failed": failed} if failed else {})}


def _references(refund: _Refund) -> list[str]:
    """Return the names of all attempts of a refund, as they are compared."""
    names = [refund.get("reference", ""), *refund.get("failed", ())]
    return [identity(name) for name in names if name]


def _has_failed_since(refund: _Refund, reference: str, at: datetime) -> bool:
    """Return True if the attempt that settled ``at`` is known to have failed."""
    if refund["status"] not in ("failed", "bounced"):
        return False
    if reference and refund.get("reference"):
        return identity(reference) in _references(refund)
    return at <= datetime.fromisoformat(refund["at"])


def _is_further_attempt(refund: _Refund, reference: str) -> bool:
    """Return True if a failure is of an attempt after the one that failed."""
    has_failed = refund["status"] in ("failed", "bounced")
    is_named = bool(reference and refund.get("reference"))
    return has_failed and is_named and identity(reference) not in _references(refund)


def _is_earlier_attempt(refund: _Refund, reference: str, at: datetime) -> bool:
    """Return True if a failure is of an attempt before the one that settled."""
    if reference and refund.get("reference"):
        return identity(reference) != identity(refund["reference"])
    return at < datetime.fromisoformat(refund["at"])
