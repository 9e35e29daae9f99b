"""What the shop sells, and what it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.models import StockItem
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """What an order remembers of a product, and whether it is still sold."""

    sku: str
    name: str
    is_active: bool = True


@runtime_checkable
class CatalogPort(Protocol):
    """Knows the products.

    It is asked while their stock is locked, so it answers from what is at hand: an adapter to a
    catalogue far away keeps a copy.
    """

    def get(self, products: Mapping[UUID, StockItem]) -> Mapping[UUID, CatalogEntry]:
        """The entry of each of ``products``, by its id; one that it leaves out isn't sold."""
        ...


class StockCatalog:
    """Sells whatever is in the books of the stock, under the name that it has there."""

    def get(self, products: Mapping[UUID, StockItem]) -> Mapping[UUID, CatalogEntry]:
        return {
            product_id: CatalogEntry(sku=product.sku, name=product.name)
            for product_id, product in products.items()
        }


def catalog_port() -> CatalogPort:
    """The adapter that settings.PORTS names."""
    return cast(CatalogPort, adapter("catalog"))
