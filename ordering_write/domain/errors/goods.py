"""Refusals because of stock or of a customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from ordering_write.domain.errors.base import DomainError
from ordering_write.domain.errors.order import InvalidOperationError


class DiscontinuedError(InvalidOperationError):
    """The product isn't sold any more."""


class WouldGoNegativeError(DomainError):
    """The stock would fall below the reserved units, or below zero."""


class TooManyExpectationsError(DomainError):
    """Units of a product can be expected at 50 times at most."""


class TooManyUnitsError(DomainError):
    """A product can have at most 2,147,483,647 units on hand, reserved or oversold."""


class HasOpenOrdersError(DomainError):
    """The customer has orders that aren't closed; close them first."""


class CustomerErasedError(DomainError):
    """The customer was erased; that is final."""


class CustomerBlockedError(DomainError):
    """The customer is blocked and can't place orders."""


class TooManyOpenOrdersError(DomainError):
    """The customer has as many open orders as a customer may have."""


class TooManyOpenUnitsError(DomainError):
    """The customer has more units in open orders than a customer may have."""


class DuplicateSkuError(DomainError):
    """Another product has this SKU."""


class DuplicateProductError(DomainError):
    """A product with this id is registered already."""


class DuplicateCustomerError(DomainError):
    """A customer with this id is registered already."""


class DuplicateEmailError(DomainError):
    """Another customer has this e-mail address."""

    quotes_person = True


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


class ShortageMembers(TypedDict):
    """The members of a problem that lists shortages."""

    shortages: Annotated[list[ShortageMember], Field(description="Products short of units.")]


def _members(shortages: Sequence[Shortage]) -> ShortageMembers:
    return {
        "shortages": [
            {
                "product_id": str(shortage.product_id),
                "requested": shortage.requested,
                "available": shortage.available,
            }
            for shortage in shortages
        ]
    }


class InsufficientInventoryError(DomainError):
    """Insufficient inventory: there is less in stock than was asked for."""

    class Members(ShortageMembers):
        pass

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        super().__init__(f"Insufficient inventory: {'; '.join(map(str, shortages))}.")
        self.shortages = list(shortages)

    def members(self) -> ShortageMembers:
        return _members(self.shortages)


class ExceedsStockError(InvalidOperationError):
    """Fewer units are in stock for this order than you asked to pack or dispatch."""

    class Members(ShortageMembers):
        pass

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        super().__init__(
            "; ".join(
                f"{shortage.requested} units of {shortage.sku} were asked for, "
                f"{shortage.available} are in stock for this order"
                for shortage in shortages
            )
            + "."
        )
        self.shortages = list(shortages)

    def members(self) -> ShortageMembers:
        return _members(self.shortages)
