"""The taxes on an order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.drafts import PartToTax
from ordering_write.domain.events import PostalAddress
from ordering_write.domain.prices import Tax
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxDraft:
    """An order that is placed or edited, without taxes.

    ``parts`` are its lines and charges, to be read once. ``ship_to`` returns its shipping address,
    None for an order without one; the call may read the database.
    """

    order_id: UUID
    customer_id: UUID
    currency: str
    placed_at: datetime
    parts: Iterable[PartToTax]
    ship_to: Callable[[], PostalAddress | None]


@runtime_checkable
class TaxPort(Protocol):
    """Calculates the taxes on an order.

    Called while the stock of the products is locked, so it must not call other systems. It is
    called when an order is placed, and for each change of its prices or its address; each time the
    answer is stored with the event.
    """

    def taxes(self, draft: TaxDraft) -> Mapping[UUID, Sequence[Tax]] | None:
        """Return the taxes on the parts of ``draft``, by their ``part_id``.

        A tax has a rate in per cent, or an amount in the minor unit of the currency, for the value
        of its part. A part without an entry isn't taxed. None keeps the taxes that the order has,
        in proportion to its prices. The answer isn't used for parts whose taxes the client gave.
        """
        ...

    def tax_classes(self) -> frozenset[str] | None:
        """Return the tax classes that a product can have; None for any."""
        ...


class NoTax:
    """Adds no taxes: customers pay the prices as they are, and taxes that clients gave."""

    def taxes(self, draft: TaxDraft) -> None:
        return None

    def tax_classes(self) -> None:
        return None


def tax_port() -> TaxPort:
    """Return the adapter that settings.PORTS names."""
    return cast(TaxPort, adapter("tax"))
