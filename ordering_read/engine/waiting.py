"""Waiting until projections have passed an event, which is to read one's own write, or until the
log has grown.

Whoever waits holds no connection: one thread of the process looks for all of them, as soon as a
projection tells that its checkpoint has moved.
"""

import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from functools import cached_property
from typing import Any
from uuid import UUID

import django.db
import psycopg
from django.db import connections

from config.http.limits import waiting_slots
from ordering_read.models import Projection
from ordering_read.projector import projector, registered
from ordering_write import published

logger = logging.getLogger(__name__)

# The channel of the read database on which projections tell that they have moved.
CHANNEL = "ordering_projections"
# A notification that was lost costs so much.
_POLL_SECONDS = 0.25
# Nobody needs more looks than that, however often projections move.
_SECONDS_BETWEEN_LOOKS = 0.005
# How long the thread stays when nobody waits any more.
_LINGER_SECONDS = 30.0


def wait(*, event_id: UUID, projections: Collection[str], timeout: float) -> bool:
    """Wait until the live rows of ``projections`` (none named: all) show the event.

    Returns whether they do after at most ``timeout`` seconds; at once when too many requests wait
    already. An unreachable database counts as not yet: what was commanded has happened, so that
    waiting for it must not fail. Raises UnknownProjectionError.
    """
    waiter = _ForEvent(event_id, frozenset(projector(name).name for name in projections))
    if _listener.wait(waiter, timeout):
        return True
    waiting_slots.add_unseen(event_id)
    return False


def wait_for_log(*, after: int, timeout: float) -> bool:
    """Wait until the log has an event behind the position ``after``.

    Returns whether it has one after at most ``timeout`` seconds; at once when too many requests
    wait already.
    """
    return _listener.wait(_ForLog(after), timeout)


def announce(**_kwargs: Any) -> None:
    """Wake all who wait when checkpoints have moved (a receiver of ``checkpoints_moved``).

    After the commit and in autocommit: a NOTIFY inside the transaction would make all commits
    queue up. Lost ones cost time only.
    """
    with connections["read"].cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def stop() -> None:
    """End the thread of this process and close its connections; the next to wait starts it."""
    _listener.stop()


class _Known:
    """What those who wait ask about, looked up once for all of them."""

    @cached_property
    def positions(self) -> dict[str, int]:
        """How far the live rows of each projection are."""
        live = Projection.objects.filter(status=Projection.Status.LIVE)
        return dict(live.values_list("name", "position"))

    @cached_property
    def end_of_log(self) -> int:
        return published.last_position()


class _Waiter(ABC):
    """Somebody who waits for something; ``has_seen`` once it is there."""

    has_seen = False

    @abstractmethod
    def look(self, known: _Known) -> bool:
        """Whether it is there."""


class _ForEvent(_Waiter):
    """Waits for an event to be passed by projections."""

    def __init__(self, event_id: UUID, names: Collection[str]) -> None:
        self._event_id = event_id
        self._names = names or frozenset(registered())
        self._position: int | None = None

    def look(self, known: _Known) -> bool:
        self._position = self._position or published.position_of(self._event_id)
        if self._position is not None:
            needed, positions = self._position, known.positions
            self.has_seen = all(positions.get(name, 0) >= needed for name in self._names)
        return self.has_seen


class _ForLog(_Waiter):
    """Waits for the log to go on behind a position."""

    def __init__(self, after: int) -> None:
        self._after = after

    def look(self, known: _Known) -> bool:
        self.has_seen = known.end_of_log > self._after
        return self.has_seen


class _Listener:
    """The one who looks for all who wait in this process, while somebody does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiters: set[_Waiter] = set()
        self._thread: threading.Thread | None = None
        self._stays_until = 0.0

    def wait(self, waiter: _Waiter, timeout: float) -> bool:
        """Wait until ``waiter`` has seen what it waits for; returns whether it has."""
        ends_at = time.monotonic() + timeout
        with self._changed:
            # Before the first look, so that no move falls between that and the waiting.
            self._waiters.add(waiter)
        try:
            if _looks(waiter) or timeout <= 0:
                return waiter.has_seen
            with waiting_slots.waiting_slot() as is_allowed, self._changed:
                if is_allowed:
                    self._start()
                    left = ends_at - time.monotonic()
                    self._changed.wait_for(lambda: waiter.has_seen, max(0.0, left))
        finally:
            with self._changed:
                self._waiters.discard(waiter)
        return waiter.has_seen

    def _start(self) -> None:
        self._stays_until = time.monotonic() + _LINGER_SECONDS
        if self._thread is None or not self._thread.is_alive():
            # Not before somebody waits: a process that is forked later has no thread of ours.
            self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        with self._changed:
            thread, self._stays_until = self._thread, 0.0
            self._waiters.clear()
        if thread is not None:
            thread.join()

    def _is_needed(self) -> bool:
        """Whether to go on; when not, the next to wait starts another thread."""
        with self._changed:
            if self._waiters or time.monotonic() < self._stays_until:
                return True
            self._thread = None
            return False

    def _run(self) -> None:
        is_listening = False
        while self._is_needed():
            try:
                is_listening = is_listening or _listen()
                self._look()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                # Those that have come since the last time are told too.
                list(connections["read"].connection.notifies(timeout=_POLL_SECONDS, stop_after=1))
            except (django.db.Error, psycopg.Error) as error:
                logger.warning("Can't see how far the read models are: %s", error)
                is_listening = False
                connections.close_all()
                time.sleep(_POLL_SECONDS)
        connections.close_all()

    def _look(self) -> None:
        with self._changed:
            waiters = list(self._waiters)
        if not waiters:
            return
        known = _Known()
        if [waiter for waiter in waiters if waiter.look(known)]:
            with self._changed:
                self._changed.notify_all()


def _listen() -> bool:
    with connections["read"].cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    return True


def _looks(waiter: _Waiter) -> bool:
    try:
        return waiter.look(_Known())
    except django.db.Error as error:
        logger.warning("Can't see how far the read models are: %s", error)
        return False


_listener = _Listener()


def _forget() -> None:
    global _listener
    _listener = _Listener()


os.register_at_fork(after_in_child=_forget)
