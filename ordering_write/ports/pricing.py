"""What products cost whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.commands import Adjustment
from ordering_write.domain.values import Money
from ordering_write.models import StockItem
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedUnits:
    """Units of a product, and what the client takes a unit to cost in the order's currency."""

    product: StockItem
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of a unit of each item, in their order, None for what has none; and what comes on
    top of the lines. ``is_ours`` is False when the prices are only those that the client sent."""

    unit_prices: Sequence[Money | None]
    adjustments: Sequence[Adjustment] = ()
    is_ours: bool = True


@runtime_checkable
class PricingPort(Protocol):
    """Sets the prices.

    It is asked while the stock of the products is locked, so it answers from what is at hand.
    """

    def quote(self, *, customer_id: UUID, currency: str, items: Sequence[PricedUnits]) -> Quote:
        """What ``items`` cost this customer in an order of ``currency``.

        A line that is added to an order later is quoted alone, and its adjustments are left out.
        """
        ...


class ListPrice:
    """Every unit costs the list price of its product."""

    def quote(self, *, customer_id: UUID, currency: str, items: Sequence[PricedUnits]) -> Quote:
        return Quote(unit_prices=[item.product.price for item in items])


class AcceptClientPrice:
    """Every unit costs what the client says: for a shop whose prices are made elsewhere."""

    def quote(self, *, customer_id: UUID, currency: str, items: Sequence[PricedUnits]) -> Quote:
        return Quote(
            unit_prices=[Money.of(item.unit_price, currency) for item in items], is_ours=False
        )


def pricing_port() -> PricingPort:
    """The adapter that settings.PORTS names."""
    return cast(PricingPort, adapter("pricing"))
