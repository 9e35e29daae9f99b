"""The progress of each projection, and the heartbeats of the workers."""

import os
import socket
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.apps.registry import Apps
from django.conf import settings
from django.db import connections
from django.db.models import Expression, Min, Q, QuerySet
from django.db.models.functions import Now

from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.models import Projection, Worker, of_live_generations
from ordering_read.projector import labels, registered
from ordering_write.published import policies, subscriptions

# A rebuild without progress for this long counts as killed.
_REBUILD_SILENCE = timedelta(minutes=1)
# A cluster without a heartbeat for this long gets no slices: one is missing.
_ALIVE = timedelta(seconds=3)
# The time for which a cluster that ended without a word is shown.
_REMEMBERED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """The number of events that a rebuild has applied, of all its events, and its rate."""

    generation: int
    events_done: int
    events_total: int
    events_per_second: float

    @property
    def seconds_left(self) -> float | None:
        """The remaining time at this rate; None while the rate is 0."""
        if not self.events_per_second:
            return None
        return (self.events_total - self.events_done) / self.events_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionStatus(subscriptions.SubscriberStatus):
    """The progress of the rows that a projection serves.

    ``status`` is "failed" while the projection can't go on, "building" while a rebuild fills its
    next generation, "paused" while that rebuild is paused, "outdated" when its rows were made by
    other code, and "live" otherwise. ``is_outdated`` says the latter during a rebuild too.
    ``rebuild`` is the progress of a rebuild, None without one. A projection that is cut is as far
    as its slowest slice; ``slices`` has the status of each slice, none if it isn't cut.
    """

    generation: int
    status: str
    is_outdated: bool
    rebuild: "RebuildProgress | None" = None
    slices: Sequence[subscriptions.SubscriberStatus] = ()


def statuses() -> list[ProjectionStatus]:
    """Return the status of each projection, in the order of their names, by two queries."""
    generations = _Generations()
    return generations.statuses(subscriptions.measure(generations.checkpoints))


class Measured(NamedTuple):
    """All generations, the status of each projection, and the status of ``others``.

    ``given_up`` are the actions that policies have given up, which the same query counts. ``extra``
    is the value of the expression that the caller asked for, None without a generation.
    """

    generations: Sequence[Projection]
    statuses: list[ProjectionStatus]
    others: list[subscriptions.SubscriberStatus]
    given_up: policies.given_up.Count
    extra: Any


def measured_generations(
    others: Sequence[Any] = (), *, extra: Expression | None = None
) -> Measured:
    """Return all generations and statuses, by name, by two queries.

    ``others`` are checkpoints of other subscriptions, which are measured by the same queries. They
    have ``FAILING`` as ``failing``. The query of the read database computes ``extra`` too.
    """
    generations = _Generations(extra)
    live = generations.checkpoints
    measured, given_up = policies.given_up.count_and_measure([*live, *others])
    statuses = generations.statuses(measured[: len(live)])
    return Measured(generations.rows, statuses, measured[len(live) :], given_up, generations.extra)


class _Generations:
    """The rows of all generations, by name; ``live`` are those that the projections serve, and
    ``checkpoints`` all of their slices."""

    def __init__(self, extra: Expression | None = None) -> None:
        expressions = {"extra": extra} if extra else {}
        rows: list[Any] = list(
            Projection.objects.filter(name__in=registered()).annotate(
                now=Now(), failing=subscriptions.FAILING, **expressions
            )
        )
        self.extra = rows[0].extra if extra and rows else None
        self.rows = [row for row in rows if row.owner_id is None]
        self.live = [row for row in self.rows if row.status == Projection.Status.LIVE]
        live_keys = {row.pk for row in self.live}
        self.checkpoints = [row for row in rows if row.owner_pk in live_keys]
        # Before any measurement, because the first fingerprints of a process take a moment.
        self._outdated_names = {row.name for row in self.live if _is_outdated(row)}

    def statuses(
        self, measured: Sequence[subscriptions.SubscriberStatus]
    ) -> list[ProjectionStatus]:
        """Return the statuses of ``live``; ``measured`` is the progress of ``checkpoints``."""
        slices: dict[int, list[subscriptions.SubscriberStatus]] = defaultdict(list)
        for checkpoint, progress in zip(self.checkpoints, measured, strict=True):
            slices[checkpoint.owner_pk].append(progress)
        building = {row.name: row for row in self.rows if is_rebuilding(row)}
        return [
            ProjectionStatus(
                **asdict(_together(slices[row.pk])) | {"key": row.pk},
                slices=slices[row.pk] if row.slice_count > 1 else (),
                generation=row.generation,
                status=_status(row, building.get(row.name), row.name in self._outdated_names),
                is_outdated=row.name in self._outdated_names,
                rebuild=rebuild_progress(building[row.name]) if row.name in building else None,
            )
            for row in self.live
        ]


def _together(
    slices: Sequence[subscriptions.SubscriberStatus],
) -> subscriptions.SubscriberStatus:
    """Return the status of a projection with the status of each of its slices."""
    if len(slices) == 1:
        return slices[0]
    errors = [status.last_error for status in slices if status.failed]
    return replace(
        slices[0],
        position=min(status.position for status in slices),
        lag_seconds=max(status.lag_seconds for status in slices),
        last_error=errors[0] if errors else "",
        updated_at=max(status.updated_at for status in slices),
        batches=sum(status.batches for status in slices),
        batch_seconds=sum(status.batch_seconds for status in slices),
        last_batch_seconds=max(status.last_batch_seconds for status in slices),
        parked_streams=sum(status.parked_streams for status in slices),
    )


