"""The policies: actions that the shop takes by itself, after an event or at a time.

The policies follow the log like projections, but never from its beginning: a new policy ignores
older events. An event only sets timers, in the transaction that moves the checkpoint. Due timers
are fired at least once, by commands that take effect once.
"""

from ordering_write.policies import given_up
from ordering_write.policies.registry import POLICIES, label_of
from ordering_write.policies.status import (
    UPCOMING,
    PolicyStatus,
    policy_statuses,
    status,
    upcoming,
)
from ordering_write.policies.subscription import (
    SUBSCRIPTION,
    parked_events,
    retry,
    skip,
    skipped,
)
from ordering_write.policies.timers import parked_timers, run_due

__all__ = [
    "POLICIES",
    "SUBSCRIPTION",
    "UPCOMING",
    "PolicyStatus",
    "given_up",
    "label_of",
    "parked_events",
    "parked_timers",
    "policy_statuses",
    "retry",
    "run_due",
    "skip",
    "skipped",
    "status",
    "upcoming",
]
