"""Waits until projections have passed an event (read your own writes), or until the log has grown.

Waiting requests hold no connection: one thread of the process checks the positions for all of them,
as soon as a projection announces that its checkpoint has moved.
"""

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import django.db
import psycopg
from django.conf import settings
from django.db import connections

from config.databases import prepared, replica
from config.http.limits import waiting_slots
from ordering_read.engine.gaps import GapReason, ProjectionGap
from ordering_read.models import ParkedEvent, Projection, of_live_generations
from ordering_read.projector import projector, registered
from ordering_write import published

logger = logging.getLogger(__name__)

# The channel of the read database on which moved checkpoints are announced.
CHANNEL = "ordering_projections"
# The thread checks at least this often, in case a notification is lost.
_POLL_SECONDS = 0.25
# The time between two checks without notifications.
_POOLED_POLL_SECONDS = 0.05
# The shortest time between two checks, however often projections move.
_SECONDS_BETWEEN_LOOKS = 0.005
# The columns of the slice that a checkpoint has read.
_SLICE = ("slice_number", "slice_count")
# The thread ends when no request has waited for this long.
_LINGER_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Visibility:
    """The result of a wait: true if the rows show the event.

    ``gap`` says why they won't show it by waiting: the event is parked, or a projection has
    stopped. None if they show it, or are behind only.
    """

    is_shown: bool
    gap: ProjectionGap | None = None

    def __bool__(self) -> bool:
        return self.is_shown

    @property
    def because(self) -> str:
        """The reason why the rows don't show the event, as it follows the word "because"."""
        if self.is_shown:
            return ""
        return self.gap.cause if self.gap else "changes take longer than usual: look again soon"


SHOWN, BEHIND = Visibility(is_shown=True), Visibility(is_shown=False)


def wait(*, event_id: UUID, projections: Collection[str], timeout: float) -> Visibility:
    """Wait until the live rows of ``projections`` (all if empty) show the event and its commit.

    The result is true if the rows show them after at most ``timeout`` seconds. It is false at once
    if one of the events is parked, if a projection has stopped before them, and when too many
    requests wait already; and false when a database is unreachable: the command was accepted, so
    its response mustn't become an error. Raises UnknownProjectionError.
    """
    waiter = _EventWaiter(event_id, frozenset(projector(name).name for name in projections))
    _listener.wait(waiter, timeout)
    if not waiter.visibility:
        waiting_slots.add_unseen(event_id, because=waiter.visibility.because)
    return waiter.visibility


def wait_for_log(*, after: int, timeout: float) -> bool:
    """Wait until the log has an event after the position ``after``.

    Returns True if the log has such an event after at most ``timeout`` seconds. Doesn't wait when
    too many requests wait already.
    """
    return _listener.wait(_LogWaiter(after), timeout)


def announce(**_kwargs: Any) -> None:
    """Wake all waiting requests when checkpoints have moved (receives ``checkpoints_moved``).

    The NOTIFY is sent after the commit and in autocommit, because inside the transaction it would
    make all commits queue up. A lost notification costs time only.
    """
    prepared.run_after_commit("read", "SELECT pg_notify(%s, '')", [CHANNEL])


def stop() -> None:
    """Stop the thread of this process and close its connections; the next request starts a new
    one."""
    _listener.stop()


class _Positions:
    """The positions that one check reads, once for all waiting requests."""

    @cached_property
    def live(self) -> list[Any]:
        """The checkpoints of the live rows, one for each slice."""
        live = Projection.objects.filter(of_live_generations())
        columns = ("pk", "name", "position", "parked_streams", "error", *_SLICE)
        return list(live.values_list(*columns, named=True))

    @cached_property
    def end_of_log(self) -> int:
        return published.last_position()


class _Waiter(ABC):
    """A waiting request; ``is_done`` becomes True when its wait is over."""

    is_done = False

    @abstractmethod
    def look(self, positions: _Positions) -> bool:
        """Update ``is_done`` and return it."""