def is_rebuilding(generation: Any) -> bool:
    """Return True if a process fills ``generation``, which was read with ``now``, or is asked to.

    If False, the generation may be a killed rebuild, or one that waits to take over: its rows are
    complete and compared with the live ones.
    """
    if generation.status != Projection.Status.BUILDING:
        return False
    is_silent = generation.now - generation.updated_at >= _REBUILD_SILENCE
    is_compared = generation.verified_at is not None
    return bool(generation.rebuild_request) or not (is_silent or is_compared)


def _status(live: Projection, building: Projection | None, is_outdated: bool) -> str:
    if live.error:
        return "failed"
    if building:
        return (
            "paused" if building.rebuild_request == Projection.RebuildRequest.PAUSE else "building"
        )
    return "outdated" if is_outdated else "live"


def rebuild_progress(building: Projection) -> RebuildProgress:
    """Return the progress of the rebuild that fills this generation."""
    return RebuildProgress(
        generation=building.generation,
        events_done=building.events_done,
        events_total=building.events_total,
        events_per_second=building.events_per_second or 0.0,
    )


def outdated() -> list[str]:
    """Return the names of the projections whose rows other code has made, sorted; one query."""
    return [row.name for row in _code_of_rows() if _is_outdated(row)]


def made_by_other_code() -> list[str]:
    """Return the names of the projections whose rows other code of the same version has made."""
    return [
        row.name
        for row in _code_of_rows()
        if row.version == registered()[row.name].version and _is_outdated(row)
    ]


def mark_outdated(names: Collection[str]) -> list[str]:
    """Mark the projections ``names`` as reported; return the names that had no mark, sorted.

    The mark is gone with the rows, and after the next ``migrate``.
    """
    with connections["read"].cursor() as cursor:
        cursor.execute(_MARK_OUTDATED, [list(names)])
        return sorted(name for (name,) in cursor.fetchall())


def forget_outdated(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Let outdated projections be reported again (a receiver of ``post_migrate``)."""
    # ``migrate`` may have gone back to a release without the column.
    model = apps.all_models["ordering_read"].get("projection")
    if using == "read" and model and hasattr(model, "outdated_at"):
        Projection.objects.exclude(outdated_at=None).update(outdated_at=None)


def _code_of_rows() -> "QuerySet[Projection]":
    # Only these columns: a system check calls this before ``migrate`` has added newer columns.
    live = Projection.objects.filter(name__in=registered(), status=Projection.Status.LIVE)
    return live.only("name", "version", "code_fingerprint")


def _is_outdated(live: Projection) -> bool:
    # Rows of a release without fingerprints have an empty one: nobody knows which code made them.
    code = registered()[live.name].version, code_fingerprint(live.name)
    return (live.version, live.code_fingerprint) != code


def checkpoints() -> dict[str, tuple[int, str]]:
    """Return the position and the label of each live projection by its name."""
    live = Projection.objects.filter(of_live_generations(), name__in=registered())
    positions = live.order_by("name").values_list("name").annotate(Min("position"))
    return {name: (position, labels([name])) for name, position in positions}


_MARK_OUTDATED = """
UPDATE projection SET outdated_at = statement_timestamp()
WHERE name = ANY(%s) AND status = 'live' AND outdated_at IS NULL RETURNING name
"""

_HEARTBEAT = """
WITH us (host, pid) AS (VALUES (%s, %s)), gone AS (
    DELETE FROM worker WHERE seen_at < statement_timestamp() - make_interval(secs => %s)
    AND (host, pid) NOT IN (SELECT host, pid FROM us)
)
INSERT INTO worker (host, pid, seen_at) SELECT host, pid, statement_timestamp() FROM us
ON CONFLICT (host, pid) DO UPDATE SET seen_at = excluded.seen_at
"""


def heartbeat() -> None:
    """Record that the cluster of workers that started this process is alive."""
    with connections["read"].cursor() as cursor:
        cursor.execute(
            _HEARTBEAT, [socket.gethostname(), os.getppid(), _REMEMBERED.total_seconds()]
        )


def forget_worker(pid: int) -> None:
    """Delete the heartbeat of a cluster of this machine, which has ended with notice."""
    Worker.objects.filter(host=socket.gethostname(), pid=pid).delete()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A cluster of workers, and when it has sent its last heartbeat (UTC).

    A silent one has sent none for WORKER_SILENCE_SECONDS: it was killed, hangs, or its machine
    can't reach the database.
    """

    host: str
    pid: int
    seen_at: datetime
    is_silent: bool


def workers() -> list[WorkerStatus]:
    """Return the clusters of the last hour, the last seen first; one query."""
    silence = timedelta(seconds=settings.WORKER_SILENCE_SECONDS)
    rows = Worker.objects.annotate(is_silent=Q(seen_at__lte=Now() - silence))
    fields = ("host", "pid", "seen_at", "is_silent")
    return [WorkerStatus(**row) for row in rows.order_by("-seen_at").values(*fields)]


def share() -> subscriptions.Share:
    """Return the part of the slices that falls to the cluster of this process.

    The clusters that are alive share out the slices in the order of their names. Returns the whole
    to a cluster that hasn't sent a heartbeat.
    """
    alive = Worker.objects.filter(seen_at__gt=Now() - _ALIVE).order_by("host", "pid")
    clusters = list(alive.values_list("host", "pid"))
    own = (socket.gethostname(), os.getppid())
    if own not in clusters:
        return subscriptions.WHOLE
    return subscriptions.Share(clusters.index(own), len(clusters))


def workers_seen() -> int:
    """Return the number of clusters with a heartbeat in the last WORKER_SILENCE_SECONDS."""
    silence = timedelta(seconds=settings.WORKER_SILENCE_SECONDS)
    return Worker.objects.filter(seen_at__gt=Now() - silence).count()
