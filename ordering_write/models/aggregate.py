"""The base of the aggregates: state that changes by events only, saved together with them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from uuid_utils.compat import uuid7

from config.databases import tables
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import VersionConflictError
from ordering_write.domain.events import DomainEvent, Envelope
from ordering_write.signals import domain_events


class SavedWithoutEventsError(Exception):
    """An aggregate is saved by `save([aggregate], caused_by=command)`, with its events."""


class Aggregate(models.Model):
    """A model that is loaded and saved as one and changes by ``apply(event)`` only.

    A subclass says its ``stream``, how an event changes it (``apply``) and how its rows are
    written (``write_all``). Its methods are a guard, then an event.
    """

    stream_prefix: ClassVar[str]
    # Fields of the outcome that every event carries, changed or not.
    always_told: ClassVar[frozenset[str]] = frozenset()

    version = models.PositiveIntegerField(default=0, help_text="Number of events in its stream.")

    class Meta:
        abstract = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending: list[DomainEvent] = []
        self._saved_version = self.version
        # The outcome of the last event raised, by the version that it led to.
        self._outcome: tuple[int, dict[str, Any]] | None = None

    @property
    def stream(self) -> str:
        """The name of its stream: ``order-<uuid>``."""
        return f"{self.stream_prefix}-{self.pk}"

    @property
    def pending_events(self) -> list[DomainEvent]:
        """The events raised since the last reading; reading takes them away."""
        events, self._pending = self._pending, []
        return events

    @property
    def raised_events(self) -> tuple[DomainEvent, ...]:
        """The same events, left where they are."""
        return tuple(self._pending)

    def expect(self, version: int | None) -> None:
        """Raise VersionConflictError unless ``version`` is None or the present one."""
        if version is not None and version != self.version:
            raise VersionConflictError(stream=self.stream, expected=version, current=self.version)

    def apply(self, event: DomainEvent) -> None:
        """Change the state as ``event`` says; the only place where it changes."""
        raise NotImplementedError

    def outcome(self) -> dict[str, Any]:
        """The fields that an event carries about the state after it."""
        return {}

    @classmethod
    def write_all(cls, aggregates: Sequence[Self]) -> None:
        """Write the rows of several aggregates of this class."""
        raise NotImplementedError

    @classmethod
    def fold(cls, events: Iterable[DomainEvent]) -> Self:
        """The aggregate that these events make."""
        aggregate = cls()
        for event in events:
            aggregate.apply(event)
            aggregate.version += 1
        return aggregate

    def told(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """What an event tells of the outcome, which was ``before`` it and is ``after`` it."""
        return {
            name: value
            for name, value in after.items()
            if name in self.always_told or before.get(name) != value
        }

    def _raise_event(self, event: DomainEvent) -> None:
        known = self._outcome and self._outcome[0] == self.version
        before = self._outcome[1] if self._outcome and known else self.outcome()
        self.apply(event)
        self.version += 1
        after = self.outcome()
        self._outcome = self.version, after
        self._pending.append(event.model_copy(update=self.told(before, after)))

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise SavedWithoutEventsError(SavedWithoutEventsError.__doc__)


def save(aggregates: Sequence[Aggregate], *, caused_by: Command) -> list[DomainEvent]:
    """Write the aggregates and send their events, which are returned with their envelopes.

    Raises SavedWithoutEventsError when an aggregate changed but its events were taken away.
    """
    recorded_at = datetime.now(UTC)
    events: list[DomainEvent] = []
    for aggregate in aggregates:
        pending = aggregate.pending_events
        if len(pending) != aggregate.version - aggregate._saved_version:
            raise SavedWithoutEventsError(
                f"{aggregate.stream} changed, but its events were taken away before it was saved."
            )
        events += _enveloped(aggregate, pending, caused_by, recorded_at)
    with tables.together():
        for _, group in groupby(aggregates, type):
            alike = list(group)
            alike[0].write_all(alike)
    for aggregate in aggregates:
        aggregate._saved_version = aggregate.version
    domain_events.send(sender=Aggregate, events=events, customer_id=_customer_of(aggregates))
    return events


def _enveloped(
    aggregate: Aggregate, events: list[DomainEvent], command: Command, recorded_at: datetime
) -> list[DomainEvent]:
    return [
        event.model_copy(
            update={
                "envelope": Envelope(
                    event_id=uuid7(),
                    stream=aggregate.stream,
                    version=aggregate._saved_version + number,
                    actor=command.by,
                    channel=command.channel,
                    command_id=command.command_id,
                    correlation_id=command.correlation_id or command.command_id,
                    causation_id=command.causation_id or command.command_id,
                    recorded_at=recorded_at,
                )
            }
        )
        for number, event in enumerate(events, start=1)
    ]


def _customer_of(aggregates: Sequence[Aggregate]) -> UUID | None:
    customers = (getattr(aggregate, "customer_id", None) for aggregate in aggregates)
    return next((customer for customer in customers if customer), None)
