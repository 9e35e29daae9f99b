"""The position and the lag of subscribers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from ordering_write.log.reading import HEAD

# The time since a checkpoint began to fail. If the log was lost, no event tells the lag.
FAILING = Now() - F("failed_at")

# An event without a position is newer than all that have one. The function of the migrations
# returns the time of the commit that gets the next position.
_MEASURE = f"""
SELECT {HEAD}, {{}}, checkpoint,
greatest(0, coalesce(extract(epoch FROM clock_timestamp() - coalesce(
    (SELECT event.recorded_at FROM event_position JOIN event ON event.id = event_position.event_id
     WHERE event_position.position > checkpoint ORDER BY event_position.position LIMIT 1),
    oldest_pending_at()
)), 0))
FROM unnest(%s::bigint[]) AS checkpoint
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberStatus:
    """The position, the lag and the failure of one subscriber.

    ``lag_seconds`` is the age of the oldest event that is not applied (0.0 without one), or for how
    long the subscriber has been failing, if that is more. ``last_error`` is empty while it can go
    on. ``parked_streams`` are blocked by an event that can't be applied.
    """

    name: str
    position: int
    head: int
    lag_seconds: float
    last_error: str
    updated_at: datetime
    batches: int
    batch_seconds: float
    last_batch_seconds: float
    parked_streams: int

    @property
    def lag_events(self) -> int:
        # A checkpoint ahead of the head has lost its log, and has failed.
        return max(0, self.head - self.position)

    @property
    def failed(self) -> bool:
        return bool(self.last_error)


def measure(rows: Sequence[Any]) -> list[SubscriberStatus]:
    """Return the status of each checkpoint in ``rows``, which have ``FAILING`` as ``failing``.

    One query. Load the rows first, so that none is ahead of the head.
    """
    return measure_beside(rows, "NULL")[0]


def measure_beside(rows: Sequence[Any], expression: str) -> tuple[list[SubscriberStatus], Any]:
    """Return ``measure`` of ``rows``, and the value of an SQL expression, by one query.

    The value is None if there are no rows.
    """
    head, ages, value = _measured({row.position for row in rows}, expression)
    statuses = [
        SubscriberStatus(
            name=row.name,
            position=row.position,
            head=head,
            lag_seconds=max(ages[row.position], total_seconds(row.failing)),
            last_error=row.error,
            updated_at=row.updated_at,
            batches=row.batches,
            batch_seconds=row.batch_seconds,
            last_batch_seconds=row.last_batch_seconds,
            parked_streams=row.parked_streams,
        )
        for row in rows
    ]
    return statuses, value


def lag_seconds(positions: Collection[int]) -> dict[int, float]:
    """Return the age in seconds of the first event after each position; 0.0 without one."""
    _head, ages, _value = _measured(positions, "NULL")
    return ages


def _measured(positions: Collection[int], expression: str) -> tuple[int, dict[int, float], Any]:
    """Return the head of the log, ``lag_seconds`` and the value of ``expression``."""
    if not positions:
        return 0, {}, None
    with connection.cursor() as cursor:
        cursor.execute(_MEASURE.format(expression), [list(positions)])
        rows = cursor.fetchall()
    [(head, value, *_), *_] = rows
    return int(head), {row[2]: float(row[3]) for row in rows}, value


def total_seconds(failing: timedelta | None) -> float:
    """Return ``FAILING`` in seconds; 0.0 for a checkpoint that can go on."""
    return failing.total_seconds() if failing else 0.0