class _EventWaiter(_Waiter):
    """Waits until projections have passed an event, or until it is known that they won't."""

    visibility = BEHIND

    def __init__(self, event_id: UUID, names: Collection[str]) -> None:
        self._event_id = event_id
        self._names = frozenset(names or registered())
        self._position: int | None = None

    def look(self, positions: _Positions) -> bool:
        self._position = self._position or published.position_of(self._event_id)
        rows = [row for row in positions.live if row.name in self._names and self._needs(row)]
        passed = [row for row in rows if self._position and row.position >= self._position]
        stopped = [row for row in rows if row.error and row not in passed]
        if stopped:
            self._end_with(GapReason.STOPPED, {row.name for row in stopped})
        elif len(passed) == len(rows) and {row.name for row in rows} == self._names:
            self._end_with(GapReason.PARKED, self._parked_by(passed))
        return self.is_done

    def _needs(self, row: Any) -> bool:
        """Return True if the slice of a checkpoint has a stream of the commit."""
        streams = published.Slice(row.slice_number, row.slice_count)
        return row.slice_count == 1 or any(map(streams.has, self._streams))

    @cached_property
    def _streams(self) -> Collection[str]:
        """The streams of the commit."""
        return published.streams_of_commit(self._event_id)

    def _parked_by(self, rows: Sequence[Any]) -> set[str]:
        """Return the projections that have parked an event of the commit.

        Takes no statement while nothing is parked.
        """
        keys = [row.pk for row in rows if row.parked_streams]
        if not keys:
            return set()
        parked = ParkedEvent.objects.filter(
            checkpoint__in=keys, skipped_at=None, event_id__in=published.commit_of(self._event_id)
        )
        return set(parked.values_list("checkpoint__name", flat=True))

    def _end_with(self, reason: GapReason, names: Collection[str]) -> None:
        self.visibility = SHOWN
        if names:
            gap = ProjectionGap.of_row(reason, names, events=None, since=None)
            self.visibility = Visibility(is_shown=False, gap=gap)
        self.is_done = True


class _LogWaiter(_Waiter):
    """Waits until the log has grown past a position."""

    def __init__(self, after: int) -> None:
        self._after = after

    def look(self, positions: _Positions) -> bool:
        self.is_done = positions.end_of_log > self._after
        return self.is_done


class _Listener:
    """Checks positions for all waiting requests of this process, in one thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiters: set[_Waiter] = set()
        self._thread: threading.Thread | None = None
        self._lingers_until = 0.0

    def wait(self, waiter: _Waiter, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until ``waiter`` is done; returns True if it is."""
        # The next request reads the replica, even if this one writes.
        with replica.reading():
            return self._wait(waiter, timeout)

    def _wait(self, waiter: _Waiter, timeout: float) -> bool:
        ends_at = time.monotonic() + timeout
        with self._changed:
            # Before the first check, so that a move between the check and the wait isn't missed.
            self._waiters.add(waiter)
        try:
            if _look_once(waiter) or timeout <= 0:
                return waiter.is_done
            with waiting_slots.waiting_slot() as is_allowed, self._changed:
                if is_allowed:
                    self._start()
                    seconds_left = ends_at - time.monotonic()
                    self._changed.wait_for(lambda: waiter.is_done, max(0.0, seconds_left))
        finally:
            with self._changed:
                self._waiters.discard(waiter)
        return waiter.is_done

    def _start(self) -> None:
        self._lingers_until = time.monotonic() + _LINGER_SECONDS
        if self._thread is None or not self._thread.is_alive():
            # Started by the first request, because a thread doesn't survive the fork of a server.
            self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        with self._changed:
            thread, self._lingers_until = self._thread, 0.0
            self._waiters.clear()
        if thread is not None:
            thread.join()

    def _is_needed(self) -> bool:
        """Return True if the thread continues; if False, the next request starts a new thread."""
        with self._changed:
            if self._waiters or time.monotonic() < self._lingers_until:
                return True
            self._thread = None
            return False

    def _run(self) -> None:
        is_listening = False
        while self._is_needed():
            try:
                is_listening = is_listening or _listen()
                self._look()
                _pause()
            except (django.db.Error, psycopg.Error) as error:
                logger.warning("Can't read the positions of the read models: %s", error)
                is_listening = False
                connections.close_all()
                time.sleep(_POLL_SECONDS)
        connections.close_all()

    def _look(self) -> None:
        with self._changed:
            waiters = list(self._waiters)
        if not waiters:
            return
        positions = _Positions()
        if [waiter for waiter in waiters if waiter.look(positions)]:
            with self._changed:
                self._changed.notify_all()


def _listen() -> bool:
    if not _must_poll():
        with connections["read"].cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
    return True


def _pause() -> None:
    """Wait for a notification, or for a moment where nobody can listen."""
    if _must_poll():
        time.sleep(_POOLED_POLL_SECONDS)
        return
    time.sleep(_SECONDS_BETWEEN_LOOKS)
    # Returns at once if a notification has come since the last call.
    list(connections["read"].connection.notifies(timeout=_POLL_SECONDS, stop_after=1))


def _must_poll() -> bool:
    """Return True if nobody can listen: at a pooler of transactions, and at a standby."""
    return bool(settings.DATABASES["read"]["POOLER"]) or replica.is_used()


def _look_once(waiter: _Waiter) -> bool:
    try:
        return waiter.look(_Positions())
    except django.db.Error as error:
        logger.warning("Can't read the positions of the read models: %s", error)
        return False


_listener = _Listener()


def _replace_listener() -> None:
    global _listener
    _listener = _Listener()


# A forked child has no copy of the thread of its parent.
os.register_at_fork(after_in_child=_replace_listener)
