"""Refusals because of one field of the command."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, WithJsonSchema

from config.fields.members import BodyErrors
from ordering_write.domain.errors.base import DomainError


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


class AddressMissingError(FieldError):
    """Lines that require shipping need a shipping address."""


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

    quotes_person = True


class CurrencyMismatchError(FieldError):
    """The amount is in another currency than the order."""


class AmountMissingError(FieldError):
    """A refund without a request needs an amount."""


class ReferenceNeededError(FieldError):
    """Another such fact is recorded: send a reference or happened_at to tell the two apart."""


class InFutureError(FieldError):
    """The time lies in the future."""


class InPastError(FieldError):
    """The time lies in the past."""


class TooEarlyError(FieldError):
    """The time lies before an event that must come first."""


class QuantityTooSmallError(FieldError):
    """The quantity must be larger than the cancelled units of the line."""


class ProductInactiveError(FieldError):
    """This product isn't sold any more."""


class UnknownTaxClassError(FieldError):
    """The shop has no such tax class."""


class PriceReasonMissingError(FieldError):
    """Another price than the list price needs a reason."""


class DuplicateReferenceError(FieldError):
    """Another order has this external reference."""


class DuplicateNumberError(FieldError):
    """Another order has this number."""


class ImpossibleFactError(FieldError):
    """The order can't have come to this fact."""


class StatusMismatchError(FieldError):
    """The facts lead to another status."""
