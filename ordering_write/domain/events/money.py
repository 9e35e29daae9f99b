"""Events of payments and refunds."""

from uuid import UUID

from ordering_write.domain.events.order import OrderEvent, Units
from ordering_write.domain.events.states import PaymentKind
from ordering_write.domain.values import Money


class PaymentRecorded(OrderEvent):
    """``payment_id`` is the gateway's id; ``timestamp`` is the time that the gateway reports."""

    payment_id: str
    kind: PaymentKind
    amount: Money
    method: str = ""
    reference: str = ""


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


class RefundFailed(OrderEvent):
    refund_id: UUID
    amount: Money
    reason: str = ""
    reference: str = ""
