"""Following the log: the one loop by which subscribers read it, each from its own checkpoint."""

import logging
import math
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from django.db import (
    InterfaceError,
    OperationalError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.models.functions import Now

from ordering_write import log, outbox
from ordering_write.domain.events import DomainEvent, UndecodableEvent

logger = logging.getLogger(__name__)

# How long a subscriber that was handed to a runner is not handed to another one. Needed from the
# hand-out to the runner's first batch and between batches, since a batch locks the checkpoint; it
# is also what a runner's sudden death costs at most.
LEASE = timedelta(seconds=2)

# Pauses of a subscriber that fails: as long as it has been failing, within these bounds.
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)

# Tries of one batch when the database breaks off: deadlocks, lock timeouts, restarts.
_TRIES = 3
_SECONDS_BETWEEN_TRIES = 0.2

# Looks at a log whose newest events another process is just giving their positions.
_LOOKS = 50
_SECONDS_BETWEEN_LOOKS = 0.01


class Checkpoint(models.Model):
    """How far a subscriber has read. It lives in the database that holds what the subscriber
    does."""

    position = models.BigIntegerField(default=0, help_text="The last position that was applied.")
    event_id = models.UUIDField(null=True, blank=True, help_text="The event at that position.")
    log_id = models.UUIDField(null=True, blank=True, help_text="The log that was read.")
    updated_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then a runner is taken to be at it."
    )
    error = models.TextField(blank=True, help_text="Why it can't go on; empty when it can.")
    failed_at = models.DateTimeField(null=True, blank=True, help_text="When it began to fail.")
    batches = models.BigIntegerField(default=0, help_text="How many batches were applied.")
    batch_seconds = models.FloatField(default=0, help_text="How long they took together.")
    last_batch_seconds = models.FloatField(default=0)

    class Meta:
        abstract = True


