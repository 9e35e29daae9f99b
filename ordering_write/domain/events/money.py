"""Events of payments and refunds."""

from uuid import UUID

from pydantic import AwareDatetime

from ordering_write.domain.events.order import OrderEvent, Units
from ordering_write.domain.events.states import PaymentKind
from ordering_write.domain.values import Money


class PaymentRecorded(OrderEvent):
    """``payment_id`` is the gateway's id; ``timestamp`` is the time that the gateway reports.

    ``reference`` is the gateway's name of this fact. ``happened_at`` is the reported time if it was
    ahead of our clock.
    """

    payment_id: str
    kind: PaymentKind
    amount: Money
    method: str = ""
    reference: str = ""
    happened_at: AwareDatetime | None = None


class RefundRequested(OrderEvent):
    refund_id: UUID
    amount: Money
    lines: list[Units] | None = None
    return_id: UUID | None = None
    reason: str


class RefundSettled(OrderEvent):
    refund_id: UUID
    amount: Money
    reference: str = ""


class RefundReferenced(OrderEvent):
    """The gateway's name of a refund became known, after its outcome."""

    refund_id: UUID
    reference: str


class RefundBounced(OrderEvent):
    """A settled refund came back: the bank of the customer didn't take the money."""

    refund_id: UUID
    amount: Money
    reason: str = ""
    reference: str = ""


class RefundFailed(OrderEvent):
    refund_id: UUID
    amount: Money
    reason: str = ""
    reference: str = ""
