"""The actions that policies have given up: operators list them, retry or skip them.

These are the parked timers, and the events on which a policy fails before it can set a timer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import connection

from ordering_write.models import Timer
from ordering_write.policies import timers
from ordering_write.policies.models import PolicyParkedEvent
from ordering_write.policies.subscription import SUBSCRIPTION
from ordering_write.subscriptions import SubscriberStatus, parked
from ordering_write.subscriptions.status import measure_beside

# Each has a partial index, which is empty while nothing is given up.
_GIVEN_UP = """
WITH given_up AS (
    SELECT id, parked_at FROM policy_timer WHERE parked_at IS NOT NULL AND skipped_at IS NULL
    UNION ALL
    SELECT id, parked_at FROM policy_parked_event
    WHERE skipped_at IS NULL AND category <> 'waiting'
)
{}
"""
_COUNT = _GIVEN_UP.format("SELECT count(*), min(parked_at) FROM given_up")
_AS_JSON = _GIVEN_UP.format("SELECT json_build_array(count(*), min(parked_at)) FROM given_up")
_PAGE = _GIVEN_UP.format("SELECT id FROM given_up ORDER BY parked_at, id LIMIT %s OFFSET %s")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """An action that a policy no longer tries.

    ``policy`` is empty for an event on which all policies wait. ``skip_id`` is the id that
    ``skip`` takes, ``event_type`` the type of the event, empty for a timer.
    """

    id: UUID
    skip_id: UUID
    policy: str
    stream: str
    event_type: str
    error: str
    tries: int
    parked_at: datetime


class Count(NamedTuple):
    """The number of actions that were given up, and since when the oldest is (UTC)."""

    number: int
    oldest: datetime | None


def count() -> Count:
    """Return how many actions were given up."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT)
        return Count(*cursor.fetchone())


def count_and_measure(rows: Sequence[Any]) -> tuple[list[SubscriberStatus], Count]:
    """Return ``subscriptions.measure`` of ``rows``, and ``count``, by one query."""
    statuses, value = measure_beside(rows, f"({_AS_JSON})")
    if value is None:
        return statuses, count()
    number, oldest = json.loads(value) if isinstance(value, str) else value
    return statuses, Count(number, oldest and datetime.fromisoformat(oldest))


def listed(*, offset: int = 0, limit: int) -> Sequence[GivenUp]:
    """Return ``limit`` of the actions that were given up, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, [limit, offset])
        keys = [key for (key,) in cursor.fetchall()]
    return found(keys)


def found(keys: Sequence[UUID]) -> Sequence[GivenUp]:
    """Return the actions with these ids that are still given up, the oldest first."""
    actions = [_of_timer(timer) for timer in timers.parked_timers().filter(pk__in=keys)]
    events = parked.blocking_events(SUBSCRIPTION).filter(pk__in=keys)
    actions += [_of_event(event) for event in events]
    return sorted(actions, key=lambda action: (action.parked_at, action.id))


def retry(keys: Sequence[UUID]) -> int:
    """Let timers fire again, and apply the streams of parked events again.

    Returns how many of the actions ``keys`` are no longer given up. Timers fire in the next run of
    the policies.
    """
    before = len(found(keys))
    timers.retry_parked(keys)
    parked.retry(SUBSCRIPTION, parked.blocking_events(SUBSCRIPTION).filter(pk__in=keys))
    return before - len(found(keys))


def _of_timer(timer: Timer) -> GivenUp:
    return GivenUp(
        id=timer.pk,
        skip_id=timer.pk,
        policy=timer.policy,
        stream=timer.stream,
        event_type="",
        error=timer.error,
        tries=timer.tries,
        parked_at=cast(datetime, timer.parked_at),
    )


def _of_event(event: PolicyParkedEvent) -> GivenUp:
    return GivenUp(
        id=event.pk,
        skip_id=event.event_id,
        policy="",
        stream=event.stream,
        event_type=event.type,
        error=event.message,
        tries=event.tries,
        parked_at=event.parked_at,
    )
