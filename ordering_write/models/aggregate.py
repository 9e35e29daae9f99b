"""The base of the aggregates: state that only events change, saved together with the events."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from types import MappingProxyType
from typing import Any, ClassVar, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from uuid_utils.compat import uuid7

from config.databases import tables
from config.fields.names import check_name, taken
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError, VersionConflictError
from ordering_write.domain.events import DomainEvent, Envelope
from ordering_write.models import unit_of_work
from ordering_write.models.guarded import GuardedModel
from ordering_write.signals import domain_events


class SavedWithoutEventsError(Exception):
    """Save an aggregate by `save([aggregate], caused_by=command)`, which also stores its events."""


class Aggregate(GuardedModel):
    """A model that is loaded and saved as a whole and that only ``evolve`` changes.

    A subclass defines ``stream_prefix``, ``id_field`` and ``evolve``; one with rows in several
    tables also ``write_all`` and ``load_whole``. Its methods are a guard, then an event.

    ``id_field`` is the field of commands and events that holds the id. ``anonymized_by`` is the
    event that an erasure of the customer in the column ``customer_id`` raises, if the events of the
    stream have personal fields.
    """

    stream_prefix: ClassVar[str]
    id_field: ClassVar[str]
    anonymized_by: ClassVar[type[DomainEvent] | None] = None
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
        # The hash of the last event when the row was locked.
        self._last_hash: str | None = None

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
        """Return the fields by which an event describes the state after it, with plain amounts."""
        return {}

    def described(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return ``fields`` of the outcome with the values that events have for them."""
        return fields

    def refuse_unsavable(self) -> None:
        """Raise an error if the aggregate can't be saved. The default refuses none."""

    @classmethod
    def lock(cls, condition: str, parameters: Sequence[Any]) -> list[Self]:
        """Return the rows that ``SELECT … WHERE condition`` finds, locked.

        The unit of work gets the hashes of their last events, which saves a statement. There is
        none for a row that another transaction changed while this one waited for the lock.
        """
        rows = tables.load(
            cls, f"{_select(cls)} WHERE {condition} FOR UPDATE", parameters, extra=["_last_hash"]
        )
        if unit := unit_of_work.current():
            unit.hashes |= {row.stream: row._last_hash for row in rows if row._last_hash}
        return rows

    @classmethod
    def find_locked(cls, key: UUID) -> Self | None:
        """Return the aggregate, its row locked until the end of the transaction; None if there is
        none."""
        unit = unit_of_work.current()
        if unit and (kept := unit.find(cls, key)):
            return kept
        return next(iter(cls.lock(f"{cls._meta.pk.column} = %s", [key])), None)

    @classmethod
    def load_whole(cls, keys: Collection[UUID]) -> Mapping[UUID, Self]:
        """Return aggregates with all their parts, by their ids, without a lock."""
        aggregates: dict[Any, Any] = cls.objects.in_bulk(list(keys))
        return aggregates

    @classmethod
    def at_rest(cls, keys: Collection[UUID]) -> Collection[UUID]:
        """Return the ids, of those in ``keys``, of aggregates whose old events no command reads.

        These events may leave the database. A subclass whose handlers read events leaves out ids.
        """
        return keys

    @classmethod
    def write_all(cls, aggregates: Sequence[Self]) -> None:
        """Write the rows of several aggregates of this class."""
        for aggregate in aggregates:
            aggregate.save_base(force_insert=aggregate._saved_version == 0)

    def anonymize(self, *, now: datetime) -> None:
        """Raise the event ``anonymized_by``: the personal fields of the stream are erased."""
        if event_type := self.anonymized_by:
            self._raise_event(event_type(timestamp=now, **{self.id_field: self.pk}))

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
        """Change the state as ``event`` says, and describe the new state in the event itself."""
        if unit := unit_of_work.current():
            unit.note_original(self)
        cached_version, before = self._cached_outcome or (None, {})
        if cached_version != self.version:
            before = self.outcome()
        self.evolve(event)
        self.version += 1
        after = self.outcome()
        self._cached_outcome = self.version, after
        event.describe(self.described(self.delta(before, after)))
        self._pending.append(event)

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise SavedWithoutEventsError(SavedWithoutEventsError.__doc__)


@cache
def aggregate_types() -> Mapping[str, type[Aggregate]]:
    """Return the types of aggregates by the prefix of their streams.

    Raises RegistrationError for a prefix that is taken or breaks the rule of ``check_name``.
    """
    types: dict[str, type[Aggregate]] = {}
    for model in apps.get_models():
        if issubclass(model, Aggregate):
            prefix, module = model.stream_prefix, model.__module__
            check_name("stream", prefix, module=module)
            if prefix in types:
                raise taken("stream", prefix, types[prefix].__module__, module)
            types[prefix] = model
    return types


@cache
def _select(model: type[Aggregate]) -> str:
    """Return the statement that reads the rows of ``model``, each with the hash of its last event.

    The streams are looked up one by one: a join planned while the log was short would read all of
    it.
    """
    table, key = model._meta.db_table, model._meta.pk.column
    return f"""
        SELECT {", ".join(tables.columns(model))}, (
            SELECT hash FROM event
            WHERE stream = '{model.stream_prefix}-' || {table}.{key} AND version = {table}.version
            LIMIT 1
        ) FROM {table}
    """  # noqa: S608 (names of models)


def save(
    aggregates: Sequence[Aggregate],
    *,
    caused_by: Command,
    duplicates: Mapping[str, DomainError] = MappingProxyType({}),
) -> list[DomainEvent]:
    """Save the aggregates, send their events to the log and return the events with envelopes.

    The unit of work writes the rows later. It raises ``duplicates[constraint]`` when they violate
    that unique constraint. Raises SavedWithoutEventsError when an aggregate changed and its events
    were read before, and OutsideCommitError.
    """
    for aggregate in aggregates:
        aggregate.refuse_unsavable()
    envelope = partial(
        Envelope,
        actor=caused_by.by,
        channel=caused_by.channel,
        command_id=caused_by.command_id,
        correlation_id=caused_by.correlation_id or caused_by.command_id,
        causation_id=caused_by.causation_id or caused_by.command_id,
        recorded_at=datetime.now(UTC),
    )
    events: list[DomainEvent] = []
    for aggregate in aggregates:
        pending = aggregate.pending_events
        if len(pending) != aggregate.version - aggregate._recorded_version:
            raise SavedWithoutEventsError(
                f"{aggregate.stream} changed, but its events were read before it was saved."
            )
        stream, versions = aggregate.stream, count(aggregate._recorded_version + 1)
        for event, version in zip(pending, versions, strict=False):
            event.record(envelope(event_id=uuid7(), stream=stream, version=version))
        events += pending
        aggregate._recorded_version = aggregate.version
    unit = unit_of_work.required()
    # Before the aggregates are saved: a statement that reads hashes would write them alone.
    domain_events.send(sender=Aggregate, events=events, customer_id=_customer_id_of(aggregates))
    unit.save(aggregates, duplicates=duplicates)
    return events


def _customer_id_of(aggregates: Sequence[Aggregate]) -> UUID | None:
    customer_ids = (getattr(aggregate, "customer_id", None) for aggregate in aggregates)
    return next(filter(None, customer_ids), None)
