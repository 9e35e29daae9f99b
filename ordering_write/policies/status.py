"""The status of the policies: their position in the log, and their timers."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, F, Max, Min, Q

from ordering_write.models import Timer
from ordering_write.policies.registry import POLICIES
from ordering_write.policies.subscription import SUBSCRIPTION
from ordering_write.subscriptions import SubscriberStatus


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
