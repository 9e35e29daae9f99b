"""Following the log: the one loop by which subscribers read it, each from its own checkpoint."""

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

import psycopg
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    connection,
    connections,
    models,
    transaction,
)

from config.databases import retry, tables
from ordering_write import log
from ordering_write.log import outbox
from ordering_write.subscriptions import parking
from ordering_write.subscriptions.checkpoint import Start
from ordering_write.subscriptions.parking import Subscriber
from ordering_write.subscriptions.runner import (
    LEASE,
    LOOKS,
    SECONDS_BETWEEN_LOOKS,
    Done,
    LogReplacedError,
    Reader,
    Runner,
    move,
    reads_this_log,
)

__all__ = [
    "FREE",
    "LEASE",
    "LogReplacedError",
    "catch_up",
    "follow",
    "lag_seconds",
    "reads_this_log",
]

# What is told on the channel of the log when a runner leaves that had listened to it.
FREE = "free"


def catch_up(
    checkpoints: "models.QuerySet[Any]",
    subscriber_of: Callable[[Any], Subscriber],
    *,
    batch: int,
    seconds: float = math.inf,
    stay: float = 0.0,
) -> int:
    """Follow the log from all ``checkpoints`` until they are level, or for about ``seconds``;
    returns how many events were applied or parked, for all of them together.

    They go side by side: those at one position read it once, and move in one transaction. Where an
    event can't be applied, or a runner was lost before, each goes on by itself, as in ``follow``.
    When they are level, the log is listened to for ``stay`` seconds more: under a steady flow of
    events they needn't be handed out again and again.

    An exception is kept on the checkpoint, logged when the checkpoint begins to fail, and keeps
    it from being handed out for a while; nothing is skipped, and nobody else is kept up. When the
    time is over but the log isn't, whoever hands out work is woken, so that others get their turn.
    """
    ends_at = time.monotonic() + seconds
    group = _Group(checkpoints, subscriber_of, batch, stays=stay > 0)
    applied = 0
    with _planned_by_key(checkpoints.db), _listening(stay) as heard:
        while True:
            for size in group.catch_up():
                applied += size
                if time.monotonic() > ends_at:
                    group.let_go()
                    return applied
            if time.monotonic() > ends_at or not heard():
                group.let_go()
                # Once more, for what came before the checkpoints were let go.
                if group.is_level():
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
    return Runner(checkpoints, subscriber, batch, Reader()).follow()


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
    (SELECT min((SELECT min(recorded_at) FROM event WHERE event.commit_id = pending.commit_id))
     FROM event_pending pending)
)), 0))
FROM unnest(%s::bigint[]) AS checkpoint
"""


class _Group:
    """A runner at several checkpoints, which follow the log side by side."""

    def __init__(
        self,
        checkpoints: "models.QuerySet[Any]",
        subscriber_of: Callable[[Any], Subscriber],
        batch: int,
        *,
        stays: bool,
    ) -> None:
        self._checkpoints = checkpoints
        self._subscriber_of = subscriber_of
        self._batch = batch
        self._stays = stays
        self._reader = Reader()
        # As they were when they were last locked, by their keys.
        self._rows: dict[int, Any] = {}
        # Those that have failed in this run: they are not tried again before their pause is over.
        self._failed: set[int] = set()
        self._runners: dict[int, Runner] = {}
        # Put together once: that takes longer than to run it.
        self._looks: dict[tuple[bool, int], tuple[str, Any]] = {}
        # That of the one furthest behind; None when nobody could be moved.
        self._position: int | None = None

    def catch_up(self) -> Iterator[int]:
        """Apply what there is; yields the number of events of each step, after it."""
        looks = 0
        while looks < LOOKS:
            size, goes_on = self._step()
            if size:
                looks = 0
                yield size
            if goes_on:
                continue
            if self._reader.saw_all or self._position is None:
                return
            # Something may be there that can't be read yet: another process is sequencing it.
            looks += 1
            time.sleep(SECONDS_BETWEEN_LOOKS)
        # Who is sequencing hangs; the rest is left to the next run.
        self._position = None

    def is_level(self) -> bool:
        """Whether the log has nothing more for those that could be moved."""
        return self._position is None or log.head() <= self._position

    def let_go(self) -> None:
        """Let the checkpoints be handed out, but for those that have failed; whoever left the log
        to us is told."""

        def act() -> None:
            with transaction.atomic(using=self._checkpoints.db):
                leased = self._checkpoints.filter(
                    failed_at=None, start=Start.FIRST, leased_until__isnull=False
                )
                free = leased.select_for_update(skip_locked=True).values("pk")
                self._checkpoints.filter(pk__in=free).update(leased_until=None)
            if self._stays:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_notify(%s, %s)", [outbox.CHANNEL, FREE])

        retry.on_transient_errors(act)

    def _step(self) -> tuple[int, bool]:
        """A batch for everybody; returns how many events were applied, and whether to go on."""
        try:
            done = self._step_together()
            alone = [key for key, row in self._rows.items() if _goes_by_itself(row)]
        except Exception:
            # One by one, they show whose fault it is.
            retry.drop_broken_connections()
            self._rows = self._rows or retry.on_transient_errors(self._look)
            done, alone = [], list(self._rows)
        done += [each for key in alone if (each := self._step_alone(key))]
        self._position = min((each.position for each in done), default=None)
        return sum(each.size for each in done), any(each.goes_on for each in done)

    def _look(self, *, lock: bool = False) -> dict[int, Any]:
        known = lock, len(self._failed)
        if known not in self._looks:
            rows = self._checkpoints.exclude(pk__in=self._failed)
            if lock:
                rows = rows.select_for_update(skip_locked=True)
            self._looks[known] = rows.query.get_compiler(rows.db).as_sql()
        found = tables.load(self._checkpoints.model, *self._looks[known])
        return {row.pk: row for row in found}

    def _step_together(self) -> list[Done]:
        """A batch, in one transaction, for those of which nothing special is known."""
        with transaction.atomic(using=self._checkpoints.db):
            self._rows = self._look(lock=True)
            ready = [row for row in self._rows.values() if not _goes_by_itself(row)]
            places = sorted({row.position for row in ready})
            return [
                self._apply(
                    [row for row in ready if row.position == place],
                    # Not past others, so that they go together from there.
                    limit=min(self._batch, following - place),
                )
                for place, following in zip(places, [*places[1:], math.inf], strict=True)
            ]

    def _apply(self, rows: list[Any], *, limit: int) -> Done:
        """Apply what comes next to ``rows``, which stand at one position, and move them past it."""
        for row in rows:
            if not reads_this_log(row, self._reader):
                raise LogReplacedError(row)
        events = self._reader.read(rows[0].position, limit)
        if not events:
            return Done(0, rows[0].position, goes_on=False)
        seconds = []
        with tables.together():
            for row in rows:
                began = time.monotonic()
                parking.apply(row, events, self._subscriber_of(row), carefully=False)
                ended = time.monotonic()
                seconds.append(ended - began)
        # To each its part of what they have written together.
        each = (time.monotonic() - ended) / len(rows)
        goes_on = len(events) >= limit
        move(rows, events, [own + each for own in seconds], goes_on or self._stays)
        return Done(len(events) * len(rows), cast(int, events[-1].recorded.position), goes_on)

    def _step_alone(self, key: int) -> Done | None:
        if key not in self._runners:
            row = self._checkpoints.filter(pk=key)
            subscriber = self._subscriber_of(self._rows[key])
            self._runners[key] = Runner(
                row, subscriber, self._batch, self._reader, stays=self._stays
            )
        try:
            return self._runners[key].step()
        except Exception as failure:
            self._failed.add(key)
            self._runners[key].keep(failure)
            return None


def _goes_by_itself(checkpoint: Any) -> bool:
    """Whether a runner was lost or failed here, so that it mustn't hold up others."""
    return bool(
        checkpoint.start != Start.FIRST or checkpoint.goes_alone or checkpoint.failed_at is not None
    )


