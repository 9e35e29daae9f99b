"""How far the policies have come, and what they have yet to do."""

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

    ``waiting`` for their time, ``due`` and not done, of these ``failing``, and ``parked`` after too
    many tries. ``next_at`` (UTC) is when the first of them is due, None without any; ``error`` is
    one of their failures.
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
    [one_for_all] = SUBSCRIPTION.statuses()
    return one_for_all


def policy_statuses() -> list[PolicyStatus]:
    """Return the status of each policy, and of removed policies that left timers behind."""
    stored = _by_policy(datetime.now(UTC))
    removed = sorted(stored.keys() - POLICIES.keys())
    return [stored.get(name) or PolicyStatus(name=name) for name in [*POLICIES, *removed]]


def _by_policy(now: datetime) -> dict[str, PolicyStatus]:
    at_work = Q(parked_at=None)
    rows = (
        Timer.objects.filter(skipped_at=None)
        .values(name=F("policy"))
        .annotate(
            waiting=Count("pk", filter=at_work & Q(due_at__gt=now)),
            due=Count("pk", filter=at_work & Q(due_at__lte=now)),
            failing=Count("pk", filter=at_work & ~Q(error="")),
            parked=Count("pk", filter=~at_work),
            next_at=Min("due_at", filter=at_work),
            error=Max("error"),
        )
    )
    return {row["name"]: PolicyStatus(**row) for row in rows}
