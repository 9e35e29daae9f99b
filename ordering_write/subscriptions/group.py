"""Follows the log from several checkpoints side by side."""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connections, models, transaction

from config.databases import prepared, retry, tables
from ordering_write.domain.events import DomainEvent
from ordering_write.log import PRIMARY, LogSource
from ordering_write.subscriptions import parking
from ordering_write.subscriptions.checkpoint import CrashSuspicion
from ordering_write.subscriptions.reader import LogReader, LogReplacedError, reads_this_log
from ordering_write.subscriptions.runner import (
    MAX_READS,
    SECONDS_BETWEEN_READS,
    Runner,
    Step,
    move,
    traced_batch,
)
from ordering_write.subscriptions.subscriber import Subscriber

_LOCK = "FOR UPDATE SKIP LOCKED"
_RELEASE = f"UPDATE {{table}} SET leased_until = NULL WHERE id IN ({{leased}} {_LOCK})"  # noqa: S608 (names of models)


def catch_up(
    checkpoints: "models.QuerySet[Any]",
    subscriber_of: Callable[[Any], Subscriber],
    *,
    batch: int,
    seconds: float = math.inf,
    idle_wait: float = 0.0,
    source: LogSource = PRIMARY,
) -> int:
    """Follow the log from all ``checkpoints`` until all are caught up, or for about ``seconds``.

    Returns how many events were applied or parked, for all checkpoints together.

    Checkpoints of one slice at one position read the log once and move in one transaction. Where an
    event can't be applied, or a runner was lost before, each checkpoint moves by itself, as in
    ``follow``. Level checkpoints listen to the log for ``idle_wait`` seconds more, so that a steady
    flow of events needs no new leases.

    An exception is recorded on its checkpoint, logged when the checkpoint begins to fail, and
    delays the next lease; no event is skipped, and other checkpoints go on. If the time ends before
    the checkpoints are caught up, the broker is woken, so that other subscribers get their turn.
    """
    ends_at = time.monotonic() + seconds
    reader = LogReader(source)
    group = _SubscriptionGroup(checkpoints, subscriber_of, batch, reader, listens=idle_wait > 0)
    applied = 0
    databases = {*source.databases, checkpoints.db}
    with _planned_by_key(databases), _listening(source, idle_wait) as log_grew:
        while True:
            for number in group.catch_up():
                applied += number
                if time.monotonic() > ends_at:
                    group.release()
                    return applied
            if time.monotonic() > ends_at or not log_grew():
                group.release()
                # Events that came before the release have woken nobody.
                if group.is_level():
                    return applied


def follow(
    checkpoints: "models.QuerySet[Any]",
    subscriber: Subscriber,
    *,
    batch: int,
    until: float = math.inf,
) -> Iterator[int]:
    """Follow the log from the one checkpoint in ``checkpoints`` until that one is caught up, or at
    the position ``until``, which is the end of a commit.

    Yields the number of events of each batch, after the batch. Each batch of about ``batch`` events
    is applied and the checkpoint moved in one transaction of the checkpoint's database. One runner
    at a time holds the checkpoint; a second one returns at once, and the first one looks at the log
    again after its last batch, so that no wake-up is lost.

    An event that can't be applied is parked, and a transaction that a transient error breaks off is
    retried; any other exception is raised.
    """
    return Runner(
        checkpoints, subscriber, batch, LogReader(subscriber.source), until=until
    ).follow()


