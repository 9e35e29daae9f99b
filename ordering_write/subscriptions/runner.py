"""One runner at one checkpoint, batch by batch; and what becomes of one that fails or is lost."""

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections, models, transaction
from django.db.models.functions import Now

from config.databases import retry
from ordering_write import log
from ordering_write.domain.events import DomainEvent
from ordering_write.subscriptions import parking
from ordering_write.subscriptions.checkpoint import Checkpoint, Start, checkpoints_moved
from ordering_write.subscriptions.parking import Subscriber

logger = logging.getLogger(__name__)

# How long a subscriber that was handed to a runner is not handed to another one. Needed from the
# hand-out to the runner's first batch and between batches, since a batch locks the checkpoint; it
# is also what a runner's sudden death costs at most.
LEASE = timedelta(seconds=2)

# Pauses of a subscriber that fails: as long as it has been failing, within these bounds.
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)

# Looks at a log whose newest events another process is just giving their positions.
LOOKS = 50
SECONDS_BETWEEN_LOOKS = 0.01

# Between two tries to take back a start that was counted, while the database is away.
_SECONDS_BETWEEN_NOTES = 1.0

_MOVE = """
UPDATE {table} AS checkpoint SET
    position = %(position)s, event_id = %(event_id)s, log_id = %(log_id)s,
    updated_at = statement_timestamp(),
    leased_until = statement_timestamp() + make_interval(secs => %(lease)s),
    error = '', failed_at = NULL, start = 0,
    batches = batches + 1, batch_seconds = batch_seconds + applied.seconds,
    last_batch_seconds = applied.seconds
FROM unnest(%(keys)s::bigint[], %(seconds)s::float8[]) AS applied (key, seconds){waits}
WHERE checkpoint.id = applied.key
"""
# For this transaction only.
_WAITS_FOR_NO_DISK = ", set_config('synchronous_commit', 'off', true)"


