"""Bulk jobs: commands about many orders, checked by dry runs, then given one by one."""

from ordering_write.bulk.jobs import (
    MOST_ITEMS,
    ItemDraft,
    Step,
    confirm,
    discard,
    job_of,
    jobs_of,
    prune,
    start,
    started,
)
from ordering_write.bulk.running import enqueue, run_waiting

__all__ = [
    "MOST_ITEMS",
    "ItemDraft",
    "Step",
    "confirm",
    "discard",
    "enqueue",
    "job_of",
    "jobs_of",
    "prune",
    "run_waiting",
    "start",
    "started",
]
