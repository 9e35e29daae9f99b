"""Parking: an event that can't be applied waits, and the later ones of its stream wait behind it.

All other streams go on. What is parked stands in rows that name the events. The events themselves
stay in the log, so that what is erased there isn't kept here.
"""

import logging
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from config.databases import retry as transient
from config.fields.text import Text
from ordering_write import log
from ordering_write.domain.errors import DomainError
from ordering_write.domain.events import DomainEvent, UndecodableEvent
from ordering_write.domain.values import ERASED
from ordering_write.subscriptions.checkpoint import ParkedEvent

logger = logging.getLogger(__name__)

# Why an event is skipped.
Reason = Annotated[str, Text(max_length=500, lines=True)]


class TooManyParkedError(Exception):
    """So many streams can't be applied that the code must be wrong, not the events."""


class CannotApplyError(Exception):
    """One of several events can't be applied; the cause says why."""


class EventWaitsError(DomainError):
    """The event waits for an earlier one of its stream: retry or skip that one."""


class EventSkippedError(DomainError):
    """The event was skipped already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """What follows the log from a checkpoint.

    ``apply(checkpoint, events)`` does what it does with the events that it ``wants``, in the
    transaction that moves the checkpoint. Those of one stream come in order; those of different
    streams may not, since a stream that was parked comes later. ``max_parked`` is the number of
    streams that may be parked before it stops. ``skip_of`` finds the row by which an event that
    can't be applied was skipped before, where that still holds. ``redo(checkpoint, stream,
    events)`` makes anew what the ``events`` of one stream have made, after what is personal in them
    was erased; None where nothing personal is kept.
    """

    wants: Callable[[DomainEvent], bool]
    apply: Callable[[Any, Sequence[DomainEvent]], None]
    max_parked: int
    skip_of: Callable[[DomainEvent], ParkedEvent | None]
    redo: Callable[[Any, str, Sequence[DomainEvent]], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """An event that can't be applied, and why."""

    event: DomainEvent
    category: ParkedEvent.Category
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        known = self.event.recorded
        return (
            f"{self.event.type} {known.event_id} ({known.stream}, version {known.version}): "
            f"{self.message}"
        )


class _Held:
    """The streams that are held up: by an event that was parked before, or by a new failure."""

    def __init__(self, subscriber: Subscriber, streams: Collection[str] = (), *, room: int) -> None:
        self._skip_of = subscriber.skip_of
        self._streams = streams
        self._room = room
        self.failures: dict[str, _Failure] = {}
        # What fails but was skipped before, with the row that says so: it holds up nothing.
        self.skipped: dict[UUID, tuple[_Failure, ParkedEvent]] = {}

    def add(self, failure: _Failure) -> None:
        skip = self._skip_of(failure.event)
        if skip is not None:
            self.skipped[failure.event.recorded.event_id] = failure, skip
            return
        self.failures[failure.event.recorded.stream] = failure
        if len(self.failures) > self._room:
            raise TooManyParkedError(
                "More streams can't be applied than may be parked, so that the code must be wrong "
                f"rather than the events; the last one is held up by {failure}. Correct it and "
                "retry what is parked."
            )

    def holds(self, event: DomainEvent) -> bool:
        """Whether ``event`` can't be applied, or waits behind one that can't."""
        if not (self._streams or self.skipped or self.failures):
            return False
        known = event.recorded
        if known.stream in self._streams or known.event_id in self.skipped:
            return True
        failure = self.failures.get(known.stream)
        return failure is not None and known.version >= failure.event.recorded.version

    def explain(self, row: ParkedEvent) -> bool:
        """Let ``row`` say what is known of its event; False when nothing new is."""
        failure = self.failures.get(row.stream)
        if row.event_id in self.skipped:
            failure, skip = self.skipped[row.event_id]
            row.skipped_at, row.skipped_by = skip.skipped_at, skip.skipped_by
            row.skip_reason = skip.skip_reason
        elif failure is None or failure.event.recorded.event_id != row.event_id:
            return False
        row.category, row.message = failure.category, failure.message
        row.traceback = failure.traceback
        row.tries, row.tried_at = row.tries + 1, Now()
        return True


