"""How far each projection has come, and whether workers are there."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connections
from django.db.models import F
from django.db.models.functions import Now

from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.models import Projection, Worker
from ordering_read.projector import registered
from ordering_write import published

# For how long a checkpoint can't go on. One whose log was replaced has read more than there is: no
# event says that it is late.
FAILING = Now() - F("failed_at")
# A rebuild that hasn't moved for this long was killed.
_REBUILD_SILENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """How many events a rebuild has applied, of how many, and how many it applies in a second."""

    generation: int
    events_done: int
    events_total: int
    events_per_second: float

    @property
    def seconds_left(self) -> float | None:
        """None while nobody can say."""
        if not self.events_per_second:
            return None
        return (self.events_total - self.events_done) / self.events_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionStatus:
    """Where the rows stand that a projection serves.

    ``status`` is "failed" while the projection can't go on, "building" while a rebuild fills its
    next generation, "paused" while that waits, "outdated" when its rows were made by other code,
    and "live" otherwise. ``lag_seconds`` is the age of the oldest event that is not applied, 0.0
    when there is none, or for how long it can't go on, if that is more. ``rebuild`` is how far a
    rebuild has come, None without one. ``parked_streams`` are held up by an event that can't be
    applied.
    """

    name: str
    generation: int
    position: int
    head: int
    lag_seconds: float
    status: str
    last_error: str
    updated_at: datetime
    batches: int
    batch_seconds: float
    last_batch_seconds: float
    parked_streams: int
    rebuild: "RebuildProgress | None" = None

    @property
    def lag_events(self) -> int:
        # One that is ahead has lost its log, and has failed.
        return max(0, self.head - self.position)

    @property
    def failed(self) -> bool:
        return self.status == "failed"


def statuses() -> list[ProjectionStatus]:
    """One for each projection, by name; three queries."""
    rows = list(
        Projection.objects.filter(name__in=registered()).annotate(now=Now(), failing=FAILING)
    )
    live = [row for row in rows if row.status == Projection.Status.LIVE]
    building = {
        row.name: row
        for row in rows
        if row.status == Projection.Status.BUILDING
        and (row.rebuild_request or row.now - row.updated_at < _REBUILD_SILENCE)
    }
    # Read after the checkpoints, so that none is ahead of it.
    head = published.head()
    seconds = published.lag_seconds({row.position for row in live})
    return [
        ProjectionStatus(
            name=row.name,
            generation=row.generation,
            position=row.position,
            head=head,
            lag_seconds=max(seconds[row.position], total_seconds(row.failing)),
            status=_status(row, building.get(row.name)),
            last_error=row.error,
            updated_at=row.updated_at,
            batches=row.batches,
            batch_seconds=row.batch_seconds,
            last_batch_seconds=row.last_batch_seconds,
            parked_streams=row.parked_streams,
            rebuild=rebuild_progress(building[row.name]) if row.name in building else None,
        )
        for row in live
    ]


def total_seconds(failing: timedelta | None) -> float:
    """``FAILING`` in seconds; 0.0 of one that can go on."""
    return failing.total_seconds() if failing else 0.0


def _status(live: Projection, building: Projection | None) -> str:
    if live.error:
        return "failed"
    if building:
        return (
            "paused" if building.rebuild_request == Projection.RebuildRequest.PAUSE else "building"
        )
    if live.version != registered()[live.name].version or _is_outdated(live):
        return "outdated"
    return "live"


def rebuild_progress(building: Projection) -> RebuildProgress:
    """How far the rebuild has come that fills this generation."""
    return RebuildProgress(
        generation=building.generation,
        events_done=building.events_done,
        events_total=building.events_total,
        events_per_second=building.events_per_second or 0.0,
    )


def made_by_other_code() -> list[str]:
    """The projections whose rows were made by other code of the same version."""
    live = Projection.objects.filter(name__in=registered(), status=Projection.Status.LIVE)
    # Only these columns: others may not be there before the database is migrated.
    return [
        row.name
        for row in live.only("name", "version", "code_fingerprint")
        if row.version == registered()[row.name].version and _is_outdated(row)
    ]


def _is_outdated(live: Projection) -> bool:
    # Rows older than the column don't say what made them.
    return live.code_fingerprint not in ("", code_fingerprint(live.name))


def checkpoints() -> dict[str, int]:
    """The position of each live projection by its name."""
    live = Projection.objects.filter(name__in=registered(), status=Projection.Status.LIVE)
    return dict(live.values_list("name", "position"))


_BEAT = """
WITH us (host, pid) AS (VALUES (%s, %s)), gone AS (
    DELETE FROM worker WHERE seen_at < statement_timestamp() - make_interval(secs => %s)
    AND (host, pid) NOT IN (SELECT host, pid FROM us)
)
INSERT INTO worker (host, pid, seen_at) SELECT host, pid, statement_timestamp() FROM us
ON CONFLICT (host, pid) DO UPDATE SET seen_at = excluded.seen_at
"""


def beat() -> None:
    """Give a sign of life of the cluster of workers that this process is a child of."""
    with connections["read"].cursor() as cursor:
        cursor.execute(_BEAT, [socket.gethostname(), os.getppid(), settings.WORKER_SILENCE_SECONDS])


def workers_seen() -> int:
    """How many clusters of workers gave a sign of life in the last WORKER_SILENCE_SECONDS."""
    silence = timedelta(seconds=settings.WORKER_SILENCE_SECONDS)
    return Worker.objects.filter(seen_at__gt=Now() - silence).count()
