"""What the shop does by itself, when something has happened or when its time has come.

The policies follow the log like projections do, but never from its beginning: a new one leaves
alone what has happened before. Nothing is done while an event is read. A timer is set, in the
transaction that moves the checkpoint, and what is due is done from the timers: at least once, by
commands that take effect once.
"""

from ordering_write.policies.following import (
    due,
    keep_checkpoint,
    keep_checkpoint_after_migrate,
    parked,
    retry,
    run,
    set_timers,
    skip,
    skipped,
)
from ordering_write.policies.registry import POLICIES
from ordering_write.policies.status import PoliciesStatus, PolicyStatus, status
from ordering_write.policies.timers import parked as parked_timers
from ordering_write.policies.timers import run_due

__all__ = [
    "POLICIES",
    "PoliciesStatus",
    "PolicyStatus",
    "due",
    "keep_checkpoint",
    "keep_checkpoint_after_migrate",
    "parked",
    "parked_timers",
    "retry",
    "run",
    "run_due",
    "set_timers",
    "skip",
    "skipped",
    "status",
]
