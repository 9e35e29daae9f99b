"""What customers are told of their orders, by mail or otherwise."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast, runtime_checkable
from uuid import UUID

from ordering_write.domain.events import OrderEvent, Person
from ordering_write.ports.base import adapter

logger = logging.getLogger(__name__)


class News(StrEnum):
    """What a customer is told of an order."""

    PLACED = "placed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that a customer is told; ``event`` has the particulars, such as the tracking
    number or the amount."""

    news: News
    order_id: UUID
    order_number: str
    customer: Person
    event: OrderEvent


@runtime_checkable
class NotifierPort(Protocol):
    """Tells customers.

    It may be called again with the same ``key``, after a crash or an exception: a customer is told
    at least once, and once only by an adapter that gives the key to a mail service which knows it
    again. It answers within ten seconds, or raises: then it is tried again later.
    """

    def tell(self, notice: Notice, *, key: UUID) -> None:
        """Tell the customer."""
        ...


class LogNotifier:
    """Writes to the log what would be told, without saying to whom."""

    def tell(self, notice: Notice, *, key: UUID) -> None:
        logger.info(
            "Order %s: the customer is told that it is %s.", notice.order_number, notice.news
        )


def notifier_port() -> NotifierPort:
    """The adapter that settings.PORTS names."""
    return cast(NotifierPort, adapter("notifier"))
