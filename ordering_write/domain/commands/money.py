"""Commands about payments and refunds."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from config.fields.amount import Amount
from config.fields.text import Text
from ordering_write.domain.commands.base import Command, FactTime, OptionalText, Reason
from ordering_write.domain.commands.order import Lines
from ordering_write.domain.events import PaymentKind
from ordering_write.domain.values import Currency

PositiveAmount = Annotated[Amount, Field(gt=0)]


class RecordPayment(Command):
    """Record a fact about a payment, from a gateway or a till, whatever the order's status.

    ``payment_id`` is the gateway's id, the same when the payment is authorized, captured, voided or
    charged back. ``reference`` is the gateway's name of this fact: the same payment, kind and
    reference is the same fact. Without a reference, the same payment, kind, amount and
    ``happened_at`` is the same fact. Captures of a payment add up. ``reason`` says why a payment
    failed. Without ``currency`` the amount is in the order's currency.
    """

    order_id: UUID
    payment_id: Annotated[str, Text(max_length=100), Field(examples=["payment-1"])]
    kind: PaymentKind
    amount: PositiveAmount
    currency: Currency | None = None
    method: OptionalText = ""
    reference: Annotated[OptionalText, Field(examples=["capture-1"])] = ""
    reason: OptionalText = ""
    happened_at: FactTime | None = None


class CapturePayment(Command):
    """Have the gateway capture an authorized amount: what the dispatched units cost, or ``amount``.

    The capture is at most what is authorized and what is due, of the payment with ``payment_id`` or
    of all payments. The answer of the gateway is recorded as a fact about the payment.
    """

    order_id: UUID
    amount: PositiveAmount | None = None
    payment_id: Annotated[str, Text(max_length=100), Field(examples=["payment-1"])] | None = None


class ResolveAttention(Command):
    """Record that a person has looked at the money of an order, and what came of it.

    The reasons for which the order needs attention end. A new cause gives a reason again.
    """

    order_id: UUID
    note: Annotated[str, Text(max_length=500, lines=True), Field(examples=["The bank is asked"])]


class RequestRefund(Command):
    """Request a refund of at most the amount captured and not refunded yet.

    What a paid order is refunded beyond the credit owed is goodwill, unless the refund is for
    ``lines`` or a return.
    """

    order_id: UUID
    amount: PositiveAmount
    lines: Lines | None = None
    return_id: UUID | None = None
    reason: Reason


class GrantGoodwill(Command):
    """Lower the total of an order, and request a refund of what is paid of this amount.

    Goodwill isn't allocated to lines, so that a later return is credited whole.
    """

    order_id: UUID
    amount: PositiveAmount
    reason: Reason


class RecordRefund(Command):
    """Record that a refund reached the customer, or failed; a settled refund that fails bounces.

    A refund is known by its ``refund_id`` and by its ``reference``, the gateway's name of the
    refund, whichever is reported first. A report with a reference alone needs an ``amount``, and
    belongs to the oldest open request of this amount, else to a refund that was made elsewhere.
    """

    order_id: UUID
    outcome: Literal["settled", "failed"]
    refund_id: UUID | None = None
    amount: PositiveAmount | None = None
    currency: Currency | None = None
    reason: Annotated[OptionalText, Field(examples=["The parcel came late"])] = ""
    reference: OptionalText = ""
    happened_at: FactTime | None = None
