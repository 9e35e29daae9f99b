"""What a policy is: a predicate over events, and what is then done once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from ordering_write import log
from ordering_write.domain.commands import Command
from ordering_write.domain.events import DomainEvent, OrderEvent, OrderStatus
from ordering_write.domain.values import Actor
from ordering_write.models import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why and when a policy acts: about which event, at what time (UTC).

    ``key`` is the same each time that this policy acts on this event: the idempotency key of what
    it asks of a port, and what the ids of its commands are made of.
    """

    policy: "Policy"
    event: Any
    now: datetime

    @property
    def key(self) -> UUID:
        return self.policy.key(self.event)

    def order(self) -> Order:
        """The order as it is now, without its lines and shipments."""
        return Order.objects.get(pk=self.event.order_id)

    def history(self) -> list[Any]:
        """All events of the order so far, OrderCreated first."""
        return log.read_stream(self.event.recorded.stream)

    def command(self, kind: type[Command], /, *, step: str = "", **payload: Any) -> Command:
        """A command of this policy about the order of the event.

        ``step`` tells several commands of one occasion apart. A command that was given before has
        the same id, so that it takes effect once, however often a policy acts.
        """
        name, known = self.policy.name, self.event.recorded
        return kind.model_validate(
            {
                "command_id": uuid5(known.event_id, f"{name}.{step}") if step else self.key,
                "timestamp": self.now,
                "user_id": uuid5(NAMESPACE_OID, f"policy:{name}"),
                "actor": Actor(type="policy", id=name, label=name),
                "channel": "policy",
                "correlation_id": known.correlation_id,
                "causation_id": known.event_id,
                "order_id": self.event.order_id,
                **payload,
            }
        )


class Policy(ABC):
    """A reaction to what has happened to an order.

    ``when`` is asked once about each event of the types in ``events``, in the transaction in which
    the policies pass it: it must not do anything. What ``act`` does happens at least once; its
    commands take effect once, since their ids are always the same, and what it asks of a port it
    asks with the same key.
    """

    name: ClassVar[str]
    events: ClassVar[tuple[type[OrderEvent], ...]]

    def key(self, event: DomainEvent) -> UUID:
        """What stands for this policy and this event, once and for all."""
        return uuid5(event.recorded.event_id, self.name)

    @abstractmethod
    def when(self, event: Any) -> datetime | None:
        """When to act on ``event``; at once if that is past, never if it is None."""

    @abstractmethod
    def act(self, occasion: Occasion) -> Sequence[Command] | timedelta:
        """The commands that are to be given now, or how long to wait before it is asked again.

        What the order is by now is to be looked at here: it may have changed since the event. An
        exception lets it be tried again, later and later, and parked in the end.
        """


def became(event: OrderEvent, status: OrderStatus) -> bool:
    """Whether ``event`` has brought its order into this status."""
    return event.status == status and event.status_before is not None
