"""The taxes on an order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from ordering_write.domain import events as e
from ordering_write.domain.commands import Adjustment
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDraft:
    """An order that is about to be placed, without taxes."""

    created: e.OrderCreated
    items: Sequence[e.OrderItemAdded]
    adjustments: Sequence[e.OrderAdjustmentAdded]


@runtime_checkable
class TaxPort(Protocol):
    """Calculates taxes.

    It is asked while the stock of the products is locked, so it answers from what is at hand.
    """

    def calculate(self, draft: OrderDraft) -> Sequence[Adjustment]:
        """The taxes on an order. They are stored as facts, and never calculated again."""
        ...


class NoTax:
    """Adds nothing: prices are what customers pay."""

    def calculate(self, draft: OrderDraft) -> Sequence[Adjustment]:
        return ()


def tax_port() -> TaxPort:
    """The adapter that settings.PORTS names."""
    return cast(TaxPort, adapter("tax"))
