"""Events of payments and refunds."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from ordering_write.domain.events.order import OrderEvent, Units
from ordering_write.domain.events.states import Attention, PaymentKind
from ordering_write.domain.values import Money


class PaymentRecorded(OrderEvent):
    """``payment_id`` is the gateway's id; ``timestamp`` is the time that the gateway reports.

    ``reference`` is the gateway's name of this fact, ``reason`` why it failed. ``happened_at`` is
    the reported time if it was ahead of our clock.
    """

    payment_id: str
    kind: PaymentKind
    amount: Money
    method: str = ""
    reference: str = ""
    reason: str | None = None
    happened_at: AwareDatetime | None = None


class CaptureRequested(OrderEvent):
    """The gateway is to capture ``amount``. A PaymentRecorded of the same amount is the answer."""

    capture_id: UUID
    payment_id: str
    amount: Money


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


class AttentionResolved(OrderEvent):
    """A person has looked at the money of the order, which ends the ``reasons`` for attention."""

    reasons: list[Attention]
    note: str


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


class CreditTransferred(OrderEvent):
    """Credit of a returned order pays the order that was placed in exchange.

    Both orders have the event, with the same ``amount``: ``out`` of the returned order, where it
    counts as refunded, and ``in`` to the other order, where it counts as captured. ``other_order``
    fields name the order at the other end. ``payment_ids`` are the gateway's payments that hold the
    money.
    """

    return_id: UUID
    direction: Literal["out", "in"]
    other_order_id: UUID
    other_order_number: str
    amount: Money
    payment_ids: list[str] = []
