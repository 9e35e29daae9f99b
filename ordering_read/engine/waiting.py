"""Waiting until projections have passed an event: reading one's own write.

Whoever waits holds no connection: one thread of the process looks for all of them, as soon as a
projection tells that its checkpoint has moved.
"""

import logging
import os
import threading
import time
from collections.abc import Collection
from typing import Any
from uuid import UUID

import django.db
import psycopg
from django.db import connections

from config.http import places
from ordering_read.engine.base import projector, registered
from ordering_read.models import Projection
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
    waiter = _Waiter(event_id, frozenset(projector(name).name for name in projections))
    if _listener.wait(waiter, timeout):
        return True
    places.not_seen(event_id)
    return False


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


class _Waiter:
    """Somebody who waits for an event to be passed by projections."""

    def __init__(self, event_id: UUID, names: Collection[str]) -> None:
        self._event_id = event_id
        self._names = names or frozenset(registered())
        self._position: int | None = None
        self.has_seen = False

    def look(self, positions: dict[str, int]) -> bool:
        """Whether projections at these positions show the event."""
        self._position = self._position or published.position_of(self._event_id)
        if self._position is not None:
            needed = self._position
            self.has_seen = all(positions.get(name, 0) >= needed for name in self._names)
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
            with places.waiting() as is_allowed, self._changed:
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
        positions = _positions()
        if [waiter for waiter in waiters if waiter.look(positions)]:
            with self._changed:
                self._changed.notify_all()


def _listen() -> bool:
    with connections["read"].cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
    return True


def _looks(waiter: _Waiter) -> bool:
    try:
        return waiter.look(_positions())
    except django.db.Error as error:
        logger.warning("Can't see how far the read models are: %s", error)
        return False


def _positions() -> dict[str, int]:
    live = Projection.objects.filter(status=Projection.Status.LIVE)
    return dict(live.values_list("name", "position"))


_listener = _Listener()


def _forget() -> None:
    global _listener
    _listener = _Listener()


os.register_at_fork(after_in_child=_forget)