@contextlib.contextmanager
def _planned_by_key(database: str) -> Iterator[None]:
    """Inside it statements are planned once for all passes, and by an index though the table is
    small as yet: they ask by key, and a plan that reads all of it would be kept while it grows."""
    used = [connections[alias] for alias in {DEFAULT_DB_ALIAS, database}]
    for each in used:
        with each.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = auto; SET enable_seqscan = off")
    try:
        yield
    finally:
        for each in used:
            with contextlib.suppress(DatabaseError), each.cursor() as cursor:
                cursor.execute("RESET plan_cache_mode; RESET enable_seqscan")


@contextlib.contextmanager
def _listening(seconds: float) -> Iterator[Callable[[], bool]]:
    """Inside it, one can wait for the log to grow, for ``seconds`` at most; not at all for 0."""
    if not seconds:
        yield lambda: False
        return
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {outbox.CHANNEL}")
    listener = connection.connection

    def heard() -> bool:
        # One that was made anew meanwhile doesn't listen.
        if connection.connection is not listener:
            return False
        with contextlib.suppress(psycopg.Error):
            return bool(list(listener.notifies(timeout=seconds, stop_after=1)))
        return False

    try:
        yield heard
    finally:
        # What nobody reads would pile up.
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute(f"UNLISTEN {outbox.CHANNEL}")