class LogReplacedError(Exception):
    """The log isn't the one that a subscriber has read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"The log isn't the one that {checkpoint}, has read: at position "
            f"{checkpoint.position} it hasn't the event {checkpoint.event_id}. It was restored "
            "from a backup or replaced, so that what was made from it may be wrong: rebuild."
        )


# What a subscriber does with a batch, in the transaction that moves its checkpoint.
Apply = Callable[[Any, Sequence[DomainEvent]], None]


class Subscriber(NamedTuple):
    """Who follows the log: the one checkpoint in ``checkpoints``, and what is done with events."""

    checkpoints: "models.QuerySet[Any]"
    apply: Apply


class Reader:
    """Reads the log for subscribers that follow it side by side: what one of them has read isn't
    read and decoded again for the next."""

    def __init__(self) -> None:
        self._marked: tuple[int, tuple[UUID, UUID | None]] | None = None
        self._asked: tuple[int, int] | None = None
        self._events: list[DomainEvent] = []

    def mark(self, position: int) -> tuple[UUID, UUID | None]:
        if self._marked is None or self._marked[0] != position:
            self._marked = position, log.mark(position)
        return self._marked[1]

    def read(self, after: int, limit: int) -> list[DomainEvent]:
        # Nothing is never kept: there may be something by now.
        if self._asked != (after, limit) or not self._events:
            log.sequence()
            self._events = log.read_log(after, limit)
            self._asked = after, limit
        return self._events


def catch_up(
    subscribers: Sequence[Subscriber], *, batch: int, seconds: float = math.inf
) -> list[int]:
    """Follow the log until all are level, or for about ``seconds``; returns how many events were
    applied for each.

    They take turns, batch by batch, so that what those at one position need is read once.

    An exception is kept on the checkpoint, logged when the checkpoint begins to fail, and keeps
    it from being handed out for a while; nothing is skipped, and nobody else is kept up. When the
    time is over but the log isn't, whoever hands out work is woken, so that others get their turn.
    """
    ends_at = time.monotonic() + seconds
    reader = Reader()
    applied = [0] * len(subscribers)
    running = {
        number: follow(one.checkpoints, one.apply, batch=batch, reader=reader)
        for number, one in enumerate(subscribers)
    }
    while running:
        for number, batches in list(running.items()):
            try:
                applied[number] += next(batches)
            except StopIteration:
                del running[number]
            except Exception as failure:
                del running[number]
                _keep(failure, subscribers[number].checkpoints)
        if running and time.monotonic() > ends_at:
            for number in running:
                _let_go(subscribers[number].checkpoints)
            outbox.notify()
            break
    return applied


def follow(
    checkpoints: "models.QuerySet[Any]", apply: Apply, *, batch: int, reader: Reader | None = None
) -> Iterator[int]:
    """Apply what the log has after the one checkpoint in ``checkpoints``; yields the number of
    events of each batch, after it. ``reader`` is shared with those who follow side by side.

    Each batch of about ``batch`` events is applied and the checkpoint moved in one transaction of
    the checkpoint's database, so that neither happens without the other. Only one runner at a time
    holds the checkpoint; a second one returns at once, and the first one looks once more after it
    has let go, so that the wake-up which the second one answered is not lost.

    What the database breaks off is tried again; any other exception is raised.
    """
    step = partial(_step, checkpoints, apply, batch, reader or Reader())
    looks = 0
    while looks < _LOOKS:
        done = _retried(step)
        if done is None:
            return
        if done.size:
            looks = 0
            yield done.size
        if done.size >= batch:
            continue
        if log.head() <= done.position:
            return
        if not done.size:
            # Something is there that can't be read yet: another process is sequencing it.
            looks += 1
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def reads_this_log(checkpoint: Checkpoint, reader: Reader | None = None) -> bool:
    """Whether the log has the last event that was applied, where it was read."""
    read = (checkpoint.log_id, checkpoint.event_id)
    return checkpoint.event_id is None or read == (reader or log).mark(checkpoint.position)


def lag_seconds(positions: Collection[int]) -> dict[int, float]:
    """For each position the age of the first event after it, in seconds; 0.0 when none is."""
    with connection.cursor() as cursor:
        cursor.execute(_LAG_SECONDS, [list(positions)])
        return {position: float(seconds) for position, seconds in cursor.fetchall()}


# An event without a position yet is later than all that have one.
_LAG_SECONDS = """
SELECT checkpoint, greatest(0, coalesce(extract(epoch FROM clock_timestamp() - coalesce(
    (SELECT event.recorded_at FROM event_position place JOIN event ON event.id = place.event_id
     WHERE place.position > checkpoint ORDER BY place.position LIMIT 1),
    (SELECT min(event.recorded_at) FROM event_pending JOIN event USING (commit_id))
)), 0))
FROM unnest(%s::bigint[]) AS checkpoint
"""


class _Done(NamedTuple):
    """What one step did: events applied, and the position after them."""

    size: int
    position: int


def _retried(step: Callable[[], _Done | None]) -> _Done | None:
    for _ in range(_TRIES - 1):
        try:
            return step()
        except (OperationalError, InterfaceError):
            _drop_broken_connections()
            # By chance, so that two that met in a deadlock don't meet again.
            time.sleep(_SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.5))
    return step()


def _drop_broken_connections() -> None:
    for each in connections.all(initialized_only=True):
        # In a transaction there is nothing to save: whoever opened it must begin anew.
        if not each.in_atomic_block:
            each.close_if_unusable_or_obsolete()


def _step(
    checkpoints: "models.QuerySet[Any]", apply: Apply, batch: int, reader: Reader
) -> _Done | None:
    """Apply one batch; None when another runner holds the checkpoint or it is gone."""
    with transaction.atomic(using=checkpoints.db):
        checkpoint = checkpoints.select_for_update(skip_locked=True).first()
        if checkpoint is None:
            return None
        if not reads_this_log(checkpoint, reader):
            raise LogReplacedError(checkpoint)
        began = time.monotonic()
        events = reader.read(checkpoint.position, batch)
        if not events:
            checkpoint.leased_until = None
            checkpoint.save(update_fields=["leased_until"])
            return _Done(0, int(checkpoint.position))
        for event in events:
            if isinstance(event, UndecodableEvent):
                raise log.UndecodableEventError(event)
        apply(checkpoint, events)
        checkpoint.position, checkpoint.updated_at = events[-1].recorded.position, Now()
        checkpoint.event_id = events[-1].recorded.event_id
        checkpoint.log_id = checkpoint.log_id or log.identity()
        # The lease ends before the look at the head that follows a last batch, so that an event is
        # either seen by that look or handed out.
        checkpoint.leased_until = Now() + LEASE if len(events) >= batch else None
        checkpoint.error, checkpoint.failed_at = "", None
        checkpoint.batches += 1
        checkpoint.last_batch_seconds = time.monotonic() - began
        checkpoint.batch_seconds += checkpoint.last_batch_seconds
        checkpoint.save(
            update_fields=[
                "position",
                "event_id",
                "log_id",
                "updated_at",
                "leased_until",
                "error",
                "failed_at",
                "batches",
                "batch_seconds",
                "last_batch_seconds",
            ]
        )
        logger.debug(
            "%s: %d events up to %d applied in %.3f s",
            checkpoint,
            len(events),
            checkpoint.position,
            checkpoint.last_batch_seconds,
        )
        return _Done(len(events), int(checkpoint.position))


def _let_go(checkpoints: "models.QuerySet[Any]") -> None:
    with transaction.atomic(using=checkpoints.db):
        free = checkpoints.select_for_update(skip_locked=True).values("pk")
        checkpoints.filter(pk__in=free).update(leased_until=None)


def _keep(failure: Exception, checkpoints: "models.QuerySet[Any]") -> None:
    _drop_broken_connections()
    try:
        with transaction.atomic(using=checkpoints.db):
            checkpoint = checkpoints.annotate(now=Now()).select_for_update(skip_locked=True).first()
            if checkpoint is None:
                return
            begins = checkpoint.failed_at is None
            checkpoint.failed_at = checkpoint.failed_at or checkpoint.now
            pause = min(max(checkpoint.now - checkpoint.failed_at, _FIRST_PAUSE), _LONGEST_PAUSE)
            checkpoint.leased_until = checkpoint.now + pause
            checkpoint.error = f"{type(failure).__name__}: {failure}"
            checkpoint.save(update_fields=["leased_until", "error", "failed_at"])
    except (OperationalError, InterfaceError):
        # The checkpoint's database is out of reach; that is what will be seen.
        logger.warning("A subscriber failed, which can't be kept: %s", failure)
        return
    if begins:
        logger.error("%s can't go on and will be tried again.", checkpoint, exc_info=failure)
