"""The generations of a projection: making, swapping and discarding them."""

import contextlib
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

# Any number will do, as long as nothing else in the read database locks pairs that begin with it.
_LOCK = 7_301_002
# Rows that are deleted in one transaction.
_DELETED_AT_ONCE = 10_000

_Status = Projection.Status


class GenerationError(Exception):
    """The base of what keeps the generations of a projection as they are."""


class BusyError(GenerationError):
    """Another process is at the generations of the projection."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt or verified; wait until that is done.")


class NotLevelError(GenerationError):
    """A generation can't take over."""

    def __init__(self, generation: Projection) -> None:
        reason = generation.error or "the newest events can't be read yet"
        super().__init__(
            f"{generation}, can't take over, since it isn't level with the rows that are served: "
            f"{reason}. Those stay; try again."
        )


class IncompleteError(GenerationError):
    """A generation can't apply an event that the one which is served has applied."""

    def __init__(self, generation: Projection, parked: ParkedEvent) -> None:
        super().__init__(
            f"{generation}, can't take over, since it can't apply what the rows that are served "
            f"show: {parked}: {parked.message}. Those stay; correct the cause and rebuild again."
        )


class NoFormerGenerationError(GenerationError):
    """There is nothing to return to, or to discard."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has no former generation.")


@contextlib.contextmanager
def alone(name: str) -> Iterator[Callable[[], None]]:
    """Inside it nobody else rebuilds this projection, rolls it back or discards its rows.

    With a lost connection the lock is gone too. Whoever goes on with a new one calls what is
    yielded, which takes the lock again. Both raise BusyError when somebody else is at it.
    """
    connection = connections["read"]
    held: Any = None

    def hold() -> None:
        nonlocal held
        if held is not None and connection.connection is held:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, name])
            if not cursor.fetchone()[0]:
                raise BusyError(name)
        held = connection.connection

    hold()
    try:
        yield hold
    finally:
        if connection.connection is held:
            with contextlib.suppress(django.db.Error), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK, name])


def add(name: str, status: Projection.Status) -> Projection:
    """A new, empty generation of a projection."""
    numbers = Projection.objects.filter(name=name).aggregate(last=Max("generation"))
    return Projection.objects.create(
        name=name,
        generation=(numbers["last"] or 0) + 1,
        version=projector(name).version,
        code_fingerprint=code_fingerprint(name),
        status=status,
    )


def follow(generation: Projection, *, batch: int | None = None) -> Iterator[int]:
    """Follow the log until level; yields the number of events of each batch of about ``batch``."""
    return published.follow(
        Projection.objects.filter(pk=generation.pk),
        live.subscriber(projector(generation.name)),
        batch=batch or settings.PROJECTION_BATCH,
    )


def promote(generation: Projection) -> Projection:
    """Let readers be served ``generation``; returns the one that they were served, now retired.

    Raises NotLevelError.
    """
    with transaction.atomic(using="read"):
        # Nobody moves the live generation on from here, so that the new one can't be behind it.
        former = Projection.objects.select_for_update().get(
            name=generation.name, status=_Status.LIVE
        )
        for _ in follow(generation):
            pass
        generation.refresh_from_db()
        # The position of one that has lost its log says nothing.
        if generation.position < former.position and published.reads_this_log(former):
            raise NotLevelError(generation)
        former.status, former.retired_at, former.late_at = _Status.RETIRED, Now(), None
        former.save(update_fields=["status", "retired_at", "late_at"])
        generation.status, generation.retired_at = _Status.LIVE, None
        generation.save(update_fields=["status", "retired_at"])
    return former


def roll_back(name: str) -> Projection:
    """Serve the former generation again, which the workers have kept up to date; returns it.

    Raises UnknownProjectionError, NoFormerGenerationError, NotLevelError, BusyError, and what
    keeps it from being level.
    """
    with alone(projector(name).name):
        previous = former(name)
        promote(previous)
    return previous


def discard_former(name: str) -> Projection:
    """Delete the former generation of a projection; returns it.

    Raises UnknownProjectionError, NoFormerGenerationError and BusyError.
    """
    with alone(projector(name).name):
        previous = former(name)
        discard(previous)
    return previous


def former(name: str) -> Projection:
    """The generation that a projection could return to. Raises NoFormerGenerationError."""
    found = Projection.objects.filter(name=name, status=_Status.RETIRED).last()
    if found is None:
        raise NoFormerGenerationError(name)
    return found


def discard_expired() -> None:
    """Delete what is kept no longer: generations that retired PROJECTION_KEEP_RETIRED_DAYS ago,
    and what is left of any whose deletion was broken off."""
    oldest = Now() - timedelta(days=settings.PROJECTION_KEEP_RETIRED_DAYS)
    expired = Projection.objects.filter(status=_Status.RETIRED, retired_at__lt=oldest)
    for generation in expired | Projection.objects.filter(status=_Status.DISCARDED):
        with contextlib.suppress(BusyError), alone(generation.name):
            discard(generation)


def discard(generation: Projection) -> None:
    """Delete a generation that isn't live and its rows."""
    # From here on nobody follows it or returns to it, even if we are killed.
    Projection.objects.filter(pk=generation.pk).update(status=_Status.DISCARDED)
    for model in projector(generation.name).models:
        rows = model._default_manager.filter(projection=generation).values("pk")
        with writing():
            while model._default_manager.filter(pk__in=rows[:_DELETED_AT_ONCE]).delete()[0]:
                pass
    Projection.objects.filter(pk=generation.pk).delete()