def apply(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber, *, carefully: bool
) -> None:
    """Apply the ``events`` that are wanted and not held up, and park the others.

    To be called in the transaction that moves ``checkpoint``. Without ``carefully`` it adds no
    statement of its own as long as nothing is parked, and raises CannotApplyError when something
    must be: the transaction is then to be begun anew, ``carefully``. Raises TooManyParkedError, and
    faults of the database as they are.
    """
    wanted = [event for event in events if subscriber.wants(event)]
    held = _held(checkpoint, wanted, subscriber)
    _hold_unreadable(wanted, held)
    if carefully:
        _apply_by_halves(checkpoint, wanted, subscriber, held)
    else:
        _apply_at_once(checkpoint, wanted, subscriber, held)
    _park(checkpoint, [event for event in wanted if held.holds(event)], held)
    _forget(checkpoint, events, subscriber)


def park_crashed(checkpoint: Any, event: DomainEvent, subscriber: Subscriber) -> None:
    """Park an event whose application has killed the process, unless it wasn't to be applied."""
    wanted = [event] if subscriber.wants(event) else []
    held = _held(checkpoint, wanted, subscriber)
    if wanted and not held.holds(event):
        message = "The process was killed each time that it was applied"
        held.add(_Failure(event=event, category=ParkedEvent.Category.CRASH, message=message))
    _park(checkpoint, wanted, held)
    _forget(checkpoint, [event], subscriber)


def retry(checkpoints: "QuerySet[Any]", stream: str, subscriber: Subscriber) -> int:
    """Apply, in order, what a stream has parked; returns how many events were applied.

    What is applied is no longer parked, and one that still can't be is, with the others behind it.
    Waits for a runner that is at the one checkpoint in ``checkpoints``; 0 when that is gone.
    """

    def act() -> int:
        with transaction.atomic(using=checkpoints.db):
            checkpoint = checkpoints.select_for_update().first()
            rows = _rows(checkpoint, stream) if checkpoint else []
            return _resume(checkpoint, rows, subscriber) if rows else 0

    return transient.on_transient_errors(act)


def skip(
    checkpoints: "QuerySet[Any]",
    parked: ParkedEvent,
    subscriber: Subscriber,
    *,
    reason: str,
    by: str,
) -> int:
    """Never apply a parked event, but keep its row, with the ``reason`` and ``by`` whom; apply the
    events behind it like ``retry``, and return how many.

    Raises EventWaitsError, EventSkippedError, and the row's DoesNotExist when it isn't parked.
    """

    def act() -> int:
        with transaction.atomic(using=checkpoints.db):
            checkpoint = checkpoints.select_for_update().first()
            if checkpoint is None:
                raise type(parked).DoesNotExist
            row = checkpoint.parked_events.get(pk=parked.pk)
            if row.skipped_at is not None:
                raise EventSkippedError
            if row.category == ParkedEvent.Category.WAITING:
                raise EventWaitsError
            row.skipped_at, row.skipped_by, row.skip_reason = Now(), by, reason
            row.save(update_fields=["skipped_at", "skipped_by", "skip_reason"])
            logger.warning("%s skips %s, as %s wants: %s", checkpoint, row, by, reason)
            return _resume(checkpoint, _rows(checkpoint, row.stream), subscriber)

    return transient.on_transient_errors(act)


def _held(checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber) -> _Held:
    room = subscriber.max_parked - int(checkpoint.parked_streams)
    return _Held(subscriber, _parked_streams(checkpoint, events), room=room)


def _parked_streams(checkpoint: Any, events: Sequence[DomainEvent]) -> set[str]:
    """Those of the streams of ``events`` that are held up; no statement when nothing is parked."""
    if not checkpoint.parked_streams:
        return set()
    streams = {event.recorded.stream for event in events}
    parked = checkpoint.parked_events.filter(skipped_at=None, stream__in=streams)
    return set(parked.values_list("stream", flat=True).distinct())


def _hold_unreadable(events: Sequence[DomainEvent], held: _Held) -> None:
    for event in events:
        if isinstance(event, UndecodableEvent) and not held.holds(event):
            is_known = event.type in DomainEvent.types
            category = (
                ParkedEvent.Category.UNDECODABLE if is_known else ParkedEvent.Category.UNKNOWN_TYPE
            )
            message = f"It can't be read: {event.reason}"
            held.add(_Failure(event=event, category=category, message=message))


def _apply_at_once(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber, held: _Held
) -> None:
    if free := [event for event in events if not held.holds(event)]:
        try:
            subscriber.apply(checkpoint, free)
        except Exception as error:
            if transient.is_transient(error):
                raise
            raise CannotApplyError from error


