"""Notices to customers about their orders, by mail or otherwise."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.events import OrderEvent, Person
from ordering_write.ports.base import adapter

logger = logging.getLogger(__name__)


class NoticeKind(StrEnum):
    """The step of an order that a customer is notified of."""

    PLACED = "placed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice to a customer; ``event`` has the details, such as the tracking number."""

    kind: NoticeKind
    order_id: UUID
    order_number: str
    customer: Person
    event: OrderEvent


@runtime_checkable
class NotifierPort(Protocol):
    """Notifies customers.

    After a crash or an exception it is called again with the same ``key``: a customer gets a notice
    at least once, and once only if the mail service recognises the key. A call returns within ten
    seconds or raises; after an exception it is retried later.
    """

    def send(self, notice: Notice, *, key: UUID) -> None:
        """Send a notice to its customer."""
        ...


class LogNotifier:
    """Writes notices to the log, without the name of the customer."""

    def send(self, notice: Notice, *, key: UUID) -> None:
        logger.info(
            "Order %s: the customer is notified that it is %s.", notice.order_number, notice.kind
        )


def notifier_port() -> NotifierPort:
    """Return the adapter that settings.PORTS names."""
    return cast(NotifierPort, adapter("notifier"))
