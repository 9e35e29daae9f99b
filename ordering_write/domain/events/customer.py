"""What happens to a customer."""

from typing import Any
from uuid import UUID

from ordering_write.domain.events.base import DomainEvent
from ordering_write.domain.values import ERASED


class CustomerEvent(DomainEvent, stored=False):
    """The base of a customer's events."""

    customer_id: UUID


class CustomerRegistered(CustomerEvent):
    personal = frozenset({"name", "email", "phone"})

    name: str
    email: str
    phone: str = ""

    @classmethod
    def erased_fields(cls) -> dict[str, Any]:
        return {"name": ERASED, "email": ERASED}


class CustomerDetailsChanged(CustomerEvent):
    """The details that are new; None are those that stay."""

    personal = frozenset({"name", "email", "phone"})

    name: str | None = None
    email: str | None = None
    phone: str | None = None


class CustomerBlocked(CustomerEvent):
    reason: str


class CustomerUnblocked(CustomerEvent):
    reason: str


class CustomerErased(CustomerEvent):
    """Every personal field of this customer, here and in orders, reads as erased from now on.

    ``erased`` says how much was, by its kind.
    """

    erases = True

    reason: str
    erased: dict[str, int] = {}
