"""Whether an order may be a fraud."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.events import OrderEvent
from ordering_write.ports.base import adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Whether a person must review an order before it is fulfilled, and why."""

    needs_review: bool
    note: str = ""


@runtime_checkable
class RiskPort(Protocol):
    """Looks at orders that were placed.

    It may be asked again with the same ``key``, after a crash or an exception. It answers within
    ten seconds, or raises: then it is asked again later.
    """

    def assess(self, placed: Sequence[OrderEvent], *, key: UUID) -> Assessment:
        """Say what to think of an order; ``placed`` are its events, OrderCreated first."""
        ...


class AllowAll:
    """Finds nothing wrong with any order."""

    def assess(self, placed: Sequence[OrderEvent], *, key: UUID) -> Assessment:
        return Assessment(needs_review=False)


def risk_port() -> RiskPort:
    """The adapter that settings.PORTS names."""
    return cast(RiskPort, adapter("risk"))
