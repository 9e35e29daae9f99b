"""The risk of fraud."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.events import OrderEvent
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The need for a review by a person before an order is fulfilled, and its reason."""

    needs_review: bool
    note: str = ""


@runtime_checkable
class RiskPort(Protocol):
    """Assesses placed orders.

    After a crash or an exception it is called again with the same ``key``. A call returns within
    ten seconds or raises; after an exception it is retried later.
    """

    def assess(self, placed: Sequence[OrderEvent], *, key: UUID) -> Assessment:
        """Assess an order by the events of its placement, ``placed``, OrderCreated first."""
        ...


class AllowAll:
    """Lets every order pass."""

    def assess(self, placed: Sequence[OrderEvent], *, key: UUID) -> Assessment:
        return Assessment(needs_review=False)


def risk_port() -> RiskPort:
    """Return the adapter that settings.PORTS names."""
    return cast(RiskPort, adapter("risk"))
