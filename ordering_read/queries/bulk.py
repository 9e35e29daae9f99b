"""Queries for the bulk jobs of a user, which the write side keeps."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.views import View
from ordering_write import published

# Between two turns of the workers, no process is at a job for a moment.
_PAUSE = timedelta(seconds=10)


class BulkStage(StrEnum):
    """The state of a bulk job, as its page shows it."""

    CHECKING = "checking"
    ASKING = "asking"
    RUNNING = "running"
    FINISHED = "finished"


class BulkItemView(View):
    """One order of a bulk job; ``reason`` says why its command was refused or failed."""

    order_id: UUID
    order_number: str
    outcome: str
    reason: str


class BulkJobView(View):
    """A bulk job; its ``items`` are empty in lists of jobs.

    ``is_paused`` is True if no process has been at a job with work left for some seconds.
    """

    id: UUID
    title: str
    created_at: datetime
    stage: BulkStage
    is_paused: bool
    items: tuple[BulkItemView, ...] = ()

    @property
    def is_at_work(self) -> bool:
        """True while orders are being checked or changed."""
        return self.stage in (BulkStage.CHECKING, BulkStage.RUNNING)

    @property
    def checked(self) -> int:
        """The number of items that a dry run has checked."""
        return len(self.items) - self.counts[""]

    @property
    def ended(self) -> int:
        """The number of items that need no further command."""
        return self.checked - self.counts["ready"]

    @property
    def counts(self) -> Counter[str]:
        """The number of items by outcome; "" counts those that aren't checked."""
        return Counter(item.outcome for item in self.items)

    def items_with(self, *outcomes: str) -> Sequence[BulkItemView]:
        """Return the items with one of ``outcomes``."""
        return [item for item in self.items if item.outcome in outcomes]


class GetBulkJob(Query[BulkJobView]):
    """Return a bulk job of a user with all its items."""

    user_id: UUID
    job_id: UUID


class ListBulkJobs(Query[tuple[BulkJobView, ...]]):
    """List the last bulk jobs of a user, the newest first, without their items."""

    user_id: UUID
    count: int = 50


@handles(GetBulkJob)
class GetBulkJobHandler(QueryHandler[GetBulkJob, BulkJobView]):
    """Reads the job in one statement, and its items, at most 500, in another."""

    def handle(self, query: GetBulkJob) -> BulkJobView:
        job = published.bulk_job(query.job_id, user_id=query.user_id)
        return _view(job, tuple(job.items.all()))


@handles(ListBulkJobs)
class ListBulkJobsHandler(QueryHandler[ListBulkJobs, tuple[BulkJobView, ...]]):
    """Reads the jobs in one statement."""

    def handle(self, query: ListBulkJobs) -> tuple[BulkJobView, ...]:
        return tuple(_view(job) for job in published.bulk_jobs(query.user_id)[: query.count])


def _view(job: Any, items: Sequence[Any] = ()) -> BulkJobView:
    stage = _stage(job)
    has_work = stage in (BulkStage.CHECKING, BulkStage.RUNNING)
    is_left = job.leased_until < datetime.now(UTC) - _PAUSE
    return BulkJobView.model_validate(
        {
            "id": job.id,
            "title": job.title,
            "created_at": job.created_at,
            "stage": stage,
            "is_paused": has_work and is_left,
            "items": items,
        }
    )


def _stage(job: Any) -> BulkStage:
    if job.finished_at:
        return BulkStage.FINISHED
    if job.confirmed_at:
        return BulkStage.RUNNING
    return BulkStage.ASKING if job.checked_at else BulkStage.CHECKING
