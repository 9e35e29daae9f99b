"""The position and the lag of subscribers."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from ordering_write import log
from ordering_write.log import DetachedEventsError
from ordering_write.log.reading import HEAD

# The time since a checkpoint began to fail. If the log was lost, no event tells the lag.
FAILING = Now() - F("failed_at")

# An event without a position is newer than all that have one. The function of the migrations
# returns the time of the commit that gets the next position.
_MEASURE = f"""
SELECT {HEAD}, {{}}, statement_timestamp(), checkpoint,
greatest(0, coalesce(extract(epoch FROM statement_timestamp() - coalesce(
    (SELECT event.recorded_at FROM event_position JOIN event ON event.id = event_position.event_id
     WHERE event_position.position > checkpoint ORDER BY event_position.position LIMIT 1),
    oldest_pending_at()
)), 0)), detached_until()
FROM unnest(%s::bigint[]) AS checkpoint
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberStatus:
    """The position, the lag and the failure of one subscriber, whose checkpoint is ``key``.

    ``lag_seconds`` is the age of the oldest event that is not applied (0.0 without one), or for how
    long the subscriber has been failing, if that is more. ``last_error`` is empty while it can go
    on. ``parked_streams`` are blocked by an event that can't be applied. ``measured_at`` is when
    the lag was measured (UTC), by the clock of the log.
    """

    key: int
    name: str
    position: int
    head: int
    lag_seconds: float
    measured_at: datetime
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
    if not rows:
        return [], None
    measured = _measured({row.position for row in rows}, expression)
    statuses = [
        SubscriberStatus(
            key=row.pk,
            name=row.name,
            position=row.position,
            head=measured.head,
            lag_seconds=max(measured.ages[row.position], total_seconds(row.failing)),
            measured_at=measured.at,
            last_error=row.error,
            updated_at=row.updated_at,
            batches=row.batches,
            batch_seconds=row.batch_seconds,
            last_batch_seconds=row.last_batch_seconds,
            parked_streams=row.parked_streams,
        )
        for row in rows
    ]
    return statuses, measured.value


def lag_seconds(positions: Collection[int]) -> dict[int, float]:
    """Return the age in seconds of the first event after each position; 0.0 without one."""
    return _measured(positions, "NULL").ages if positions else {}


class _Measured(NamedTuple):
    head: int
    value: Any
    at: datetime
    ages: dict[int, float]


def _measured(positions: Collection[int], expression: str) -> _Measured:
    """Return the head of the log, ``expression``, the time and the age after each position."""
    with connection.cursor() as cursor:
        cursor.execute(_MEASURE.format(expression), [list(positions)])
        rows = cursor.fetchall()
    [(head, value, at, *_, detached_end), *_] = rows
    ages = {row[3]: float(row[4]) for row in rows}
    for position in ages:
        if position < detached_end:
            # Without the archive, the next event that is in the database tells the least age.
            with contextlib.suppress(DetachedEventsError):
                recorded_at = log.recorded_at(position + 1) or at
                ages[position] = max(0.0, (at - recorded_at).total_seconds())
    return _Measured(int(head), value, at, ages)


def total_seconds(failing: timedelta | None) -> float:
    """Return ``FAILING`` in seconds; 0.0 for a checkpoint that can go on."""
    return failing.total_seconds() if failing else 0.0
