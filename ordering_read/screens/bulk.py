"""The pages of bulk actions: the question, the progress and the summary of a job."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.admin import list_url, page_url
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.admin.gaps import incomplete_named
from ordering_read.engine.gaps import row_gaps
from ordering_read.models import OrderSummary
from ordering_read.queries.bulk import (
    BulkItemView,
    BulkJobView,
    BulkStage,
    GetBulkJob,
    ListBulkJobs,
)
from ordering_read.screens.base import Screen
from ordering_write import client
from ordering_write.published import NotFoundError

# Seconds between two looks at a job that is being checked or carried out.
_REFRESH_SECONDS = 2
_STAGES = {
    BulkStage.CHECKING: "being checked",
    BulkStage.ASKING: "waits for your answer",
    BulkStage.RUNNING: "at work",
    BulkStage.FINISHED: "finished",
}


class BulkJobsScreen(Screen):
    """The last bulk actions of the user."""

    template_name = "screens/bulk_jobs.html"
    title = "Bulk actions"
    needed_permission = permissions.VIEW_ORDERS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        jobs = self.ask(ListBulkJobs(user_id=user_of(self.request).pk))
        return super().get_context_data(jobs=[(_STAGES[job.stage], job) for job in jobs], **kwargs)


class BulkJobScreen(Screen):
    """One bulk action of the user, and the answers to its question."""

    template_name = "screens/bulk_job.html"
    title = "Bulk action"
    needed_permission = permissions.VIEW_ORDERS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        job = self._job(kwargs.pop("job_id"))
        return super().get_context_data(
            title=job.title,
            job=job,
            refresh=_REFRESH_SECONDS if job.is_at_work else None,
            refused=[_row(item) for item in job.items_with("refused", "failed")],
            done=[_row(item) for item in job.items_with("done")],
            unchanged=[_row(item) for item in job.items_with("unchanged")],
            unshown=list(_unshown(job.items_with("done"))),
            orders_url=list_url(OrderSummary),
            **kwargs,
        )

    def post(self, request: HttpRequest, *, job_id: UUID) -> HttpResponse:
        """Confirm or discard the job."""
        self._job(job_id)
        user = user_of(request)
        if "confirm" in request.POST:
            client.bulk.confirm(job_id, user=user)
        elif client.bulk.discard(job_id, user=user):
            messages.info(request, "Nothing was changed.")
            return redirect(list_url(OrderSummary))
        return redirect("screens:bulk-action", job_id)

    def _job(self, job_id: UUID) -> BulkJobView:
        try:
            return self.ask(GetBulkJob(user_id=user_of(self.request).pk, job_id=job_id))
        except NotFoundError as error:
            raise Http404 from error


def _row(item: BulkItemView) -> tuple[str, BulkItemView]:
    return page_url(OrderSummary, item.order_id), item


def _unshown(items: Sequence[BulkItemView]) -> Iterator[str]:
    """Yield a sentence for each of ``items`` whose effect the pages of orders don't show yet."""
    name = OrderSummary.projection_name
    rows = [{name: [f"order-{item.order_id}"]} for item in items]
    for item, gap in zip(items, row_gaps(incomplete_named([name]), rows), strict=True):
        if gap:
            yield f"{item.order_number}: accepted, but {gap.detail}"
