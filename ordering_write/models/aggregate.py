"""The base of the aggregates: state that only events change, saved together with the events."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from uuid_utils.compat import uuid7

from config.databases import tables
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import VersionConflictError
from ordering_write.domain.events import DomainEvent, Envelope
from ordering_write.models import unit_of_work
from ordering_write.models.guarded import GuardedModel
from ordering_write.signals import domain_events


class SavedWithoutEventsError(Exception):
    """Save an aggregate by `save([aggregate], caused_by=command)`, which also stores its events."""


class Aggregate(GuardedModel):
    """A model that is loaded and saved as a whole and that only ``evolve`` changes.

    A subclass defines ``stream_prefix``, ``evolve`` and ``write_all``. Its methods are a guard,
    then an event.
    """

    stream_prefix: ClassVar[str]
    # Fields of the outcome that every event carries, changed or not.
    always_included: ClassVar[frozenset[str]] = frozenset()

    version = models.PositiveIntegerField(
        default=0, help_text="The number of events in the stream."
    )

    class Meta:
        abstract = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending: list[DomainEvent] = []
        # The versions of the row and of the last event that was sent to the log.
        self._saved_version = self._recorded_version = self.version
        # The outcome after the event last raised, with the version of that event.
        self._cached_outcome: tuple[int, dict[str, Any]] | None = None

    @property
    def stream(self) -> str:
        """The name of its stream: ``order-<uuid>``."""
        return f"{self.stream_prefix}-{self.pk}"

    @property
    def pending_events(self) -> list[DomainEvent]:
        """The events raised since the last read. Reading clears the list."""
        events, self._pending = self._pending, []
        return events

    @property
    def raised_events(self) -> tuple[DomainEvent, ...]:
        """The pending events, without clearing the list."""
        return tuple(self._pending)

    def expect(self, version: int | None) -> None:
        """Raise VersionConflictError unless ``version`` is None or the current version."""
        if version is not None and version != self.version:
            raise VersionConflictError(stream=self.stream, expected=version, current=self.version)

    def evolve(self, event: DomainEvent) -> None:
        """Change the state as ``event`` says. The state changes nowhere else."""
        raise NotImplementedError

    def outcome(self) -> dict[str, Any]:
        """Return the fields by which an event describes the state after it."""
        return {}

    @classmethod
    def write_all(cls, aggregates: Sequence[Self]) -> None:
        """Write the rows of several aggregates of this class."""
        raise NotImplementedError

    @classmethod
    def fold(cls, events: Iterable[DomainEvent]) -> Self:
        """Return the aggregate after ``events``, the first events of its stream."""
        aggregate = cls()
        for event in events:
            aggregate.evolve(event)
            aggregate.version += 1
        return aggregate

    def delta(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of the outcome that an event carries: changed or always included."""
        return {
            name: value
            for name, value in after.items()
            if name in self.always_included or before.get(name) != value
        }

    def _raise_event(self, event: DomainEvent) -> None:
        cached_version, before = self._cached_outcome or (None, {})
        if cached_version != self.version:
            before = self.outcome()
        self.evolve(event)
        self.version += 1
        after = self.outcome()
        self._cached_outcome = self.version, after
        self._pending.append(event.model_copy(update=self.delta(before, after)))

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise SavedWithoutEventsError(SavedWithoutEventsError.__doc__)


def save(aggregates: Sequence[Aggregate], *, caused_by: Command) -> list[DomainEvent]:
    """Write the aggregates, send their events to the log and return the events with envelopes.

    Raises SavedWithoutEventsError when an aggregate changed and its events were read before.
    """
    recorded_at = datetime.now(UTC)
    events: list[DomainEvent] = []
    for aggregate in aggregates:
        pending = aggregate.pending_events
        if len(pending) != aggregate.version - aggregate._recorded_version:
            raise SavedWithoutEventsError(
                f"{aggregate.stream} changed, but its events were read before it was saved."
            )
        events += _with_envelopes(aggregate, pending, caused_by, recorded_at)
    if unit := unit_of_work.current():
        unit.save(aggregates)
    else:
        with tables.together():
            unit_of_work.write_aggregates(aggregates)
    for aggregate in aggregates:
        aggregate._recorded_version = aggregate.version
    domain_events.send(sender=Aggregate, events=events, customer_id=_customer_id_of(aggregates))
    return events


def _with_envelopes(
    aggregate: Aggregate, events: list[DomainEvent], command: Command, recorded_at: datetime
) -> list[DomainEvent]:
    return [
        event.model_copy(
            update={
                "envelope": Envelope(
                    event_id=uuid7(),
                    stream=aggregate.stream,
                    version=aggregate._recorded_version + number,
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


def _customer_id_of(aggregates: Sequence[Aggregate]) -> UUID | None:
    customer_ids = (getattr(aggregate, "customer_id", None) for aggregate in aggregates)
    return next(filter(None, customer_ids), None)
