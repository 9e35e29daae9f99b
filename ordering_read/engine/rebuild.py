"""Rebuilding a projection from the log: the next generation is filled, then takes over."""

import contextlib
from collections.abc import Callable, Iterator

import django.db
from django.conf import settings
from django.db import connections, transaction
from django.db.models import Max

from ordering_read.engine import live
from ordering_read.engine.base import Projector, projector, writing
from ordering_read.models import Projection
from ordering_write import published

# Any number will do, as long as nothing else in the read database locks pairs that begin with it.
_LOCK = 7_301_002
# Rows that are deleted in one transaction.
_DELETED_AT_ONCE = 10_000


class RebuildRunningError(Exception):
    """The projection is being rebuilt already; wait until that is done."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt already; wait until that is done.")


class NotLevelError(Exception):
    """The new rows can't take over."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The new rows of {name} didn't get level with those that are served, because the "
            "newest events can't be read yet. The old rows stay; rebuild again."
        )


def rebuild(name: str, *, progress: Callable[[int], object]) -> None:
    """Fill the next generation of a projection from the log, follow until level, and promote it.

    Readers are served the live rows until then, and the workers go on with them. The former
    generation is kept until the next rebuild. ``progress`` is called with the number of events of
    each batch.

    Raises UnknownProjectionError, RebuildRunningError, NotLevelError, and what the projection
    raises; the live rows are then as if nothing had been tried.
    """
    projection = projector(name)
    with _alone(name):
        live.keep_checkpoints()
        _discard_all_but_live(projection)
        building = _next_generation(projection)
        for count in _follow(building, projection):
            progress(count)
        _promote(building, projection, progress)
    # For the events that came while the rows were locked.
    live.run(name)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    with connections["read"].cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, name])
        if not cursor.fetchone()[0]:
            raise RebuildRunningError(name)
        try:
            yield
        finally:
            # With a lost connection the lock is gone too.
            with contextlib.suppress(django.db.Error):
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [_LOCK, name])


def _discard_all_but_live(projection: Projector) -> None:
    generations = Projection.objects.filter(name=projection.name)
    for generation in generations.exclude(status=Projection.Status.LIVE):
        with writing():
            for model in projection.models:
                some = model._default_manager.filter(projection=generation).values("pk")[
                    :_DELETED_AT_ONCE
                ]
                while model._default_manager.filter(pk__in=some).delete()[0]:
                    pass
        generation.delete()


def _next_generation(projection: Projector) -> Projection:
    generations = Projection.objects.filter(name=projection.name)
    return Projection.objects.create(
        name=projection.name,
        generation=generations.aggregate(last=Max("generation"))["last"] + 1,
        version=projection.version,
        status=Projection.Status.BUILDING,
    )


def _follow(building: Projection, projection: Projector) -> Iterator[int]:
    return published.follow(
        Projection.objects.filter(pk=building.pk),
        live.applied_by(projection),
        batch=settings.PROJECTION_BATCH,
    )


def _promote(
    building: Projection, projection: Projector, progress: Callable[[int], object]
) -> None:
    with transaction.atomic(using="read"):
        # Nobody moves the live generation on from here, so that the new one can't be behind it.
        former = Projection.objects.select_for_update().get(
            name=projection.name, status=Projection.Status.LIVE
        )
        for count in _follow(building, projection):
            progress(count)
        building.refresh_from_db()
        if building.position < former.position:
            raise NotLevelError(projection.name)
        former.status = Projection.Status.RETIRED
        former.save(update_fields=["status"])
        building.status = Projection.Status.LIVE
        building.save(update_fields=["status"])
