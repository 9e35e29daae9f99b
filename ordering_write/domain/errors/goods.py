"""Refusals because of stock or of a customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from ordering_write.domain.errors.base import DomainError


class WouldGoNegativeError(DomainError):
    """The stock would fall below the reserved units, or below zero."""


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