def _apply_by_halves(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber, held: _Held
) -> None:
    """Apply ``events`` in their order, all but those that fail and what these hold up.

    What fails is halved until one event is left: among 10,000 that is found in some thirty tries,
    of which most are short.
    """
    free = [event for event in events if not held.holds(event)]
    if not free:
        return
    try:
        with transaction.atomic(using=checkpoint._state.db):
            subscriber.apply(checkpoint, free)
        return
    except Exception as error:
        if transient.is_transient(error):
            raise
        if len(free) == 1:
            held.add(_failure(free[0], error))
            return
    middle = len(free) // 2
    _apply_by_halves(checkpoint, free[:middle], subscriber, held)
    _apply_by_halves(checkpoint, free[middle:], subscriber, held)


def _failure(event: DomainEvent, error: Exception) -> _Failure:
    # What the database adds to its first line shows the row, which may be personal.
    first_line = str(error).partition("\n")[0]
    return _Failure(
        event=event,
        category=ParkedEvent.Category.PROJECTION_ERROR,
        message=f"{type(error).__name__}: {first_line}",
        traceback="".join(traceback.format_tb(error.__traceback__)),
    )


def _park(checkpoint: Any, events: Sequence[DomainEvent], held: _Held) -> None:
    if not events:
        return
    rows = checkpoint.parked_events
    rows.bulk_create(_row(checkpoint, event, held) for event in events)
    if held.failures:
        _count(checkpoint, len(held.failures))
        for failure in held.failures.values():
            logger.error("%s, parks a stream behind %s", checkpoint, failure)


def _forget(checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber) -> None:
    """Keep nothing personal of the streams in which ``events`` have erased it: no words about them,
    since an error may quote what it failed on, and where they wait behind one that can't be
    applied, nothing that was made before."""
    erasing = [event for event in events if event.erases]
    if not erasing:
        return
    streams = {event.recorded.stream for event in erasing}
    told = checkpoint.parked_events.filter(stream__in=streams).exclude(message="")
    told.update(message=ERASED, traceback="")
    if subscriber.redo is not None:
        waiting = checkpoint.parked_events.filter(
            event_id__in=[event.recorded.event_id for event in erasing], skipped_at=None
        )
        for stream in waiting.values_list("stream", flat=True).distinct():
            subscriber.redo(checkpoint, stream, _applied(checkpoint, stream, subscriber))


def _applied(checkpoint: Any, stream: str, subscriber: Subscriber) -> list[DomainEvent]:
    """The events of a stream that were applied before it was parked, as they read by now."""
    rows = checkpoint.parked_events.filter(stream=stream)
    parked = {row.version: row.skipped_at for row in rows}
    first = min(version for version, skipped_at in parked.items() if skipped_at is None)
    return [
        event
        for event in log.read_stream(stream)
        if event.recorded.version < first
        and event.recorded.version not in parked
        and subscriber.wants(event)
    ]


def _row(checkpoint: Any, event: DomainEvent, held: _Held) -> ParkedEvent:
    known = event.recorded
    row: ParkedEvent = checkpoint.parked_events.model(
        checkpoint=checkpoint,
        event_id=known.event_id,
        stream=known.stream,
        version=known.version,
        position=known.position,
        type=event.type,
        category=ParkedEvent.Category.WAITING,
    )
    held.explain(row)
    return row


def _count(checkpoint: Any, streams: int) -> None:
    """Let the checkpoint say that more streams are parked, or fewer."""
    # In the table, since the slices of one generation are filled at once.
    checkpoints = type(checkpoint)._default_manager.using(checkpoint._state.db)
    checkpoints.filter(pk=checkpoint.pk).update(parked_streams=F("parked_streams") + streams)
    checkpoint.parked_streams += streams


def _rows(checkpoint: Any, stream: str) -> list[ParkedEvent]:
    return list(checkpoint.parked_events.filter(stream=stream, skipped_at=None).order_by("version"))


def _resume(checkpoint: Any, rows: Sequence[ParkedEvent], subscriber: Subscriber) -> int:
    """Apply what a stream has parked, which are ``rows``, as far as it can be; returns how many
    events were applied."""
    events = log.read_at([row.position for row in rows])
    wanted = [event for event in events if subscriber.wants(event)]
    held = _Held(subscriber, room=1)
    _hold_unreadable(wanted, held)
    _apply_by_halves(checkpoint, wanted, subscriber, held)
    left = {event.recorded.event_id for event in wanted if held.holds(event)}
    done = [row.pk for row in rows if row.event_id not in left]
    checkpoint.parked_events.filter(pk__in=done).delete()
    if not held.failures:
        _count(checkpoint, -1)
    for row in rows:
        if row.event_id in left and held.explain(row):
            row.save()
    return len(wanted) - len(left)
