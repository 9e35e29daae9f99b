"""Parking: an event that can't be applied waits, and the later events of its stream wait behind it.

All other streams go on. A parked event is a row that names the event. The event itself stays in the
log, so that erasing its personal fields there is enough.
"""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from django.db import OperationalError, connections, transaction
from django.db.models import F

from config.databases import retry, tables
from ordering_write.domain.events import DomainEvent, UndecodableEvent
from ordering_write.domain.values import ERASED
from ordering_write.subscriptions.blocked import BlockedStreams, Failure
from ordering_write.subscriptions.checkpoint import ParkedEvent
from ordering_write.subscriptions.subscriber import Subscriber

logger = logging.getLogger(__name__)

# The most erased streams whose events are held in memory at once.
_REAPPLIED_STREAMS = 100


class CannotApplyError(Exception):
    """An event of a batch can't be applied; ``__cause__`` is the error."""


def apply(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber, *, bisect: bool
) -> None:
    """Apply the wanted ``events`` that no earlier event blocks, and park the others.

    Call it in the transaction that moves ``checkpoint``. Without ``bisect`` it adds no statement
    while nothing is parked, and raises CannotApplyError when an event fails: roll back, and begin
    again with ``bisect``. Raises TooManyParkedError, and transient errors of the database as they
    are.
    """
    if subscriber.max_parked is None:
        subscriber.apply(checkpoint, events)
        return
    wanted = [event for event in events if subscriber.wants(event)]
    blocked = _blocked_streams(checkpoint, wanted, subscriber)
    _block_unreadable(wanted, blocked)
    if bisect:
        _apply_by_bisection(checkpoint, wanted, subscriber, blocked)
    else:
        _apply_at_once(checkpoint, wanted, subscriber, blocked)
    _park(checkpoint, [event for event in wanted if blocked.blocks(event)], blocked)
    _forget_erased(checkpoint, events, subscriber)


def park_crashed(checkpoint: Any, event: DomainEvent, subscriber: Subscriber) -> None:
    """Park an event whose application has killed the process, if it is wanted and not blocked.

    A subscriber that can't park it gets it again.
    """
    if subscriber.max_parked is None:
        subscriber.apply(checkpoint, [event])
        return
    wanted = [event] if subscriber.wants(event) else []
    blocked = _blocked_streams(checkpoint, wanted, subscriber)
    if wanted and not blocked.blocks(event):
        message = "The process was killed each time that the event was applied"
        blocked.add(Failure(event=event, category=ParkedEvent.Category.CRASH, message=message))
    _park(checkpoint, wanted, blocked)
    _forget_erased(checkpoint, [event], subscriber)


def parked_rows(checkpoint: Any, stream: str) -> list[ParkedEvent]:
    """Return the parked events of ``stream`` in order, without those that were skipped."""
    return list(checkpoint.parked_events.filter(stream=stream, skipped_at=None).order_by("version"))


def apply_parked(checkpoint: Any, rows: Sequence[ParkedEvent], subscriber: Subscriber) -> int:
    """Apply ``rows``, all parked events of a parked stream, in order and as far as possible.

    Returns how many events were applied. Call it in a transaction that has locked ``checkpoint``.
    """
    events = subscriber.source.read_at([row.position for row in rows])
    wanted = [event for event in events if subscriber.wants(event)]
    blocked = BlockedStreams(subscriber, capacity=1)
    _block_unreadable(wanted, blocked)
    _apply_by_bisection(checkpoint, wanted, subscriber, blocked)
    still_parked = {event.recorded.event_id for event in wanted if blocked.blocks(event)}
    applied = [row.pk for row in rows if row.event_id not in still_parked]
    checkpoint.parked_events.filter(pk__in=applied).delete()
    if not blocked.failures:
        _add_parked_streams(checkpoint, -1)
    for row in rows:
        if row.event_id in still_parked and blocked.describe(row):
            row.save()
    return len(wanted) - len(still_parked)


def _blocked_streams(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber
) -> BlockedStreams:
    capacity = (subscriber.max_parked or 0) - int(checkpoint.parked_streams)
    return BlockedStreams(subscriber, _parked_streams(checkpoint, events), capacity=capacity)


def _parked_streams(checkpoint: Any, events: Sequence[DomainEvent]) -> set[str]:
    """Return the parked streams among those of ``events``; no statement while none is parked."""
    if not checkpoint.parked_streams:
        return set()
    streams = {event.recorded.stream for event in events}
    parked = checkpoint.parked_events.filter(skipped_at=None, stream__in=streams)
    return set(parked.values_list("stream", flat=True).distinct())


def _block_unreadable(events: Sequence[DomainEvent], blocked: BlockedStreams) -> None:
    for event in events:
        if isinstance(event, UndecodableEvent) and not blocked.blocks(event):
            category = (
                ParkedEvent.Category.UNDECODABLE
                if event.type in DomainEvent.types
                else ParkedEvent.Category.UNKNOWN_TYPE
            )
            message = f"The event can't be read: {event.reason}"
            blocked.add(Failure(event=event, category=category, message=message))


