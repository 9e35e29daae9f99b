"""Events of customers."""

from uuid import UUID

from ordering_write.domain.events.base import DomainEvent
from ordering_write.domain.events.metadata import MetadataEvent


class CustomerEvent(DomainEvent, stored=False):
    """The base of a customer's events."""

    customer_id: UUID


class CustomerRegistered(CustomerEvent):
    personal = frozenset({"name", "email", "phone"})

    name: str
    email: str
    phone: str = ""


class CustomerDetailsChanged(CustomerEvent):
    """Details that changed; None stands for unchanged."""

    personal = frozenset({"name", "email", "phone"})

    name: str | None = None
    email: str | None = None
    phone: str | None = None


class CustomerMetadataChanged(CustomerEvent, MetadataEvent):
    """Pairs of the metadata of a customer were set or removed."""


class CustomerBlocked(CustomerEvent):
    reason: str


class CustomerUnblocked(CustomerEvent):
    reason: str


class CustomerErased(CustomerEvent):
    """From now on every personal field of this customer and of their orders reads as erased.

    ``erased`` counts the deleted records, by kind.
    """

    erases = True

    reason: str
    erased: dict[str, int] = {}
