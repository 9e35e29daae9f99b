"""The admin pages of the projections: their progress and errors, and actions to rebuild them."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.tasks import async_task

from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin
from ordering_read.engine import control, generations, status
from ordering_read.engine.status import ProjectionStatus
from ordering_read.models import Projection

# Seconds that a click waits for a rebuild, so that the next page can show the end of a quick one.
_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.05
# A rebuild from a long log takes hours.
_TASK_TIMEOUT_SECONDS = 24 * 3600

# The pages that ask for a confirmation before a task deletes rows.
_CONFIRMATIONS = {
    "cancel": {
        "title": "Cancel the rebuild",
        "question": "The rows of the unfinished rebuild are deleted. The live rows stay.",
        "yes": "Cancel the rebuild",
        "no": "Continue the rebuild",
        "task": "cancel_rebuild",
    },
    "discard": {
        "title": "Discard the former generation",
        "question": "The rows from before the last rebuild are deleted. You can't roll back to "
        "them afterwards. The live rows stay.",
        "yes": "Delete the former rows",
        "no": "Keep the former rows",
        "task": "discard_former",
    },
}


class _ProjectionPage(ChangeList):
    """Reads the status of all projections once for the whole page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = _with_status(self.result_list)


def _with_status(rows: Any) -> list[Projection]:
    """Set ``live_status`` on each row: its status, or None for a generation that isn't live."""
    live_statuses = {(live.name, live.generation): live for live in status.statuses()}
    rows = list(rows)
    for row in rows:
        row.live_status = live_statuses.get((row.name, row.generation))
    return rows


def _status_column(
    label: str, value: Callable[[ProjectionStatus], object]
) -> Callable[[Any, Any], object]:
    """Return a column of a projection's status, which is empty for generations that aren't live."""

    @admin.display(description=label)
    def column(_page: ActingAdmin, row: Any) -> object:
        return value(row.live_status) if row.live_status else None

    return column


