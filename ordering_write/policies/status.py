"""The status of the policies: their position in the log, and their timers."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Count, F, Max, Min, Q

from ordering_write.models import Timer
from ordering_write.policies.registry import POLICIES
from ordering_write.policies.subscription import SUBSCRIPTION
from ordering_write.subscriptions import SubscriberStatus

# The timers that ``upcoming`` counts: thousands may wait for their time.
UPCOMING = 1_000

_UPCOMING = """
SELECT policy, count(*) FILTER (WHERE due_at > now()), count(*) FILTER (WHERE due_at <= now()),
       count(*) FILTER (WHERE error <> ''), 0, min(due_at), max(error)
FROM (
    SELECT policy, due_at, error FROM policy_timer
    WHERE parked_at IS NULL ORDER BY due_at LIMIT %s
) next GROUP BY policy
UNION ALL
SELECT policy, 0, 0, 0, count(*), NULL, max(error) FROM policy_timer
WHERE parked_at IS NOT NULL AND skipped_at IS NULL GROUP BY policy
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatus:
    """The timers of one policy, counted by state.

    ``waiting`` timers aren't due yet, ``due`` timers aren't done yet, ``failing`` timers have
    failed and will be tried again, ``parked`` timers had too many tries. ``next_at`` (UTC) is the
    time of the next timer, None without any; ``error`` is one of the failures.
    """

    name: str
    waiting: int = 0
    due: int = 0
    failing: int = 0
    parked: int = 0
    next_at: datetime | None = None
    error: str = ""


def status() -> SubscriberStatus:
    """Return where the policies stand in the log, all of them together."""
    [subscriber_status] = SUBSCRIPTION.statuses()
    return subscriber_status


def policy_statuses() -> list[PolicyStatus]:
    """Return the status of each policy, and of removed policies that left timers behind."""
    statuses = _by_policy(datetime.now(UTC))
    removed = sorted(statuses.keys() - POLICIES.keys())
    return [statuses.get(name) or PolicyStatus(name=name) for name in [*POLICIES, *removed]]


def upcoming() -> list[PolicyStatus]:
    """Return the status of each policy like ``policy_statuses``, but of the next timers only.

    Counts at most UPCOMING timers that aren't parked, those that are due first; one statement.
    """
    names = ("waiting", "due", "failing", "parked", "next_at", "error")
    fields: dict[str, dict[str, Any]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_UPCOMING, [UPCOMING])
        for policy, *values in cursor.fetchall():
            given = {name: value for name, value in zip(names, values, strict=True) if value}
            fields[policy] |= given
    removed = sorted(fields.keys() - POLICIES.keys())
    return [PolicyStatus(name=name, **fields[name]) for name in [*POLICIES, *removed]]


def _by_policy(now: datetime) -> dict[str, PolicyStatus]:
    not_parked = Q(parked_at=None)
    rows = (
        Timer.objects.filter(skipped_at=None)
        .values(name=F("policy"))
        .annotate(
            waiting=Count("pk", filter=not_parked & Q(due_at__gt=now)),
            due=Count("pk", filter=not_parked & Q(due_at__lte=now)),
            failing=Count("pk", filter=not_parked & ~Q(error="")),
            parked=Count("pk", filter=~not_parked),
            next_at=Min("due_at", filter=not_parked),
            error=Max("error"),
        )
    )
    return {row["name"]: PolicyStatus(**row) for row in rows}
