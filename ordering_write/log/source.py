"""The place from which subscribers read the log: the primary database, or a copy of the log."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Protocol
from uuid import UUID

import psycopg
from django.conf import settings
from django.core.signals import setting_changed
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.utils.module_loading import import_string

from ordering_write.domain.events import DomainEvent
from ordering_write.log import outbox, reading, sequencer
from ordering_write.log.reading import LogBatch
from ordering_write.log.slicing import Slice


class LogUnavailableError(Exception):
    """A copy of the log can't be read now."""


class LogSource(Protocol):
    """The log for subscribers. Methods raise LogUnavailableError, and LogGapError as theirs.

    Unless said otherwise, a method does what the function of its name in ``reading`` does.
    ``databases`` are the aliases of the databases that it reads.
    """

    @property
    def databases(self) -> Collection[str]: ...

    def sequence(self) -> bool:
        """Give positions to committed events, as ``sequencer.sequence`` does.

        Returns True if all events that were committed before have one, as in a copy.
        """
        ...

    def head(self) -> int: ...

    def last_position(self) -> int: ...

    def identity(self) -> UUID: ...

    def fingerprint(self, position: int) -> tuple[UUID, UUID | None]: ...

    def read_batch(self, after: int, limit: int, streams: Slice) -> LogBatch | None: ...

    def read_at(self, positions: Sequence[int]) -> list[DomainEvent]: ...

    def read_streams(self, streams: Collection[str]) -> list[DomainEvent]: ...

    def traceparents(self, events: Sequence[DomainEvent]) -> list[str]: ...

    def listening(self, seconds: float) -> AbstractContextManager[Callable[[], bool]]:
        """Return a block with a function that returns True if the log grows within ``seconds``."""
        ...

    def announce_release(self) -> None:
        """Wake the broker, since a runner that has listened releases its checkpoints."""
        ...


# The payload that a listening runner sends on CHANNEL when it releases its checkpoints.
RELEASED = "free"


class PrimaryLog:
    """The log in the write database."""

    databases: Collection[str] = (DEFAULT_DB_ALIAS,)
    head = staticmethod(reading.head)
    last_position = staticmethod(reading.last_position)
    identity = staticmethod(reading.identity)
    fingerprint = staticmethod(reading.fingerprint)
    read_batch = staticmethod(reading.read_batch)
    read_at = staticmethod(reading.read_at)
    read_streams = staticmethod(reading.read_streams)
    traceparents = staticmethod(reading.traceparents)

    def sequence(self) -> bool:
        return sequencer.sequence()

    @contextlib.contextmanager
    def listening(self, seconds: float) -> Iterator[Callable[[], bool]]:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {outbox.CHANNEL}")
        listener = connection.connection

        def log_grew() -> bool:
            # A connection made after the LISTEN doesn't listen.
            if connection.connection is not listener:
                return False
            with contextlib.suppress(psycopg.Error):
                return bool(list(listener.notifies(timeout=seconds, stop_after=1)))
            return False

        try:
            yield log_grew
        finally:
            # Notifications that nobody reads would pile up.
            with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute(f"UNLISTEN {outbox.CHANNEL}")

    def announce_release(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [outbox.CHANNEL, RELEASED])


PRIMARY: LogSource = PrimaryLog()


@cache
def site_source() -> LogSource:
    """Return the place from which the read side follows the log, which settings.LOG_SOURCE names.

    Each process makes one.
    """
    if settings.LOG_SOURCE == "primary":
        return PRIMARY
    source: LogSource = import_string("ordering_write.relay.site.StreamLog")()
    return source


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting in ("LOG_SOURCE", "STREAM"):
        site_source.cache_clear()


setting_changed.connect(_forget, dispatch_uid="source.forget")
