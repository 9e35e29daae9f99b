"""Refusals because of an order's state."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from ordering_write.domain.errors.base import DomainError


class InvalidOperationError(DomainError):
    """The order doesn't allow this now."""


class InvalidTransitionError(InvalidOperationError):
    """The order can't go from its status to the one asked for."""

    class Members(TypedDict):
        order_status: Annotated[str, Field(description="Status that the order is in.")]
        allowed_transitions: list[str]

    def __init__(self, message: str, *, status: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.status = status
        self.allowed = list(allowed)

    def members(self) -> Members:
        return {"order_status": self.status, "allowed_transitions": self.allowed}


class OrderAlreadyShippedError(InvalidTransitionError):
    """Cannot cancel shipped order"""


class OrderOnHoldError(InvalidTransitionError):
    """The order is on hold; release it first."""


class NotEditableError(InvalidTransitionError):
    """The lines of an order can be changed until picking starts."""


class AlreadyOnHoldError(InvalidOperationError):
    """The order is on hold already."""


class NotOnHoldError(InvalidOperationError):
    """The order is not on hold."""


class NotExpiredError(InvalidOperationError):
    """The order is paid, or its time to pay isn't over."""


class PaymentRequiredError(InvalidOperationError):
    """The order must be paid or authorized before it is packed."""


class QuantityExceedsOpenError(InvalidOperationError):
    """Fewer units are open than you asked to cancel or pack."""


class RequiresShippingError(InvalidOperationError):
    """Units that require shipping are packed; the others are handed over."""


class ExceedsDeliveredError(InvalidOperationError):
    """Fewer units were delivered than you asked to return."""


class ExceedsRequestedError(InvalidOperationError):
    """More units came back than this return expects."""


class ReturnWindowClosedError(InvalidOperationError):
    """The time to return the order is over."""


class ReturnClosedError(InvalidOperationError):
    """Every unit of this return was received or rejected."""


class ExchangeNotDueError(InvalidOperationError):
    """The return has no exchange, or its exchange isn't due."""


class ShipmentStateError(InvalidOperationError):
    """The status of the shipment doesn't allow this."""


class LabelledError(InvalidOperationError):
    """A packed parcel has a label with the address; void its shipment first."""


class ExceedsCapturedError(InvalidOperationError):
    """The amount is more than was captured and not refunded yet."""


class ExceedsAuthorizedError(InvalidOperationError):
    """The amount is more than is authorized and not captured yet."""


class NoAttentionNeededError(InvalidOperationError):
    """Nobody needs to look at the money of this order."""


class NothingToCaptureError(InvalidOperationError):
    """The amount is more than the customer still has to pay."""


class ExceedsTotalError(InvalidOperationError):
    """The amount is more than the order costs."""


class PriceRiseError(InvalidOperationError):
    """The price of a unit that has shipped can fall, and not rise."""


class RefundLimitError(InvalidOperationError):
    """This is more than you may refund; ask an administrator."""


class PaymentMismatchError(InvalidOperationError):
    """Another amount was recorded for this payment before."""

    class Members(TypedDict):
        sent: Annotated[str, Field(description="Amount that was sent.")]
        recorded: Annotated[str, Field(description="Amount that was recorded before.")]

    def __init__(self, message: str, *, sent: Decimal, recorded: Decimal) -> None:
        super().__init__(message)
        self.sent = sent
        self.recorded = recorded

    def members(self) -> Members:
        return {"sent": str(self.sent), "recorded": str(self.recorded)}


class TooManyTagsError(InvalidOperationError):
    """An order has 20 tags at most."""


class TooManyPairsError(InvalidOperationError):
    """An order, a line or a customer has 50 pairs of metadata at most."""


class TooManyAdjustmentsError(InvalidOperationError):
    """An order has 100 adjustments at most."""


class TooManyLinesError(InvalidOperationError):
    """An order has 200 lines at most."""
