"""The facts about the payments of an order, as its column ``payments`` keeps them.

The column is ``{payment_id: {kind: sum, "facts": [fact]}}``. Earlier releases read and write the
sums alone; the facts that they left out are in the log.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ordering_write.domain.events import PaymentKind, PaymentRecorded

# The facts about one payment: sums by kind, and the list of facts.
Payment = Mapping[str, Any]

# The change of the captured amount for each unit of money.
CAPTURED_SIGNS = {
    PaymentKind.CAPTURED: 1,
    PaymentKind.CHARGEBACK: -1,
    PaymentKind.CHARGEBACK_REVERSED: 1,
}


class PaymentFact(NamedTuple):
    """A fact about a payment. ``at`` is the reported time (aware), else the recorded one."""

    amount: Decimal
    reference: str
    at: datetime


def add_fact(payments: dict[str, dict[str, Any]], event: PaymentRecorded) -> None:
    """Add the fact of ``event`` to ``payments``."""
    payment = payments.setdefault(event.payment_id, {})
    amount = event.amount.amount
    payment[event.kind.value] = str(sum_of(payment, event.kind) + amount)
    fact = {
        "kind": event.kind.value,
        "amount": str(amount),
        "reference": event.reference,
        "at": (event.happened_at or event.timestamp).astimezone(UTC).isoformat(),
    }
    payment.setdefault("facts", []).append(fact)


def facts_of(payment: Payment, kind: PaymentKind) -> Iterator[PaymentFact]:
    """Yield the facts of ``kind``, in the order in which they were recorded."""
    for fact in payment.get("facts", ()):
        if fact["kind"] == kind:
            yield PaymentFact(
                amount=Decimal(fact["amount"]),
                reference=fact["reference"],
                at=datetime.fromisoformat(fact["at"]),
            )


def sum_of(payment: Payment, kind: PaymentKind) -> Decimal:
    """Return the sum of the facts of ``kind``."""
    return Decimal(payment.get(kind.value, 0))


def authorized_rest(payment: Payment) -> Decimal:
    """Return the authorized amount that can still be captured: nothing once it is voided."""
    if PaymentKind.VOIDED in payment:
        return Decimal(0)
    return max(sum_of(payment, PaymentKind.AUTHORIZED) - captured_sum(payment), Decimal(0))


def excess(payment: Payment) -> Decimal:
    """Return the amount captured beyond the authorized one; 0 for a payment without one."""
    if PaymentKind.AUTHORIZED not in payment:
        return Decimal(0)
    return max(captured_sum(payment) - sum_of(payment, PaymentKind.AUTHORIZED), Decimal(0))


def captured_sum(payment: Payment) -> Decimal:
    """Return the captured amount, whatever was taken back later."""
    return sum_of(payment, PaymentKind.CAPTURED)


def sum_of_all(payments: Iterable[Payment], kind: PaymentKind) -> Decimal:
    """Return the sum of the facts of ``kind`` about all payments."""
    return sum((sum_of(payment, kind) for payment in payments), Decimal(0))


def have_all_facts(payments: Mapping[str, Payment]) -> bool:
    """Return True if no sum lacks a fact, as in rows that an earlier release has written."""
    return all(
        sum((fact.amount for fact in facts_of(payment, kind)), Decimal(0)) == sum_of(payment, kind)
        for payment in payments.values()
        for kind in PaymentKind
    )
