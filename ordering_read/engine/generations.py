"""Creates, promotes and discards generations of projections."""

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import django.db
from django.conf import settings
from django.db import connections, transaction
from django.db.models import Max
from django.db.models.functions import Now

from ordering_read.engine import live
from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.models import ParkedEvent, Projection
from ordering_read.projector import projector, writing
from ordering_write import published

# The first key of this module's advisory locks; other locks of the read database need another.
_LOCK = 7_301_002
# The first key of the advisory lock of the process that rebuilds the outdated projections.
_OUTDATED_LOCK = 7_301_003
_SECONDS_BETWEEN_TRIES = 1.0
# The number of rows that one transaction deletes.
_DELETED_AT_ONCE = 10_000

_Status = Projection.Status


class GenerationError(Exception):
    """Base class of errors that leave the served rows of a projection as they are."""


class BusyError(GenerationError):
    """Another process is rebuilding or verifying the projection."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt or verified; wait until that is done.")


class NotLevelError(GenerationError):
    """A generation can't be promoted, because it is behind the live one."""

    def __init__(self, generation: Projection) -> None:
        reason = generation.error or "the newest events can't be read yet"
        super().__init__(
            f"{generation}, can't take over, since its rows are behind those that are served: "
            f"{reason}. Those stay; try again."
        )


class IncompleteError(GenerationError):
    """A generation can't be promoted, because it lacks an event that the live one has applied."""

    def __init__(self, generation: Projection, parked: ParkedEvent) -> None:
        super().__init__(
            f"{generation}, can't take over, since it can't apply what the rows that are served "
            f"show: {parked}: {parked.message}. Those stay; correct the cause and rebuild again."
        )


class NoFormerGenerationError(GenerationError):
    """There is no former generation to roll back to or to discard."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no former generation.")


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[Callable[[], None]]:
    """Lock a projection against other rebuilds, verifications, rollbacks and discards.

    The lock is lost with the connection. Yields a function that takes the lock again if the
    connection is a new one. Both raise BusyError when another process has the lock.
    """
    connection = connections["read"]
    locked_on: Any = None

    def lock() -> None:
        nonlocal locked_on
        if locked_on is not None and connection.connection is locked_on:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, name])
            if not cursor.fetchone()[0]:
                raise BusyError(name)
        locked_on = connection.connection

    lock()
    try:
        yield lock
    finally:
        if connection.connection is locked_on:
            with contextlib.suppress(django.db.Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK, name])


@contextlib.contextmanager
def outdated_lock() -> Iterator[None]:
    """Wait until no other process rebuilds the outdated projections, and keep others waiting.

    The lock is lost with the connection.
    """
    # Many short statements: a statement that waits would end by its timeout.
    while not _call("pg_try_advisory_lock(%s, 0)", _OUTDATED_LOCK):
        time.sleep(_SECONDS_BETWEEN_TRIES)
    try:
        yield
    finally:
        with contextlib.suppress(django.db.Error):
            _call("pg_advisory_unlock(%s, 0)", _OUTDATED_LOCK)


def _call(function: str, *arguments: Any) -> Any:
    with connections["read"].cursor() as cursor:
        cursor.execute(f"SELECT {function}", arguments)
        return cursor.fetchone()[0]


def add(name: str, status: Projection.Status) -> Projection:
    """Create the next generation of a projection, without rows."""
    generations = Projection.objects.filter(name=name).aggregate(last=Max("generation"))
    return Projection.objects.create(
        name=name,
        generation=(generations["last"] or 0) + 1,
        version=projector(name).version,
        code_fingerprint=code_fingerprint(name),
        status=status,
    )


def follow(generation: Projection, *, batch: int | None = None) -> Iterator[int]:
    """Follow the log until all slices are caught up; yield the number of events of each batch."""
    for checkpoint in generation.checkpoints():
        yield from published.follow(
            Projection.objects.filter(pk=checkpoint.pk),
            live.subscriber(projector(generation.name)),
            batch=batch or settings.PROJECTION_BATCH,
        )


def position(generation: Projection) -> int:
    """Return the position up to which all slices of ``generation`` show the log."""
    return min(checkpoint.position for checkpoint in generation.checkpoints())


def promote(generation: Projection) -> Projection:
    """Serve ``generation`` to readers; returns the former generation, which is retired.

    Raises NotLevelError.
    """
    with transaction.atomic(using="read"):
        # While the live generation is locked, its position stands still, so the new one catches up.
        former = Projection.objects.get(name=generation.name, status=_Status.LIVE)
        former, *others = former.lock_checkpoints()
        furthest = max(checkpoint.position for checkpoint in (former, *others))
        for _ in follow(generation):
            pass
        generation.refresh_from_db()
        # Positions in different logs can't be compared.
        if position(generation) < furthest and live.reads_this_log(former):
            raise NotLevelError(generation)
        former.status, former.retired_at = _Status.RETIRED, Now()
        former.late_at = former.outdated_at = None
        former.save(update_fields=["status", "retired_at", "late_at", "outdated_at"])
        generation.status, generation.retired_at = _Status.LIVE, None
        generation.save(update_fields=["status", "retired_at"])
    return former


def roll_back(name: str) -> Projection:
    """Promote the former generation, which the workers have kept up to date; returns it.

    Raises UnknownProjectionError, NoFormerGenerationError, NotLevelError, BusyError, and the error
    that stops the generation from following the log.
    """
    # A web process calls this function, and may have no session of its own: lock a transaction.
    with transaction.atomic(using="read"), connections["read"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, projector(name).name]
        )
        if not cursor.fetchone()[0]:
            raise BusyError(name)
        previous = former(name)
        promote(previous)
    return previous


def discard_former(name: str) -> Projection:
    """Delete the former generation of a projection; returns it.

    Raises UnknownProjectionError, NoFormerGenerationError and BusyError.
    """
    with exclusive(projector(name).name):
        previous = former(name)
        discard(previous)
    return previous


def former(name: str) -> Projection:
    """Return the generation that a rollback would serve. Raises NoFormerGenerationError."""
    generation = Projection.objects.filter(name=name, status=_Status.RETIRED).last()
    if generation is None:
        raise NoFormerGenerationError(name)
    return generation


def discard_expired() -> None:
    """Delete generations that retired PROJECTION_KEEP_RETIRED_DAYS ago, and finish interrupted
    deletions."""
    oldest = Now() - timedelta(days=settings.PROJECTION_KEEP_RETIRED_DAYS)
    expired = Projection.objects.filter(status=_Status.RETIRED, retired_at__lt=oldest)
    for generation in expired | Projection.objects.filter(status=_Status.DISCARDED):
        with contextlib.suppress(BusyError), exclusive(generation.name):
            discard(generation)


def discard(generation: Projection) -> None:
    """Delete a generation, which mustn't be live, and its rows."""
    # First of all, so that no process follows or promotes a half-deleted generation, even if this
    # process is killed.
    with transaction.atomic(using="read"):
        Projection.objects.filter(pk=generation.pk).update(status=_Status.DISCARDED, slice_count=1)
        Projection.objects.filter(owner=generation.pk).delete()
    for model in projector(generation.name).models:
        rows = model._default_manager.filter(projection=generation).values("pk")
        with writing():
            while model._default_manager.filter(pk__in=rows[:_DELETED_AT_ONCE]).delete()[0]:
                pass
    Projection.objects.filter(pk=generation.pk).delete()
