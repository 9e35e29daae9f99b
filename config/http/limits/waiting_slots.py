"""Waiting slots: at most half of the web server's threads may wait; the others serve requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connections

_slots = threading.Semaphore(settings.WEB_THREADS // 2)


class Unseen(NamedTuple):
    """An event whose effects an answer doesn't show, and the reason, which follows "because"."""

    event_id: UUID
    because: str


# The events that the answer to this request doesn't show; None outside of requests.
_unseen: ContextVar[list[Unseen] | None] = ContextVar("unseen", default=None)


@contextmanager
def request_scope() -> Iterator[list[Unseen]]:
    """Wrap the answering of one request; yield the list that ``add_unseen`` fills."""
    unseen: list[Unseen] = []
    token = _unseen.set(unseen)
    try:
        yield unseen
    finally:
        _unseen.reset(token)


@contextmanager
def waiting_slot() -> Iterator[bool]:
    """Hold a waiting slot inside the block; yield False if a request finds no free slot.

    Closes the request's database connections first. Outside of requests, slots aren't limited.
    """
    if _unseen.get() is None:
        yield True
        return
    if not _slots.acquire(blocking=False):
        yield False
        return
    try:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
        yield True
    finally:
        _slots.release()


def add_unseen(event_id: UUID, *, because: str) -> None:
    """Note that the answer to this request doesn't show the event, and why."""
    unseen = _unseen.get()
    if unseen is not None:
        unseen.append(Unseen(event_id, because))