def _apply_at_once(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber, blocked: BlockedStreams
) -> None:
    if unblocked := [event for event in events if not blocked.blocks(event)]:
        try:
            subscriber.apply(checkpoint, unblocked)
        except Exception as error:
            if retry.is_transient(error):
                raise
            raise CannotApplyError from error


def _apply_by_bisection(
    checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber, blocked: BlockedStreams
) -> None:
    """Apply ``events`` in order, except those that fail and those that are blocked by them.

    A part that fails is halved until one event is left. To find one failing event among 10,000
    takes some thirty tries, most of them short.
    """
    unblocked = [event for event in events if not blocked.blocks(event)]
    if not unblocked:
        return
    try:
        with transaction.atomic(using=checkpoint._state.db):
            subscriber.apply(checkpoint, unblocked)
        return
    except Exception as error:
        if retry.is_transient(error):
            raise
        if connections[checkpoint._state.db].needs_rollback:
            # The connection was lost before the savepoint was rolled back.
            raise OperationalError("The connection was lost while a batch was undone.") from error
        if len(unblocked) == 1:
            blocked.add(_failure(unblocked[0], error))
            return
    middle = len(unblocked) // 2
    _apply_by_bisection(checkpoint, unblocked[:middle], subscriber, blocked)
    _apply_by_bisection(checkpoint, unblocked[middle:], subscriber, blocked)


def _failure(event: DomainEvent, error: Exception) -> Failure:
    # PostgreSQL appends the row to its first line, which may be personal.
    first_line = str(error).partition("\n")[0]
    return Failure(
        event=event,
        category=ParkedEvent.Category.PROJECTION_ERROR,
        message=f"{type(error).__name__}: {first_line}",
        traceback="".join(traceback.format_tb(error.__traceback__)),
    )


def _park(checkpoint: Any, events: Sequence[DomainEvent], blocked: BlockedStreams) -> None:
    if not events:
        return
    checkpoint.parked_events.bulk_create(_row(checkpoint, event, blocked) for event in events)
    if blocked.failures:
        _add_parked_streams(checkpoint, len(blocked.failures))
        for failure in blocked.failures.values():
            logger.error("%s: a stream is parked behind %s", checkpoint, failure)


def _row(checkpoint: Any, event: DomainEvent, blocked: BlockedStreams) -> ParkedEvent:
    envelope = event.recorded
    row: ParkedEvent = checkpoint.parked_events.model(
        checkpoint=checkpoint,
        event_id=envelope.event_id,
        stream=envelope.stream,
        version=envelope.version,
        position=envelope.position,
        type=event.type,
        category=ParkedEvent.Category.WAITING,
    )
    blocked.describe(row)
    return row


def _add_parked_streams(checkpoint: Any, number: int) -> None:
    """Add ``number``, which may be negative, to the count of parked streams."""
    # In the table, since the slices of one generation are filled at the same time.
    checkpoints = type(checkpoint)._default_manager.using(checkpoint._state.db)
    checkpoints.filter(pk=checkpoint.pk).update(parked_streams=F("parked_streams") + number)
    checkpoint.parked_streams += number


def _forget_erased(checkpoint: Any, events: Sequence[DomainEvent], subscriber: Subscriber) -> None:
    """Remove the copies of personal fields that ``events`` have erased.

    Clears the messages of parked events, since an error may quote a field. Makes all effects of the
    erased streams again from the log, which no longer has the fields: so no subscriber needs to
    know where its effects hold them.
    """
    streams = sorted({event.recorded.stream for event in events if event.erases})
    if not streams:
        return
    rows = checkpoint.parked_events.filter(stream__in=streams).exclude(message="")
    rows.update(message=ERASED, traceback="")
    if subscriber.reapply is None:
        return
    # The events of a stream come in order: up to these versions they have been passed.
    passed = {event.recorded.stream: event.recorded.version for event in events}
    tables.flush()
    for part in _parts(streams):
        versions = {stream: passed[stream] for stream in part}
        read = partial(_applied_events, checkpoint, versions, subscriber)
        subscriber.reapply(checkpoint, part, read)


def _parts(streams: Sequence[str]) -> Iterator[list[str]]:
    """Yield the sorted ``streams`` in parts of one kind of stream, of a limited size."""
    for _, of_kind in groupby(streams, lambda stream: stream.partition("-")[0]):
        kind = list(of_kind)
        for start in range(0, len(kind), _REAPPLIED_STREAMS):
            yield kind[start : start + _REAPPLIED_STREAMS]


def _applied_events(
    checkpoint: Any, passed: Mapping[str, int], subscriber: Subscriber
) -> list[DomainEvent]:
    """Return the events that were applied of each stream, up to its version in ``passed``, as they
    read now."""
    unapplied: set[tuple[str, int]] = set()
    ends = dict(passed)
    for row in checkpoint.parked_events.filter(stream__in=passed):
        unapplied.add((row.stream, row.version))
        if row.skipped_at is None:
            ends[row.stream] = min(ends[row.stream], row.version)
    return [
        event
        for event in subscriber.source.read_streams(passed)
        if event.recorded.version <= ends[event.recorded.stream]
        and (event.recorded.stream, event.recorded.version) not in unapplied
        and subscriber.wants(event)
    ]
