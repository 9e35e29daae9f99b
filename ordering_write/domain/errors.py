"""The refusals of the domain. A docstring is the message, unless the code that raises gives one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NotRequired
from uuid import UUID

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from config.fields.members import BodyErrors, DetailedError


class DomainError(DetailedError):
    """The request was refused."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class NoHandlerFoundError(DomainError):
    """No handler is registered for this command or query."""


# --- Nothing has this id -------------------------------------------------------------------------
class NotFoundError(DomainError):
    """There is nothing with this id."""


class OrderNotFoundError(NotFoundError):
    """Order not found"""


class ProductNotFoundError(NotFoundError):
    """Product not found"""


class CustomerNotFoundError(NotFoundError):
    """Customer not found"""


class ShipmentNotFoundError(NotFoundError):
    """The order has no such shipment."""


class ReturnNotFoundError(NotFoundError):
    """The order has no such return."""


class RefundNotFoundError(NotFoundError):
    """The order has no such refund."""


class NoteNotFoundError(NotFoundError):
    """The order has no such note."""


# --- The order's state doesn't allow it ----------------------------------------------------------
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


class ExceedsDeliveredError(InvalidOperationError):
    """Fewer units were delivered than you asked to return."""


class ExceedsRequestedError(InvalidOperationError):
    """More units came back than this return expects."""


class ReturnWindowClosedError(InvalidOperationError):
    """The time to return the order is over."""


class ReturnClosedError(InvalidOperationError):
    """Every unit of this return was received or rejected."""


class ShipmentStateError(InvalidOperationError):
    """The status of the shipment doesn't allow this."""


class ExceedsCapturedError(InvalidOperationError):
    """The amount is more than was captured and not refunded yet."""


class RefundLimitError(InvalidOperationError):
    """This is more than you may refund; ask an administrator."""


class PaymentMismatchError(InvalidOperationError):
    """Another amount was recorded for this payment before."""


class TooManyTagsError(InvalidOperationError):
    """An order has 20 tags at most."""


class TooManyLinesError(InvalidOperationError):
    """An order has 200 lines at most."""


