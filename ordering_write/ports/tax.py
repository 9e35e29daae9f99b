"""The taxes on an order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from ordering_write.domain import events as e
from ordering_write.domain.commands import Adjustment
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDraft:
    """An order before its placement, without taxes."""

    created: e.OrderCreated
    items: Sequence[e.OrderItemAdded]
    adjustments: Sequence[e.OrderAdjustmentAdded]


@runtime_checkable
class TaxPort(Protocol):
    """Calculates taxes.

    Called while the stock of the products is locked, so it must not call other systems.
    """

    def calculate(self, draft: OrderDraft) -> Sequence[Adjustment]:
        """Return the taxes on an order, which are stored as facts and never calculated again."""
        ...


class NoTax:
    """Adds no taxes: customers pay the prices as they are."""

    def calculate(self, draft: OrderDraft) -> Sequence[Adjustment]:
        return ()


def tax_port() -> TaxPort:
    """Return the adapter that settings.PORTS names."""
    return cast(TaxPort, adapter("tax"))
