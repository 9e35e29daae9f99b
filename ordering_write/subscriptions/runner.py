"""A runner moves one checkpoint, batch by batch, in spite of failures and lost runners."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError, models, transaction
from django.db.models.functions import Now

from config import telemetry
from config.databases import prepared, retry
from ordering_write import log
from ordering_write.domain.events import DomainEvent
from ordering_write.log import LogSource
from ordering_write.subscriptions import parking
from ordering_write.subscriptions.checkpoint import Checkpoint, CrashSuspicion, checkpoints_moved
from ordering_write.subscriptions.lease import LEASE
from ordering_write.subscriptions.reader import LogReader, LogReplacedError, reads_this_log
from ordering_write.subscriptions.subscriber import Subscriber

logger = logging.getLogger(__name__)

# A subscriber that fails pauses for as long as it has been failing, within these bounds.
_SHORTEST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=1)

# Reads of a log whose newest events another process is just sequencing.
MAX_READS = 50
SECONDS_BETWEEN_READS = 0.01

# Between two tries to take back a counted start while the database is away.
_SECONDS_BETWEEN_RECORDINGS = 1.0

_MOVE = """
UPDATE {table} AS checkpoint SET
    position = %(position)s, event_id = %(event_id)s, log_id = %(log_id)s,
    updated_at = statement_timestamp(),
    leased_until = statement_timestamp() + make_interval(secs => %(lease)s),
    error = '', failed_at = NULL, start = 0,
    batches = batches + 1, batch_seconds = batch_seconds + applied.seconds + common.seconds,
    last_batch_seconds = applied.seconds + common.seconds
