"""Requests that wait: at most half of the web server's threads, so that the others go on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.conf import settings
from django.db import connections

_free = threading.Semaphore(settings.WEB_THREADS // 2)
# The events that this request has waited for in vain; None outside of requests.
_unseen: ContextVar[list[UUID] | None] = ContextVar("unseen", default=None)


@contextmanager
def answering() -> Iterator[list[UUID]]:
    """A request is answered inside it; yields the events that it has waited for in vain."""
    unseen: list[UUID] = []
    token = _unseen.set(unseen)
    try:
        yield unseen
    finally:
        _unseen.reset(token)


@contextmanager
def waiting() -> Iterator[bool]:
    """Wait inside it; yields whether that is allowed: False for a request when too many wait.

    The request's connections are closed first. Outside of requests there is nothing to spare.
    """
    if _unseen.get() is None:
        yield True
        return
    if not _free.acquire(blocking=False):
        yield False
        return
    try:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
        yield True
    finally:
        _free.release()


def not_seen(event_id: UUID) -> None:
    """Remember that the answer doesn't show this event."""
    unseen = _unseen.get()
    if unseen is not None:
        unseen.append(event_id)