class _SubscriptionGroup:
    """One runner at several checkpoints."""

    def __init__(
        self,
        checkpoints: "models.QuerySet[Any]",
        subscriber_of: Callable[[Any], Subscriber],
        batch: int,
        reader: LogReader,
        *,
        listens: bool,
    ) -> None:
        self._checkpoints = checkpoints
        self._subscriber_of = subscriber_of
        self._batch = batch
        self._listens = listens
        self._reader = reader
        # The checkpoints as they were when last locked, by key.
        self._rows: dict[int, Any] = {}
        # Checkpoints that failed in this run: they pause before the next try.
        self._failed: set[int] = set()
        # The others.
        self._followed = checkpoints
        self._runners: dict[int, Runner] = {}
        # The position of the checkpoint furthest behind; None when none could be moved.
        self._position: int | None = None

    def catch_up(self) -> Iterator[int]:
        """Apply all events that the log has; yields the number of events of each step."""
        reads = 0
        while reads < MAX_READS:
            applied, may_have_more = self._step()
            if applied:
                reads = 0
                yield applied
            if may_have_more:
                continue
            if self._reader.is_complete or self._position is None:
                return
            # The next events may have no position yet: another process is sequencing.
            reads += 1
            time.sleep(SECONDS_BETWEEN_READS)
        # The process that sequences hangs; the next run does the rest.
        self._position = None

    def is_level(self) -> bool:
        """Return True if the log has no more events for the checkpoints that could be moved."""
        return self._position is None or self._reader.source.head() <= self._position

    def release(self) -> None:
        """End the leases, except those of failed checkpoints, and wake the broker."""

        def act() -> None:
            leased, parameters = _leased(self._checkpoints)
            table = self._checkpoints.model._meta.db_table
            statement = _RELEASE.format(table=table, leased=leased)
            prepared.fetch(self._checkpoints.db, statement, parameters)
            if self._listens:
                self._reader.source.announce_release()

        retry.on_transient_errors(act)

    def _step(self) -> tuple[int, bool]:
        """Apply one batch for each checkpoint; returns the events applied and whether to go on."""
        try:
            self._reader.sequence()
            steps = self._step_together()
            keys = [key for key, row in self._rows.items() if _goes_by_itself(row)]
        except Exception:
            # Moving them one by one shows which checkpoint fails.
            retry.drop_broken_connections()
            self._rows = self._rows or retry.on_transient_errors(self._load)
            steps, keys = [], list(self._rows)
        steps += [step for key in keys if (step := self._step_alone(key))]
        self._position = min((step.position for step in steps), default=None)
        return sum(step.applied for step in steps), any(step.may_have_more for step in steps)

    def _load(self, *, lock: bool = False) -> dict[int, Any]:
        statement, parameters = _select(self._followed)
        if lock:
            statement = f"{statement} {_LOCK}"
        loaded = tables.load(self._checkpoints.model, statement, parameters)
        return {row.pk: row for row in loaded}

    def _step_together(self) -> list[Step]:
        """Apply one batch in one transaction, for the checkpoints that may go together."""
        with transaction.atomic(using=self._checkpoints.db):
            began = time.monotonic()
            self._rows = self._load(lock=True)
            ready = [row for row in self._rows.values() if not _goes_by_itself(row)]
            batches = [
                batch
                for streams in sorted({row.streams for row in ready})
                for batch in self._batches([row for row in ready if row.streams == streams])
            ]
            return [
                self._apply(rows, limit, began=began, is_last=number == len(batches))
                for number, (rows, limit) in enumerate(batches, start=1)
            ]

    def _batches(self, ready: list[Any]) -> Iterator[tuple[list[Any], int]]:
        """Yield the checkpoints of each position, and the limit of their next batch.

        The checkpoints ``ready`` are of one slice.
        """
        positions = sorted({row.position for row in ready})
        batch = self._batch_of(ready[0])
        for position, following in zip(positions, [*positions[1:], math.inf], strict=True):
            # Stops at the next position, from where the checkpoints move together.
            limit = int(min(batch, following - position))
            yield [row for row in ready if row.position == position], limit

    def _batch_of(self, row: Any) -> int:
        """Return the positions of a batch, of which a slice has its share of events."""
        return self._batch * int(row.streams.of)

    def _apply(self, rows: list[Any], limit: int, *, began: float, is_last: bool) -> Step:
        """Apply the next batch to ``rows``, checkpoints at one position, and move them.

        The transaction ``began`` at this time of the monotonic clock, and may end with this batch.
        """
        seconds_before = time.monotonic() - began
        for row in rows:
            if not reads_this_log(row, self._reader):
                raise LogReplacedError(row)
        batch = self._reader.read(rows[0].position, limit, rows[0].streams)
        if batch is None:
            return Step(0, rows[0].position, may_have_more=False)
        with traced_batch(rows, batch.events, self._reader.source):
            seconds = self._apply_to_each(rows, batch.events, is_last=is_last)
            may_have_more = batch.size >= limit
            move(
                rows,
                batch,
                seconds,
                self._reader.source,
                keep_lease=may_have_more or self._listens,
                seconds_before=seconds_before,
            )
        return Step(len(batch.events) * len(rows), batch.position, may_have_more)

    def _apply_to_each(
        self, rows: list[Any], events: Sequence[DomainEvent], *, is_last: bool
    ) -> list[float]:
        """Apply ``events`` to each of ``rows``; return the seconds that each of them took."""
        seconds = []
        with tables.together(is_last=is_last):
            for row in rows:
                began = time.monotonic()
                parking.apply(row, events, self._subscriber_of(row), bisect=False)
                seconds.append(time.monotonic() - began)
        return seconds

    def _step_alone(self, key: int) -> Step | None:
        if key not in self._runners:
            self._runners[key] = Runner(
                self._checkpoints.filter(pk=key),
                self._subscriber_of(self._rows[key]),
                self._batch_of(self._rows[key]),
                self._reader,
                listens=self._listens,
            )
        try:
            return self._runners[key].step()
        except Exception as failure:
            self._failed.add(key)
            self._followed = self._checkpoints.exclude(pk__in=self._failed)
            self._runners[key].record_failure(failure)
            return None


