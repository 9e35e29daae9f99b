"""Every way in which the domain says no. The docstring is the message, unless the place that
raises knows more."""

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


# --- Not there ---------------------------------------------------------------------------------
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


# --- The order can't do that -------------------------------------------------------------------
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
    """What was ordered can be changed until picking starts."""


class AlreadyOnHoldError(InvalidOperationError):
    """The order is on hold already."""


class NotOnHoldError(InvalidOperationError):
    """The order is not on hold."""


class NotExpiredError(InvalidOperationError):
    """The order is paid, or its time isn't over."""


class PaymentRequiredError(InvalidOperationError):
    """The order must be paid or authorized before it is packed."""


class QuantityExceedsOpenError(InvalidOperationError):
    """There are fewer units left to cancel or pack than was asked for."""


class ExceedsDeliveredError(InvalidOperationError):
    """There are fewer delivered units than were to be returned."""


class ExceedsRequestedError(InvalidOperationError):
    """More came back than this return asked for."""


class ReturnWindowClosedError(InvalidOperationError):
    """The time in which it could be returned is over."""


class ReturnClosedError(InvalidOperationError):
    """Everything of this return was received or rejected."""


class ShipmentStateError(InvalidOperationError):
    """The shipment isn't where it would have to be for this."""


class ExceedsCapturedError(InvalidOperationError):
    """More than was captured and isn't refunded yet."""


class RefundLimitError(InvalidOperationError):
    """This is more than you may refund; ask an administrator."""


class PaymentMismatchError(InvalidOperationError):
    """Another amount was recorded for this payment before."""


class TooManyTagsError(InvalidOperationError):
    """An order has 20 tags at most."""


class TooManyLinesError(InvalidOperationError):
    """An order has 200 lines at most."""


# --- The request names something that is not as it should be -----------------------------------
class FieldError(DomainError):
    """A field of the command is wrong in a way that only the records can tell."""

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
    """The amount is larger than what can be booked."""


class ShopOnlyError(FieldError):
    """Customers can't set this; the shop does."""


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
    """A refund that nobody has requested here needs an amount."""


class InFutureError(FieldError):
    """What has happened lies in the past."""


class QuantityTooSmallError(FieldError):
    """A line asks for at least one unit more than were cancelled of it."""


class ProductInactiveError(FieldError):
    """This product isn't sold any more."""


class PriceReasonMissingError(FieldError):
    """Another price than the list price needs a reason."""


class WouldGoNegativeError(DomainError):
    """There would be less in stock than was promised, or less than nothing."""


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
    """One product of which there is less than was asked for."""

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


# --- Retries and races -------------------------------------------------------------------------
class IdempotencyKeyReusedError(DomainError):
    """This idempotency key was used for another command."""


class IdempotencyInFlightError(DomainError):
    """The first request with this idempotency key is still at work; try again."""


class IdempotencyKeyExpiredError(DomainError):
    """The first request with this idempotency key took effect; its answer is no longer kept."""


class EventSince(TypedDict):
    """An event that the client hasn't seen; customers don't see its actor."""

    type: str
    version: Annotated[int, Field(ge=0)]
    timestamp: datetime
    actor: NotRequired[dict[str, Any]]


class VersionConflictError(DomainError):
    """Somebody else changed it in the meantime."""

    class Members(TypedDict):
        current_version: Annotated[int, Field(ge=0)]
        events_since: Annotated[list[EventSince], Field(description="Later events of the stream.")]

    def __init__(self, *, stream: str, expected: int, current: int) -> None:
        # Below zero stands for a version that there never was.
        wanted = f"version {expected}" if expected >= 0 else "none of its versions"
        super().__init__(f"You expected {wanted}, but it is at version {current}.")
        self.stream = stream
        self.expected = expected
        self.current = current
        # Filled in by whoever tells a client, with what that client may know.
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
