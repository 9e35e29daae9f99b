"""The generations that are kept up to date: who is behind the log, and catching up."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.apps.registry import Apps
from django.conf import settings
from django.db import connections

from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.engine.table_diff import natural_key
from ordering_read.models import ParkedEvent, Projection
from ordering_read.projector import Projector, projector, registered, writing
from ordering_write import published
from ordering_write.published import DomainEvent

# A row that is locked has a runner; SKIP LOCKED passes by it without waiting. One that is ahead of
# the log has lost its log, and must be told so. A lease that is over was never given back: see
# ``Start`` in checkpoints.py.
_LEASE_THOSE_BEHIND = """
WITH kept AS (
    SELECT id, name, position, leased_until >= statement_timestamp() AS is_taken FROM projection
    WHERE status IN ('live', 'retired') AND name = ANY(%(names)s)
), behind AS (
    UPDATE projection SET
        leased_until = statement_timestamp() + make_interval(secs => %(lease)s),
        start = CASE WHEN leased_until IS NULL THEN start WHEN start < 2 THEN 1 ELSE 3 END
    WHERE id IN (
        SELECT id FROM projection
        WHERE status IN ('live', 'retired') AND name = ANY(%(names)s) AND position <> %(head)s
          AND (leased_until IS NULL OR leased_until < statement_timestamp())
        FOR UPDATE SKIP LOCKED
    )
    RETURNING id
)
SELECT name, position, behind.id IS NOT NULL, is_taken IS TRUE
FROM kept LEFT JOIN behind USING (id)
"""

_KEPT = (Projection.Status.LIVE, Projection.Status.RETIRED)


class Due(NamedTuple):
    """The projections that are behind the log and that nobody is at, each with the number of
    events that it is behind, most first; and whether a runner is now at each projection."""

    behind: dict[str, int]
    all_taken: bool


def due() -> Due:
    """Lease the projections that are behind the log and that nobody is at.

    One that fails is not due before its pause is over.
    """
    known, head = list(registered()), published.head()
    lease = published.LEASE.total_seconds()
    with connections["read"].cursor() as cursor:
        cursor.execute(_LEASE_THOSE_BEHIND, {"names": known, "lease": lease, "head": head})
        rows = cursor.fetchall()
    leased = [(name, position) for name, position, is_leased, _ in rows if is_leased]
    leased.sort(key=lambda row: (row[1], known.index(row[0])))
    behind: dict[str, int] = {}
    for name, position in leased:
        behind.setdefault(name, head - position)
    return Due(behind, all(is_leased or is_taken for *_, is_leased, is_taken in rows))


def run(*names: str, seconds: float = math.inf, stay: float = 0.0) -> int:
    """Catch up the live generations of projections, and beside them those that are retired and
    kept; returns how many events were applied for all of them.

    After about ``seconds`` the rest is left to the next run; ``stay`` is for how long a run that is
    level waits for more. One that another runner is at is left alone. What fails is kept on the
    Projection row. Raises UnknownProjectionError.
    """
    subscribers = {name: subscriber(projector(name)) for name in names}
    return published.catch_up(
        Projection.objects.filter(name__in=names, status__in=_KEPT),
        lambda row: subscribers[row.name],
        batch=settings.PROJECTION_BATCH,
        seconds=seconds,
        stay=stay,
    )


def subscriber(projector: Projector, *, filling: bool = False) -> published.Subscriber:
    """What follows the log for one generation of ``projector``; ``filling`` as in ``writing``."""

    def wants(event: DomainEvent) -> bool:
        if isinstance(event, published.UndecodableEvent):
            kind = DomainEvent.types.get(event.type)
            return kind is None or issubclass(kind, projector.events)
        return isinstance(event, projector.events)

    def apply(generation: Projection, events: Sequence[DomainEvent]) -> None:
        with writing(filling=filling):
            projector.apply(events, generation.pk)

    def redo(generation: Projection, stream: str, events: Sequence[DomainEvent]) -> None:
        owner = stream.partition("-")[2]
        with writing():
            for model in projector.models:
                # What all rows of a stream have in common comes first in their key.
                column = natural_key(model)[0]
                name = next(f.name for f in model._meta.concrete_fields if f.column == column)
                rows = model._default_manager.filter(projection_id=generation.pk, **{name: owner})
                rows.delete()
            projector.apply(events, generation.pk)

    def skip_of(event: DomainEvent) -> ParkedEvent | None:
        # In another generation, whose rows went without it too.
        rows = ParkedEvent.objects.filter(checkpoint__name=projector.name, skipped_at__isnull=False)
        return rows.filter(event_id=event.recorded.event_id).first()

    return published.Subscriber(
        wants=wants,
        apply=apply,
        max_parked=settings.PROJECTION_MAX_PARKED_STREAMS,
        skip_of=skip_of,
        # Rows that mix streams hold nothing personal.
        redo=redo if projector.sliced_by == "stream" else None,
    )


def keep_checkpoints() -> None:
    """Make sure that every projection has its live row."""
    Projection.objects.bulk_create(
        (
            Projection(
                name=one.name,
                version=one.version,
                code_fingerprint=code_fingerprint(one.name),
                status=Projection.Status.LIVE,
            )
            for one in registered().values()
        ),
        ignore_conflicts=True,
    )


def keep_checkpoints_after_migrate(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Make sure of it when the table was migrated (a receiver of ``post_migrate``)."""
    if using == "read" and "projection" in apps.all_models["ordering_read"]:
        keep_checkpoints()