FROM unnest(%(keys)s::bigint[], %(seconds)s::float8[]) AS applied (key, seconds), (
    SELECT greatest(extract(epoch FROM statement_timestamp() - now()) - %(others)s, 0)
        / cardinality(%(keys)s::bigint[]) AS seconds
) AS common{asynchronous}
WHERE checkpoint.id = applied.key
"""
# For this transaction only.
_COMMIT_ASYNCHRONOUSLY = ", set_config('synchronous_commit', 'off', true)"


class Step(NamedTuple):
    """The result of one batch: events applied, the position after them, and whether to go on."""

    applied: int
    position: int
    may_have_more: bool


class Runner:
    """Follows the log from the one checkpoint in ``checkpoints``.

    ``listens`` says that the caller looks again within the lease, so that the lease is kept. The
    runner stops at the position ``until``, which is the end of a commit.
    """

    def __init__(
        self,
        checkpoints: "models.QuerySet[Any]",
        subscriber: Subscriber,
        batch: int,
        reader: LogReader,
        *,
        listens: bool = False,
        until: float = math.inf,
    ) -> None:
        self._checkpoints = checkpoints
        self._subscriber = subscriber
        self._batch = batch
        self._reader = reader
        self._listens = listens
        self._until = until
        # True once this runner has counted its start on the next events.
        self._start_counted = False

    def follow(self) -> Iterator[int]:
        """Apply all events that the log has; yields the number of events of each batch."""
        reads = 0
        while reads < MAX_READS:
            step = self.step()
            if step is None:
                return
            if step.applied:
                reads = 0
                yield step.applied
            if step.position >= self._until:
                return
            if step.may_have_more:
                continue
            if self._reader.source.head() <= step.position:
                return
            if not step.applied:
                # The next events have no position yet: another process is sequencing them.
                reads += 1
                time.sleep(SECONDS_BETWEEN_READS)

    def step(self) -> Step | None:
        """Apply one batch; None if another runner holds the checkpoint or it is gone."""
        return retry.on_transient_errors(self._sequence_and_step)

    def _sequence_and_step(self) -> Step | None:
        self._reader.sequence()
        return self._step()

    def _step(self, *, bisect: bool = False) -> Step | None:
        try:
            with transaction.atomic(using=self._checkpoints.db):
                checkpoint = self._checkpoints.select_for_update(skip_locked=True).first()
                if checkpoint is None or self._belongs_to_another(checkpoint):
                    return None
                if not reads_this_log(checkpoint, self._reader):
                    raise LogReplacedError(checkpoint)
                if checkpoint.position >= self._until:
                    return Step(0, checkpoint.position, may_have_more=False)
                most = min(self._batch, self._until - checkpoint.position)
                limit = 1 if checkpoint.isolated else int(most)
                batch = self._reader.read(checkpoint.position, limit, checkpoint.streams)
                if may_apply := batch is None or self._may_apply(checkpoint):
                    step = self._apply(checkpoint, batch, bisect)
                elif batch:
                    _count_start(checkpoint, until=batch.position)
        except parking.CannotApplyError:
            return self._step(bisect=True)
        # Set after the commit only: a retry must know whether the start was counted.
        self._start_counted = not may_apply
        return step if may_apply else self._step()

    def _belongs_to_another(self, checkpoint: Checkpoint) -> bool:
        is_probed = checkpoint.crash_suspicion == CrashSuspicion.PROBING
        return is_probed and not self._start_counted

    def _may_apply(self, checkpoint: Checkpoint) -> bool:
        """Return True if the start was counted, or needn't be."""
        uncounted = CrashSuspicion.CONFIRMED if checkpoint.isolated else CrashSuspicion.NONE
        return self._start_counted or checkpoint.crash_suspicion == uncounted

    def _apply(self, checkpoint: Checkpoint, batch: log.LogBatch | None, bisect: bool) -> Step:
        """Apply ``batch``, or its first event when isolated, and move the checkpoint."""
        if batch is None:
            checkpoint.leased_until, checkpoint.crash_suspicion = None, CrashSuspicion.NONE
            checkpoint.save(update_fields=["leased_until", "crash_suspicion"])
            return Step(0, checkpoint.position, may_have_more=False)
        if checkpoint.isolated:
            batch = batch.first()
        events = batch.events
        may_have_more = batch.size >= self._batch or checkpoint.isolated
        with traced_batch([checkpoint], events, self._reader.source):
            if checkpoint.crash_suspicion == CrashSuspicion.CONFIRMED and not self._start_counted:
                for event in events:
                    parking.park_crashed(checkpoint, event, self._subscriber)
            else:
                parking.apply(checkpoint, events, self._subscriber, bisect=bisect)
            keep_lease = may_have_more or self._listens
            move([checkpoint], batch, [0.0], self._reader.source, keep_lease=keep_lease)
        return Step(len(events), batch.position, may_have_more)

    def record_failure(self, failure: Exception) -> None:
        """Write to the checkpoint why its subscriber can't go on."""
        retry.drop_broken_connections()
        while True:
            try:
                self._record_failure(failure)
                return
            except (OperationalError, InterfaceError):
                # The database of the checkpoint is away, which other code reports.
                logger.warning("The failure of a subscriber can't be recorded: %s", failure)
                if not self._start_counted:
                    return
            # A counted start that nobody takes back looks like a killed runner.
            time.sleep(_SECONDS_BETWEEN_RECORDINGS)
            retry.drop_broken_connections()

    def _record_failure(self, failure: Exception) -> None:
        with transaction.atomic(using=self._checkpoints.db):
            rows = self._checkpoints.annotate(now=Now())
            checkpoint = rows.select_for_update(skip_locked=True).first()
            if checkpoint is None:
                return
            is_first = checkpoint.failed_at is None
            checkpoint.failed_at = checkpoint.failed_at or checkpoint.now
            failing_for = checkpoint.now - checkpoint.failed_at
            pause = min(max(failing_for, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            checkpoint.leased_until = checkpoint.now + pause
            checkpoint.error = f"{type(failure).__name__}: {failure}"
            checkpoint.crash_suspicion = CrashSuspicion.NONE
            checkpoint.save(update_fields=["leased_until", "error", "failed_at", "crash_suspicion"])
        if is_first:
            logger.error("%s can't go on and will be tried again.", checkpoint, exc_info=failure)


def traced_batch(
    checkpoints: Sequence[Any], events: Sequence[DomainEvent], source: LogSource
) -> AbstractContextManager[None]:
    """Return a block in which ``events`` are applied, which continues the traces of the events."""
    if not telemetry.IS_ON or not (traceparents := source.traceparents(events)):
        return nullcontext()
    return telemetry.batch(
        "apply",
        traceparents,
        checkpoints=[str(checkpoint) for checkpoint in checkpoints],
        event_count=len(events),
    )


def move(
    checkpoints: Sequence[Any],
    batch: log.LogBatch,
    seconds: Sequence[float],
    source: LogSource,
    *,
    keep_lease: bool,
    seconds_before: float = 0.0,
) -> None:
    """Move ``checkpoints`` of one table and one position past ``batch``, read from ``source``.

    ``seconds`` are those that each of them took alone to apply the events. The rest of the
    transaction until the move counts in equal shares, without its first ``seconds_before``.
    """
    first = checkpoints[0]
    # The lease ends before the look at the head that follows a last batch, so that an event is
    # either seen by that look or leads to a new lease.
    values = {
        "position": batch.position,
        "event_id": batch.event_id,
        "log_id": first.log_id or source.identity(),
        "lease": LEASE.total_seconds() if keep_lease else None,
        "keys": [checkpoint.pk for checkpoint in checkpoints],
        "seconds": list(seconds),
        "others": seconds_before + sum(seconds),
    }
    statement = _MOVE.format(
        table=first._meta.db_table,
        asynchronous=_COMMIT_ASYNCHRONOUSLY if first.repeatable else "",
    )
    prepared.run_last(first._state.db, statement, values)
    checkpoints_moved.send(sender=type(first))
    if logger.isEnabledFor(logging.DEBUG):
        for checkpoint in checkpoints:
            logger.debug(
                "%s: %d events up to %d applied", checkpoint, len(batch.events), batch.position
            )


def _count_start(checkpoint: Checkpoint, *, until: int) -> None:
    """Record that a runner starts on the events up to the position ``until``, in case it is lost
    too."""
    if checkpoint.crash_suspicion == CrashSuspicion.CONFIRMED:
        checkpoint.isolate_until = until
    checkpoint.crash_suspicion = CrashSuspicion.PROBING
    checkpoint.leased_until = Now() + LEASE
    checkpoint.save(update_fields=["crash_suspicion", "leased_until", "isolate_until"])
