"""Samples of the progress of all subscribers in the last minutes, for charts.

The workers take a sample when they look whether a subscriber is late. However many workers there
are, they write at most one row in SECONDS, over the oldest row of the ring. Read sites add their
figures to the same row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from pydantic_core import to_json

from ordering_write.models import SubscriberSample
from ordering_write.subscriptions.registry import Subscription
from ordering_write.subscriptions.status import SubscriberStatus

# Seconds between two samples, and the number of samples: a quarter of an hour.
SECONDS, SLOTS = 10, 90

# By the clock of the database. Without waiting for its disk: a lost sample is a gap in a chart.
_RECORD = """
WITH sample AS (
    SELECT (extract(epoch FROM statement_timestamp())::bigint / %(seconds)s) %% %(slots)s AS slot
    FROM set_config('synchronous_commit', 'off', true)
)
INSERT INTO subscriber_sample (slot, taken_at, figures)
SELECT slot, statement_timestamp(), %(figures)s::jsonb FROM sample
ON CONFLICT (slot) DO UPDATE SET (taken_at, figures) = (
    SELECT CASE WHEN is_old THEN excluded.taken_at ELSE subscriber_sample.taken_at END,
           CASE WHEN is_old THEN '{}' ELSE subscriber_sample.figures END || excluded.figures
    FROM (VALUES (
        subscriber_sample.taken_at < excluded.taken_at - make_interval(secs => %(seconds)s)
    )) AS slot (is_old)
)
WHERE subscriber_sample.taken_at < excluded.taken_at - make_interval(secs => %(seconds)s)
   OR NOT subscriber_sample.figures ?& %(keys)s
"""


class Figures(NamedTuple):
    """The progress of one subscriber. Counts and times grow from the first batch on."""

    position: int
    lag_seconds: float
    batches: int
    batch_seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The figures of the subscribers at one time (UTC), by ``key``."""

    taken_at: datetime
    figures: Mapping[str, Figures]


def key(subscription: Subscription, name: str) -> str:
    """Return the key of a subscriber in the figures of a sample.

    Each read site has figures of its own for what it keeps up to date.
    """
    site = f"@{settings.READ_SITE}" if settings.READ_SITE and subscription.is_of_site else ""
    return f"{subscription.name}{site}/{name}"


def record(statuses: Mapping[Subscription, Sequence[SubscriberStatus]]) -> None:
    """Store ``statuses`` as a sample, unless a worker has just stored one; one statement."""
    figures = {
        key(subscription, status.name): Figures(
            status.position,
            round(status.lag_seconds, 1),
            status.batches,
            round(status.batch_seconds, 4),
        )
        for subscription, of_kind in statuses.items()
        for status in of_kind
    }
    document = to_json(figures).decode()
    parameters: dict[str, Any] = {
        "seconds": SECONDS,
        "slots": SLOTS,
        "figures": document,
        "keys": list(figures),
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, parameters)


def recent(*, since: datetime) -> list[Sample]:
    """Return the samples after ``since`` (UTC), the oldest first."""
    rows = SubscriberSample.objects.filter(taken_at__gt=since).order_by("taken_at")
    return [
        Sample(row.taken_at, {name: Figures(*values) for name, values in row.figures.items()})
        for row in rows
    ]
