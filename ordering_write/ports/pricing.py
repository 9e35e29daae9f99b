"""The prices of products for customers."""

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
    """Units of a product, and the client's price of a unit in the order's currency."""

    product: StockItem
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of a unit of each item, in the order of the items, None where there is no price.

    ``adjustments`` are amounts beside the lines. ``is_ours`` is False if the prices are those that
    the client sent.
    """

    unit_prices: Sequence[Money | None]
    adjustments: Sequence[Adjustment] = ()
    is_ours: bool = True


@runtime_checkable
class PricingPort(Protocol):
    """Sets the prices.

    Called while the stock of the products is locked, so it must not call other systems.
    """

    def quote(self, *, customer_id: UUID, currency: str, items: Sequence[PricedUnits]) -> Quote:
        """Return the prices of ``items`` for this customer in an order of ``currency``.

        A line that is added to an order later is quoted alone, and its adjustments are ignored.
        """
        ...


class ListPrice:
    """Sells every unit at the list price of its product in the currency of the order."""

    def quote(self, *, customer_id: UUID, currency: str, items: Sequence[PricedUnits]) -> Quote:
        return Quote(unit_prices=[item.product.price_in(currency) for item in items])


class AcceptClientPrice:
    """Sells every unit at the client's price: for a shop whose prices are set elsewhere."""

    def quote(self, *, customer_id: UUID, currency: str, items: Sequence[PricedUnits]) -> Quote:
        return Quote(
            unit_prices=[Money.of(item.unit_price, currency) for item in items], is_ours=False
        )


def pricing_port() -> PricingPort:
    """Return the adapter that settings.PORTS names."""
    return cast(PricingPort, adapter("pricing"))
