"""Following the log: the one loop by which subscribers read it, each from its own checkpoint."""

import logging
import math
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.models.functions import Now

from ordering_write import faults, log, outbox, parking
from ordering_write.checkpoints import Checkpoint, Start
from ordering_write.domain.events import DomainEvent
from ordering_write.parking import Subscriber

logger = logging.getLogger(__name__)

# How long a subscriber that was handed to a runner is not handed to another one. Needed from the
# hand-out to the runner's first batch and between batches, since a batch locks the checkpoint; it
# is also what a runner's sudden death costs at most.
LEASE = timedelta(seconds=2)

# Pauses of a subscriber that fails: as long as it has been failing, within these bounds.
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)

# Looks at a log whose newest events another process is just giving their positions.
_LOOKS = 50
_SECONDS_BETWEEN_LOOKS = 0.01

# Between two tries to take back a start that was counted, while the database is away.
_SECONDS_BETWEEN_NOTES = 1.0


class LogReplacedError(Exception):
    """The log isn't the one that a subscriber has read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"The log isn't the one that {checkpoint}, has read: at position "
            f"{checkpoint.position} it hasn't the event {checkpoint.event_id}. It was restored "
            "from a backup or replaced, so that what was made from it may be wrong: rebuild."
        )


class Subscription(NamedTuple):
    """Who follows the log, from the one checkpoint in ``checkpoints``."""

    checkpoints: "models.QuerySet[Any]"
    subscriber: Subscriber


class Reader:
    """Reads the log for subscribers that follow it side by side: what one of them has read isn't
    read and decoded again for the next."""

    def __init__(self) -> None:
        self._marked: tuple[int, tuple[UUID, UUID | None]] | None = None
        self._asked: tuple[int, int] | None = None
        self._events: list[DomainEvent] = []
        self._head: int | None = None

    def mark(self, position: int) -> tuple[UUID, UUID | None]:
        if self._marked is None or self._marked[0] != position:
            self._marked = position, log.mark(position)
        return self._marked[1]

    def head(self) -> int:
        """The head as it was after the last batch of any of them."""
        self._head = log.head() if self._head is None else self._head
        return self._head

    def read(self, after: int, limit: int) -> list[DomainEvent]:
        self._head = None
        # Nothing is never kept: there may be something by now.
        if self._asked != (after, limit) or not self._events:
            log.sequence()
            self._events = log.read_log(after, limit)
            self._asked = after, limit
        return self._events


def catch_up(
    subscriptions: Sequence[Subscription], *, batch: int, seconds: float = math.inf
) -> list[int]:
    """Follow the log until all are level, or for about ``seconds``; returns how many events were
    applied or parked for each.

    They take turns, batch by batch, so that what those at one position need is read once.

    An exception is kept on the checkpoint, logged when the checkpoint begins to fail, and keeps
    it from being handed out for a while; nothing is skipped, and nobody else is kept up. When the
    time is over but the log isn't, whoever hands out work is woken, so that others get their turn.
    """
    ends_at = time.monotonic() + seconds
    reader = Reader()
    applied = [0] * len(subscriptions)
    runs = [_Run(*subscription, batch, reader) for subscription in subscriptions]
    running = {number: run.follow() for number, run in enumerate(runs)}
    while running:
        for number, batches in list(running.items()):
            try:
                applied[number] += next(batches)
            except StopIteration:
                del running[number]
            except Exception as failure:
                del running[number]
                runs[number].keep(failure)
        if running and time.monotonic() > ends_at:
            for number in running:
                runs[number].let_go()
            outbox.notify()
            break
    return applied


def follow(
    checkpoints: "models.QuerySet[Any]", subscriber: Subscriber, *, batch: int
) -> Iterator[int]:
    """Apply what the log has after the one checkpoint in ``checkpoints``; yields the number of
    events of each batch, after it.

    Each batch of about ``batch`` events is applied and the checkpoint moved in one transaction of
    the checkpoint's database, so that neither happens without the other. Only one runner at a time
    holds the checkpoint; a second one returns at once, and the first one looks once more after it
    has let go, so that the wake-up which the second one answered is not lost.

    An event that can't be applied is parked, and what the database breaks off is tried again; any
    other exception is raised.
    """
    return _Run(checkpoints, subscriber, batch, Reader()).follow()


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


class _Run:
    """One runner at one checkpoint."""

    def __init__(
        self,
        checkpoints: "models.QuerySet[Any]",
        subscriber: Subscriber,
        batch: int,
        reader: Reader,
    ) -> None:
        self._checkpoints = checkpoints
        self._subscriber = subscriber
        self._batch = batch
        self._reader = reader
        # Whether the start on the next events was counted, and by us.
        self._counted = False
        self._began = 0.0

    def follow(self) -> Iterator[int]:
        looks = 0
        while looks < _LOOKS:
            done = faults.persist(self._step)
            if done is None:
                return
            if done.size:
                looks = 0
                yield done.size
            if done.size >= self._batch:
                continue
            if self._reader.head() <= done.position:
                return
            if not done.size:
                # Something is there that can't be read yet: another process is sequencing it.
                looks += 1
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _step(self, *, carefully: bool = False) -> _Done | None:
        """Apply one batch; None when another runner holds the checkpoint or it is gone."""
        try:
            with transaction.atomic(using=self._checkpoints.db):
                checkpoint = self._checkpoints.select_for_update(skip_locked=True).first()
                if checkpoint is None or self._is_anothers(checkpoint):
                    return None
                if not reads_this_log(checkpoint, self._reader):
                    raise LogReplacedError(checkpoint)
                self._began = time.monotonic()
                limit = 1 if checkpoint.goes_alone else self._batch
                events = self._reader.read(checkpoint.position, limit)
                starts = not events or self._may_start(checkpoint)
                if starts:
                    done = self._apply(checkpoint, events, carefully)
                else:
                    _count_start(checkpoint, until=events[-1])
        except parking.CannotApplyError:
            return self._step(carefully=True)
        # Not before the commit: what is tried again must know whether its start was counted.
        self._counted = not starts
        return done if starts else self._step()

    def _is_anothers(self, checkpoint: Checkpoint) -> bool:
        return checkpoint.start == Start.COUNTED and not self._counted

    def _may_start(self, checkpoint: Checkpoint) -> bool:
        known = Start.KILLED if checkpoint.goes_alone else Start.FIRST
        return self._counted or checkpoint.start == known

    def _apply(
        self, checkpoint: Checkpoint, events: Sequence[DomainEvent], carefully: bool
    ) -> _Done:
        """Apply ``events``, or the first where one goes alone, and move the checkpoint past it."""
        if checkpoint.goes_alone:
            events = events[:1]
        if not events:
            checkpoint.leased_until, checkpoint.start = None, Start.FIRST
            checkpoint.save(update_fields=["leased_until", "start"])
            return _Done(0, checkpoint.position)
        if checkpoint.start == Start.KILLED and not self._counted:
            parking.park_crashed(checkpoint, events[0], self._subscriber)
        else:
            parking.apply(checkpoint, events, self._subscriber, carefully=carefully)
        self._move(checkpoint, events)
        return _Done(len(events), checkpoint.position)

    def _move(self, checkpoint: Checkpoint, events: Sequence[DomainEvent]) -> None:
        last = events[-1].recorded
        # Whatever is read from the log has one.
        checkpoint.position, checkpoint.event_id = cast(int, last.position), last.event_id
        checkpoint.log_id = checkpoint.log_id or log.identity()
        checkpoint.updated_at = Now()
        # The lease ends before the look at the head that follows a last batch, so that an event is
        # either seen by that look or handed out.
        goes_on = len(events) >= self._batch or checkpoint.goes_alone
        checkpoint.leased_until = Now() + LEASE if goes_on else None
        checkpoint.error, checkpoint.failed_at, checkpoint.start = "", None, Start.FIRST
        checkpoint.batches += 1
        checkpoint.last_batch_seconds = time.monotonic() - self._began
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
                "start",
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

    def let_go(self) -> None:
        """Let the rest be handed out at once."""
        with transaction.atomic(using=self._checkpoints.db):
            free = self._checkpoints.select_for_update(skip_locked=True).values("pk")
            self._checkpoints.filter(pk__in=free).update(leased_until=None)

    def keep(self, failure: Exception) -> None:
        """Keep on the checkpoint why it can't go on."""
        faults.drop_broken_connections()
        while True:
            try:
                self._keep(failure)
                return
            except (OperationalError, InterfaceError):
                # The checkpoint's database is out of reach; that is what will be seen.
                logger.warning("A subscriber failed, which can't be kept: %s", failure)
                if not self._counted:
                    return
            # A start that was counted would be taken for one that has killed its runner.
            time.sleep(_SECONDS_BETWEEN_NOTES)
            faults.drop_broken_connections()

    def _keep(self, failure: Exception) -> None:
        with transaction.atomic(using=self._checkpoints.db):
            rows = self._checkpoints.annotate(now=Now())
            checkpoint = rows.select_for_update(skip_locked=True).first()
            if checkpoint is None:
                return
            begins = checkpoint.failed_at is None
            checkpoint.failed_at = checkpoint.failed_at or checkpoint.now
            pause = min(max(checkpoint.now - checkpoint.failed_at, _FIRST_PAUSE), _LONGEST_PAUSE)
            checkpoint.leased_until = checkpoint.now + pause
            checkpoint.error = f"{type(failure).__name__}: {failure}"
            checkpoint.start = Start.FIRST
            checkpoint.save(update_fields=["leased_until", "error", "failed_at", "start"])
        if begins:
            logger.error("%s can't go on and will be tried again.", checkpoint, exc_info=failure)


def _count_start(checkpoint: Checkpoint, *, until: DomainEvent) -> None:
    """Write down that we start, so that it is known if we don't come back."""
    if checkpoint.start == Start.KILLED:
        checkpoint.alone_until = cast(int, until.recorded.position)
    checkpoint.start, checkpoint.leased_until = Start.COUNTED, Now() + LEASE
    checkpoint.save(update_fields=["start", "leased_until", "alone_until"])