class LogReplacedError(Exception):
    """The log isn't the one that a subscriber has read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(
            f"The log isn't the one that {checkpoint}, has read: at position "
            f"{checkpoint.position} it hasn't the event {checkpoint.event_id}. It was restored "
            "from a backup or replaced, so that what was made from it may be wrong: rebuild."
        )


class Reader:
    """Reads the log for subscribers that follow it side by side: what one of them has read isn't
    read and decoded again for the next."""

    def __init__(self) -> None:
        self._marked: dict[int, tuple[UUID, UUID | None]] = {}
        self._asked: tuple[int, int] | None = None
        self._events: list[DomainEvent] = []
        # Whether all that was committed before the last reading could be read.
        self.saw_all = False

    def mark(self, position: int) -> tuple[UUID, UUID | None]:
        if position not in self._marked:
            self._marked = {position: log.mark(position)}
        return self._marked[position]

    def read(self, after: int, limit: int) -> list[DomainEvent]:
        # Nothing is never kept: there may be something by now.
        if self._asked != (after, limit) or not self._events:
            self.saw_all = log.sequence()
            self._events = log.read_log(after, limit)
            self._asked = after, limit
            if self._events:
                # What is read from it is of the log that was marked before.
                last = self._events[-1].recorded
                self._marked = {
                    cast(int, last.position): (identity, last.event_id)
                    for identity, _event in self._marked.values()
                }
        return self._events


def reads_this_log(checkpoint: Checkpoint, reader: Reader | None = None) -> bool:
    """Whether the log has the last event that was applied, where it was read."""
    read = (checkpoint.log_id, checkpoint.event_id)
    return checkpoint.event_id is None or read == (reader or log).mark(checkpoint.position)


class Done(NamedTuple):
    """What one step did: events applied, the position after them, and whether there may be more."""

    size: int
    position: int
    goes_on: bool


class Runner:
    """Follows the log from the one checkpoint in ``checkpoints``.

    ``stays`` says that it will look again within the lease, whether there is more or not.
    """

    def __init__(
        self,
        checkpoints: "models.QuerySet[Any]",
        subscriber: Subscriber,
        batch: int,
        reader: Reader,
        *,
        stays: bool = False,
    ) -> None:
        self._checkpoints = checkpoints
        self._subscriber = subscriber
        self._batch = batch
        self._reader = reader
        self._stays = stays
        # Whether the start on the next events was counted, and by us.
        self._counted = False
        self._began = 0.0

    def follow(self) -> Iterator[int]:
        """Apply what there is; yields the number of events of each batch, after it."""
        looks = 0
        while looks < LOOKS:
            done = self.step()
            if done is None:
                return
            if done.size:
                looks = 0
                yield done.size
            if done.goes_on:
                continue
            if log.head() <= done.position:
                return
            if not done.size:
                # Something is there that can't be read yet: another process is sequencing it.
                looks += 1
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def step(self) -> Done | None:
        """Apply one batch; None when another runner holds the checkpoint or it is gone."""
        return retry.on_transient_errors(self._step)

    def _step(self, *, carefully: bool = False) -> Done | None:
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
    ) -> Done:
        """Apply ``events``, or the first where one goes alone, and move the checkpoint past it."""
        if checkpoint.goes_alone:
            events = events[:1]
        if not events:
            checkpoint.leased_until, checkpoint.start = None, Start.FIRST
            checkpoint.save(update_fields=["leased_until", "start"])
            return Done(0, checkpoint.position, goes_on=False)
        if checkpoint.start == Start.KILLED and not self._counted:
            parking.park_crashed(checkpoint, events[0], self._subscriber)
        else:
            parking.apply(checkpoint, events, self._subscriber, carefully=carefully)
        goes_on = len(events) >= self._batch or checkpoint.goes_alone
        move([checkpoint], events, [time.monotonic() - self._began], goes_on or self._stays)
        return Done(len(events), cast(int, events[-1].recorded.position), goes_on)

    def keep(self, failure: Exception) -> None:
        """Keep on the checkpoint why it can't go on."""
        retry.drop_broken_connections()
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
            retry.drop_broken_connections()

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


def move(
    checkpoints: Sequence[Any],
    events: Sequence[DomainEvent],
    seconds: Sequence[float],
    goes_on: bool,
) -> None:
    """Move checkpoints of one table, which stand at one position, past ``events``, which each has
    applied in so many ``seconds``."""
    last = events[-1].recorded
    first = checkpoints[0]
    # The lease ends before the look at the head that follows a last batch, so that an event is
    # either seen by that look or handed out.
    values = {
        "position": last.position,
        "event_id": last.event_id,
        "log_id": first.log_id or log.identity(),
        "lease": LEASE.total_seconds() if goes_on else None,
        "keys": [checkpoint.pk for checkpoint in checkpoints],
        "seconds": list(seconds),
    }
    with connections[first._state.db].cursor() as cursor:
        waits = _WAITS_FOR_NO_DISK if first.can_be_repeated else ""
        cursor.execute(_MOVE.format(table=first._meta.db_table, waits=waits), values)
    tell = partial(checkpoints_moved.send, sender=type(first))
    transaction.on_commit(tell, using=first._state.db, robust=True)
    for checkpoint, each in zip(checkpoints, seconds, strict=True):
        logger.debug(
            "%s: %d events up to %d applied in %.3f s",
            checkpoint,
            len(events),
            last.position,
            each,
        )


def _count_start(checkpoint: Checkpoint, *, until: DomainEvent) -> None:
    """Write down that we start, so that it is known if we don't come back."""
    if checkpoint.start == Start.KILLED:
        checkpoint.alone_until = cast(int, until.recorded.position)
    checkpoint.start, checkpoint.leased_until = Start.COUNTED, Now() + LEASE
    checkpoint.save(update_fields=["start", "leased_until", "alone_until"])