def _goes_by_itself(checkpoint: Any) -> bool:
    """Return True if a runner of ``checkpoint`` was lost or failed: it mustn't delay others."""
    is_suspected = checkpoint.crash_suspicion != CrashSuspicion.NONE
    return bool(is_suspected or checkpoint.isolated or checkpoint.failed_at is not None)


# Compiled statements are kept, because compiling takes longer than running.
@lru_cache(maxsize=100)
def _select(checkpoints: "models.QuerySet[Any]") -> tuple[str, Any]:
    """Return the statement that reads ``checkpoints``, and its parameters."""
    return checkpoints.query.get_compiler(checkpoints.db).as_sql()


@lru_cache(maxsize=100)
def _leased(checkpoints: "models.QuerySet[Any]") -> tuple[str, Any]:
    """Return the statement that finds those of ``checkpoints`` whose lease a runner gives back."""
    leased = checkpoints.filter(
        failed_at=None, crash_suspicion=CrashSuspicion.NONE, leased_until__isnull=False
    )
    return _select(leased.order_by().values("id"))


@contextlib.contextmanager
def _planned_by_key(databases: Collection[str]) -> Iterator[None]:
    """Let the sessions plan each statement once, and by an index even while its table is small.

    Subscribers ask by key; a plan that reads a small table in full would be kept while it grows.
    """
    sessions = [connections[alias] for alias in databases]
    for session in sessions:
        with session.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = auto; SET enable_seqscan = off")
    try:
        yield
    finally:
        for session in sessions:
            with contextlib.suppress(DatabaseError), session.cursor() as cursor:
                mode = session.settings_dict["SESSION"].get("plan_cache_mode", "auto")
                cursor.execute(f"SET plan_cache_mode = {mode}; RESET enable_seqscan")


def _listening(
    source: LogSource, seconds: float
) -> contextlib.AbstractContextManager[Callable[[], bool]]:
    """Return a block with a function that waits up to ``seconds``, and returns True if the log
    has grown; with 0 seconds it never waits.
    """
    return source.listening(seconds) if seconds else contextlib.nullcontext(lambda: False)
