"""The catalogue: which products the shop sells, and their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.models import StockItem
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """The SKU, name and tax class that an order copies, and whether the product is still sold."""

    sku: str
    name: str
    is_active: bool = True
    requires_shipping: bool = True
    tax_class: str = ""


@runtime_checkable
class CatalogPort(Protocol):
    """Knows the products.

    Called while their stock is locked, so it must not call other systems: an adapter to a remote
    catalogue keeps a copy.
    """

    def get(self, products: Mapping[UUID, StockItem]) -> Mapping[UUID, CatalogEntry]:
        """Return the entry of each product that is sold, by its id."""
        ...


class StockCatalog:
    """Sells the stock items that aren't discontinued, under their own names."""

    def get(self, products: Mapping[UUID, StockItem]) -> Mapping[UUID, CatalogEntry]:
        return {
            product_id: CatalogEntry(
                sku=product.sku,
                name=product.name,
                is_active=product.discontinued_at is None,
                requires_shipping=product.requires_shipping,
                tax_class=product.tax_class,
            )
            for product_id, product in products.items()
        }


def catalog_port() -> CatalogPort:
    """Return the adapter that settings.PORTS names."""
    return cast(CatalogPort, adapter("catalog"))