@admin.register(Projection)
class ProjectionAdmin(ActingAdmin):
    """The generations of all projections, with their checkpoints and lags."""

    needed_permission = permissions.VIEW_PROJECTIONS
    ordering = ("name", "-generation")
    list_display = (
        "name",
        "generation",
        "state",
        "position",
        "head",
        "lag_events",
        "lag_seconds",
        "parked_streams",
        "rebuild_state",
        "last_error",
        "updated_at",
    )
    list_filter = ("status",)
    search_fields = ("name",)
    sortable_by = ()
    actions = ("rebuild", "pause", "resume", "cancel", "roll_back", "discard")
    fieldsets = (
        (None, {"fields": ("name", "generation", "version", "state")}),
        ("Progress", {"fields": ("position", "head", "lag_events", "lag_seconds", "updated_at")}),
        (
            "Rebuild",
            {"fields": ("rebuild_state", "events_done", "events_total", "rebuild_request")},
        ),
        ("Errors and lease", {"fields": ("whole_error", "failed_at", "late_at", "leased_until")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _ProjectionPage

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Model | None:
        row = super().get_object(request, object_id, from_field)
        return None if row is None else _with_status([row])[0]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        workers = (
            "Workers are running."
            if status.workers_seen()
            else "No worker is running: projections are not being updated."
        )
        return super().changelist_view(request, {"workers": workers, **(extra_context or {})})

    # --- Columns -------------------------------------------------------------------------------
    @admin.display(description="Status")
    def state(self, row: Any) -> str:
        return str(row.live_status.status if row.live_status else row.status)

    head = _status_column("Head", lambda status: status.head)
    lag_events = _status_column("Events behind", lambda status: status.lag_events)
    lag_seconds = _status_column("Seconds behind", lambda status: f"{status.lag_seconds:.1f}")

    @admin.display(description="Rebuild")
    def rebuild_state(self, row: Projection) -> str | None:
        if row.status != Projection.Status.BUILDING:
            return None
        progress = status.rebuild_progress(row)
        text = f"{progress.events_done:,} of {progress.events_total:,} events"
        if progress.seconds_left is None:
            return text
        return (
            f"{text}, {progress.events_per_second:,.0f} a second, "
            f"{progress.seconds_left:,.0f} s left"
        )

    @admin.display(description="Last error")
    def last_error(self, row: Projection) -> str:
        return row.error.partition("\n")[0][:200]

    @admin.display(description="Last error")
    def whole_error(self, row: Projection) -> SafeString | None:
        return format_html('<pre class="payload">{}</pre>', row.error) if row.error else None

    # --- Actions -------------------------------------------------------------------------------
    def has_rebuild_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.REBUILD_PROJECTIONS))

    @admin.action(description="Pause the rebuild", permissions=["rebuild"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        self._apply(request, queryset, control.pause, "the rebuild pauses after its current batch.")

    @admin.action(description="Resume the rebuild", permissions=["rebuild"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        for name in self._apply(request, queryset, control.resume, "the rebuild resumes."):
            # Start a rebuild, in case its process was killed. If it still runs, this is refused.
            _enqueue("rebuild", name)

    @admin.action(description="Cancel the rebuild…", permissions=["rebuild"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Projection]) -> HttpResponse | None:
        done = "the rebuild ends after its current batch, and its rows are deleted."
        return self._delete(request, queryset, "cancel", control.request_cancel, done)

    @admin.action(description="Roll back to the former generation", permissions=["rebuild"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        done = "the former generation is live again."
        self._apply(request, queryset, generations.roll_back, done)

    @admin.action(description="Discard the former generation…", permissions=["rebuild"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Projection]) -> HttpResponse | None:
        done = "the former generation is being deleted."
        return self._delete(request, queryset, "discard", generations.former, done)

    def _apply(
        self,
        request: HttpRequest,
        queryset: QuerySet[Projection],
        act: Callable[[str], object],
        done: str,
    ) -> list[str]:
        """Call ``act`` for each selected projection, and show a message for each result.

        Returns the names of the projections for which ``act`` succeeded.
        """
        names = []
        for name in _names(queryset):
            try:
                act(name)
            except generations.GenerationError as error:
                self.message_user(request, f"Projection {name}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"Projection {name}: {done}", messages.SUCCESS)
                names.append(name)
        return names

    def _delete(
        self,
        request: HttpRequest,
        queryset: QuerySet[Projection],
        action: str,
        act: Callable[[str], object],
        done: str,
    ) -> HttpResponse | None:
        """Ask for a confirmation, then call ``act`` and let a worker delete the rows.

        Deleting takes too long for a request. The worker is needed even for the rows of a rebuild,
        which deletes them itself unless its process was killed.
        """
        confirmation = _CONFIRMATIONS[action]
        if "confirmed" not in request.POST:
            context = {"action": action, "rows": queryset, "names": _names(queryset)}
            return self.page(request, "confirm_projections.html", **confirmation, **context)
        for name in self._apply(request, queryset, act, done):
            _enqueue(confirmation["task"], name)
        return None

    @admin.action(description="Rebuild the selected projections", permissions=["rebuild"])
    def rebuild(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        names = _names(queryset)
        before = _newest(names)
        _enqueue("rebuild", *names)
        for name, newest in _wait_for_rebuilds(names, before).items():
            if newest.generation == before[name].generation:
                text = f"Projection {name}: the rebuild is queued until a worker is free."
                self.message_user(request, text, messages.WARNING)
            elif newest.status == Projection.Status.LIVE:
                text = f"Projection {name}: rebuilt; generation {newest.generation} is live."
                self.message_user(request, text, messages.SUCCESS)
            else:
                text = f"Projection {name}: generation {newest.generation} is being built."
                self.message_user(request, text, messages.INFO)


def _names(queryset: QuerySet[Projection]) -> list[str]:
    return sorted(set(queryset.values_list("name", flat=True)))


def _enqueue(task: str, *names: str) -> None:
    async_task(f"{settings.WORKER_TASKS}.{task}", *names, save=False, timeout=_TASK_TIMEOUT_SECONDS)


def _newest(names: Collection[str]) -> dict[str, Projection]:
    """Return the newest generation of each projection, by name."""
    rows = Projection.objects.filter(name__in=names).order_by("name", "generation")
    return {row.name: row for row in rows}


def _wait_for_rebuilds(
    names: Collection[str], before: Mapping[str, Projection]
) -> dict[str, Projection]:
    """Wait until newer generations than ``before`` are live, or _WAIT_SECONDS have passed.

    Returns the newest generation of each projection, by name.
    """
    ends_at = time.monotonic() + _WAIT_SECONDS
    while True:
        newest = _newest(names)
        rebuilt = [
            row.generation > before[name].generation and row.status == Projection.Status.LIVE
            for name, row in newest.items()
        ]
        if all(rebuilt) or time.monotonic() > ends_at:
            return newest
        time.sleep(_POLL_SECONDS)
