"""How far the policies have come, and what they have yet to do."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, F, Max, Min, Q

from ordering_write import log, subscriptions
from ordering_write.models import Timer
from ordering_write.policies.models import PolicyCheckpoint
from ordering_write.policies.registry import POLICIES


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatus:
    """What one policy has yet to do, in timers: ``waiting`` for their time, ``due`` and not done,
    of these ``failing``, and ``parked`` ones that were given up. ``next_at`` is when the first one
    is due, None without any; ``error`` is one of their failures."""

    name: str
    waiting: int = 0
    due: int = 0
    failing: int = 0
    parked: int = 0
    next_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesStatus:
    """Where the policies stand in the log, and each of them.

    ``lag_seconds`` is the age of the oldest event that they haven't read, 0.0 when there is none.
    ``parked_streams`` are held up by an event that can't be read or that a policy fails over.
    """

    position: int
    head: int
    lag_seconds: float
    error: str
    parked_streams: int
    policies: list[PolicyStatus]

    @property
    def lag_events(self) -> int:
        return max(0, self.head - self.position)


def status() -> PoliciesStatus:
    """How it stands now, with one entry for each policy and for each name that timers were left
    behind by."""
    checkpoint = PolicyCheckpoint.objects.get()
    # Read after the checkpoint, so that it isn't ahead of it.
    head = log.head()
    found = _timers(datetime.now(UTC))
    return PoliciesStatus(
        position=checkpoint.position,
        head=head,
        lag_seconds=subscriptions.lag_seconds([checkpoint.position])[checkpoint.position],
        error=checkpoint.error,
        parked_streams=checkpoint.parked_streams,
        policies=[
            found.get(name) or PolicyStatus(name=name)
            for name in [*POLICIES, *sorted(found.keys() - POLICIES.keys())]
        ],
    )


def _timers(now: datetime) -> dict[str, PolicyStatus]:
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
