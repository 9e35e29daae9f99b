"""The base of all policies: a predicate over events, and an action that follows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from config.databases import tables
from ordering_write import log
from ordering_write.domain.commands import Command
from ordering_write.domain.events import DomainEvent, OrderEvent, OrderStatus
from ordering_write.domain.service_ids import is_service_id, service_id
from ordering_write.domain.values import Actor
from ordering_write.models import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """The event that a policy reacts to, and the time at which it acts (UTC).

    ``key`` is the id of the timer, the same whenever this policy acts on this event. It is the
    idempotency key of requests to ports, and the ids of the policy's commands derive from it.
    """

    policy: "Policy"
    event: Any
    now: datetime
    key: UUID

    def order(self) -> Order:
        """Return the order of the event as it is now, without its lines and shipments."""
        [order] = tables.find(Order, "id = %s", [self.event.order_id])
        return order

    def history(self) -> list[Any]:
        """Return all events of the stream so far, OrderCreated first for an order."""
        return log.read_stream(self.event.recorded.stream)

    def command(self, command_type: type[Command], /, *, step: str = "", **payload: Any) -> Command:
        """Return a command of this policy, about the order of the event if it is about an order.

        ``step`` tells several commands of one trigger apart. A command that was given before has
        the same id, so that it takes effect once, however often a policy acts.
        """
        name, label = self.policy.name, f"Automatic {self.policy.label}"
        envelope = self.event.recorded
        if "order_id" in command_type.model_fields and isinstance(self.event, OrderEvent):
            payload = {"order_id": self.event.order_id, **payload}
        return command_type.model_validate(
            {
                "command_id": self._command_id(step) if step else self.key,
                "timestamp": self.now,
                "user_id": uuid5(NAMESPACE_OID, f"policy:{name}"),
                "actor": Actor(type="policy", id=name, label=label),
                "channel": "policy",
                "correlation_id": envelope.correlation_id,
                "causation_id": envelope.event_id,
                **payload,
            }
        )

    def _command_id(self, step: str) -> UUID:
        if is_service_id(self.key):
            return service_id(self.key, step)
        # A timer that an earlier release has set keeps the ids of that release.
        return uuid5(self.event.recorded.event_id, f"{self.policy.name}.{step}")


class Policy(ABC):
    """A reaction to an event, most often of an order.

    The runner calls ``when`` once for each event of the types in ``events``, in the transaction
    that moves the checkpoint: it must have no effect. ``act`` is called at least once. Its commands
    take effect once, since their ids are always the same; its requests to ports carry the same key.
    """

    name: ClassVar[str]
    # The policy in people's words, in lower case. Its events say "Automatic " and this label.
    label: ClassVar[str]
    events: ClassVar[tuple[type[DomainEvent], ...]]

    def key(self, event: DomainEvent) -> UUID:
        """Return the id that stands for this policy and this event, always the same."""
        return service_id(event.recorded.event_id, self.name)

    @abstractmethod
    def when(self, event: Any) -> datetime | None:
        """Return the time (UTC) to act on ``event``; a past time means now, None means never."""

    @abstractmethod
    def act(self, trigger: Trigger) -> Sequence[Command] | timedelta:
        """Return the commands to give now, or how long to wait before the next call.

        Look at the order as it is now: it may have changed since the event. After an exception the
        call is retried with growing pauses, and parked in the end.
        """


def became(event: OrderEvent, status: OrderStatus) -> bool:
    """Return True if ``event`` has brought its order into ``status``."""
    return event.status == status and event.status_before is not None