# --- A field of the command is wrong -------------------------------------------------------------
class FieldError(DomainError):
    """A field of the command contradicts what is stored."""

    class Members(BodyErrors):
        pass

    def __init__(self, message: str = "", *, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer

    def members(self) -> Members:
        code = type(self).__name__.removesuffix("Error")
        kebab = "".join(f"-{c.lower()}" if c.isupper() else c for c in code).lstrip("-")
        return {"errors": [{"pointer": self.pointer, "detail": str(self), "code": kebab}]}


class UnknownCustomerError(FieldError):
    """There is no such customer."""


class UnknownProductError(FieldError):
    """There is no such product."""


class InvalidAmountError(FieldError):
    """The amount has more decimals than its currency."""


class AmountTooLargeError(FieldError):
    """The amount is too large to be stored."""


class ShopOnlyError(FieldError):
    """Only the shop can set this field."""


class MixedCurrencyError(FieldError):
    """An order has one currency."""


class StatusNotSettableError(FieldError):
    """This status follows from facts and can't be set."""


class PriceMismatchError(FieldError):
    """The price is not the list price."""

    class Members(FieldError.Members):
        sent: Annotated[str, Field(description="Price that was sent.")]
        expected: Annotated[
            str | None,
            WithJsonSchema({"type": ["string", "null"], "description": "List price, if any."}),
        ]

    def __init__(
        self, message: str, *, pointer: str, sent: Decimal, expected: Decimal | None
    ) -> None:
        super().__init__(message, pointer=pointer)
        self.sent = sent
        self.expected = expected

    def members(self) -> Members:
        expected = None if self.expected is None else str(self.expected)
        return {**super().members(), "sent": str(self.sent), "expected": expected}


class UnknownLineError(FieldError):
    """The order has no such line."""


class RepeatedLineError(FieldError):
    """A line is named twice."""


class UnknownOrderError(FieldError):
    """There is no such order."""


class UnknownAssigneeError(FieldError):
    """There is no such member of staff."""


class CurrencyMismatchError(FieldError):
    """The amount is in another currency than the order."""


class AmountMissingError(FieldError):
    """A refund without a request needs an amount."""


class InFutureError(FieldError):
    """The time lies in the future."""


class QuantityTooSmallError(FieldError):
    """The quantity must be larger than the cancelled units of the line."""


class ProductInactiveError(FieldError):
    """This product isn't sold any more."""


class PriceReasonMissingError(FieldError):
    """Another price than the list price needs a reason."""


class WouldGoNegativeError(DomainError):
    """The stock would fall below the reserved units, or below zero."""


class HasOpenOrdersError(DomainError):
    """The customer has orders that aren't closed; close them first."""


class CustomerErasedError(DomainError):
    """The customer was erased; that is final."""


class CustomerBlockedError(DomainError):
    """The customer is blocked and can't place orders."""


class DuplicateSkuError(DomainError):
    """Another product has this SKU."""


class DuplicateProductError(DomainError):
    """A product with this id is registered already."""


class DuplicateReferenceError(FieldError):
    """Another order has this external reference."""


class DuplicateCustomerError(DomainError):
    """A customer with this id is registered already."""


class DuplicateEmailError(DomainError):
    """Another customer has this e-mail address."""


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """A product with fewer available units than requested."""

    product_id: UUID
    sku: str
    requested: int
    available: int

    def __str__(self) -> str:
        return f"{self.requested} requested of {self.sku}, {self.available} available"


class ShortageMember(TypedDict):
    """Units of a product that were requested, and that are available."""

    product_id: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
    requested: int
    available: int


class InsufficientInventoryError(DomainError):
    """Insufficient inventory: there is less in stock than was asked for."""

    class Members(TypedDict):
        shortages: Annotated[list[ShortageMember], Field(description="Products short of units.")]

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        super().__init__(f"Insufficient inventory: {'; '.join(map(str, shortages))}.")
        self.shortages = list(shortages)

    def members(self) -> Members:
        return {
            "shortages": [
                {
                    "product_id": str(s.product_id),
                    "requested": s.requested,
                    "available": s.available,
                }
                for s in self.shortages
            ]
        }


# --- Retries and races ---------------------------------------------------------------------------
class IdempotencyKeyReusedError(DomainError):
    """This idempotency key was used for another command."""


class IdempotencyInFlightError(DomainError):
    """The first request with this idempotency key is still running; try again."""


class IdempotencyKeyExpiredError(DomainError):
    """The first request with this idempotency key took effect; its response is no longer stored."""


class EventSince(TypedDict):
    """An event that the client hasn't seen; customers don't see its actor."""

    type: str
    version: Annotated[int, Field(ge=0)]
    timestamp: datetime
    actor: NotRequired[dict[str, Any]]


class VersionConflictError(DomainError):
    """The resource has changed since the version that you expected."""

    class Members(TypedDict):
        current_version: Annotated[int, Field(ge=0)]
        events_since: Annotated[list[EventSince], Field(description="Later events of the stream.")]

    def __init__(self, *, stream: str, expected: int, current: int) -> None:
        # A negative version stands for an ETag that no version had.
        text = (
            f"You expected version {expected}, but it is at version {current}."
            if expected >= 0
            else f"Your tag names no version of this resource, which is at version {current}."
        )
        super().__init__(text)
        self.stream = stream
        self.expected = expected
        self.current = current
        # The API fills it in, with what the client may see.
        self.events_since: list[EventSince] = []

    def members(self) -> Members:
        return {"current_version": self.current, "events_since": self.events_since}


class ConcurrentUpdateError(DomainError):
    """Too many changes at once; try again."""


class NotPermittedError(DomainError):
    """You don't have the permission that this command needs."""

    class Members(TypedDict):
        needed_permission: str

    def __init__(self, permission: str) -> None:
        super().__init__(f"This needs the permission {permission}.")
        self.permission = permission

    def members(self) -> Members:
        return {"needed_permission": self.permission}
