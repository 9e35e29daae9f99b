"""How far each projection has come, and whether workers are there."""

import logging
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connections
from django.db.models.functions import Now

from ordering_read.engine.base import registered
from ordering_read.models import Projection, Worker
from ordering_write import published

logger = logging.getLogger(__name__)


# A rebuild that hasn't moved for this long was killed.
_REBUILD_SILENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionStatus:
    """Where the rows stand that a projection serves.

    ``status`` is "failed" while the projection can't go on, "building" while a rebuild fills its
    next generation, "outdated" when its rows were made by another version of its code, and "live"
    otherwise. ``lag_seconds`` is the age of the oldest event that is not applied, 0.0 when there
    is none.
    """

    name: str
    generation: int
    position: int
    head: int
    lag_seconds: float
    status: str
    last_error: str
    updated_at: datetime

    @property
    def lag_events(self) -> int:
        return self.head - self.position

    @property
    def failed(self) -> bool:
        return self.status == "failed"


def statuses() -> list[ProjectionStatus]:
    """One for each projection, by name; three queries."""
    rows = list(Projection.objects.filter(name__in=registered()).annotate(now=Now()))
    live = [row for row in rows if row.status == Projection.Status.LIVE]
    building = {
        row.name
        for row in rows
        if row.status == Projection.Status.BUILDING and row.now - row.updated_at < _REBUILD_SILENCE
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
            lag_seconds=seconds[row.position],
            status=_status(row, is_building=row.name in building),
            last_error=row.error,
            updated_at=row.updated_at,
        )
        for row in live
    ]


def _status(live: Projection, *, is_building: bool) -> str:
    if live.error:
        return "failed"
    if is_building:
        return "building"
    if live.version != registered()[live.name].version:
        return "outdated"
    return "live"


def checkpoints() -> dict[str, int]:
    """The position of each live projection by its name."""
    live = Projection.objects.filter(name__in=registered(), status=Projection.Status.LIVE)
    return dict(live.values_list("name", "position"))


_BEAT = """
WITH gone AS (DELETE FROM worker WHERE seen_at < statement_timestamp() - interval '1 minute')
INSERT INTO worker (host, pid, seen_at) VALUES (%s, %s, statement_timestamp())
ON CONFLICT (host, pid) DO UPDATE SET seen_at = excluded.seen_at
"""


def beat() -> None:
    """Give a sign of life of the cluster of workers that this process is a child of."""
    with connections["read"].cursor() as cursor:
        cursor.execute(_BEAT, [socket.gethostname(), os.getppid()])


def workers_seen(within_seconds: float) -> int:
    """How many clusters of workers gave a sign of life in the last ``within_seconds``."""
    return Worker.objects.filter(seen_at__gt=Now() - timedelta(seconds=within_seconds)).count()


def warn_of_lag() -> None:
    """Log an error for each projection that has become late, once until it no longer is."""
    limit = settings.PROJECTION_LAG_ALERT_SECONDS
    late = {one.name: one for one in statuses() if one.lag_seconds > limit}
    rows = Projection.objects.filter(status=Projection.Status.LIVE)
    rows.exclude(late_at=None).exclude(name__in=late).update(late_at=None)
    for one in late.values():
        # Whoever changes the row logs it: one line, however many clusters look.
        if rows.filter(name=one.name, late_at=None).update(late_at=Now()):
            logger.error(
                "Projection %s is late: %d events, %.0f seconds behind the log (limit %d).%s",
                one.name,
                one.lag_events,
                one.lag_seconds,
                limit,
                f" {one.last_error}" if one.last_error else "",
            )
