"""The admin pages of the projections: how far they are, what holds them up, and rebuilding them."""

import time
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.tasks import async_task

from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin
from ordering_read.engine import status
from ordering_read.engine.status import ProjectionStatus
from ordering_read.models import Projection

# How long a click waits, so that a person sees the rebuild begin and a quick one end.
_WAIT_SECONDS = 2.0
_SECONDS_BETWEEN_LOOKS = 0.05
# A long log takes its time.
_REBUILD_SECONDS = 24 * 3600


class _ProjectionPage(ChangeList):
    """Asks once how far all projections are."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = _with_status(self.result_list)


def _with_status(rows: Any) -> list[Projection]:
    known = {(one.name, one.generation): one for one in status.statuses()}
    rows = list(rows)
    for row in rows:
        row.progress = known.get((row.name, row.generation))
    return rows


def _progress(row: Any) -> ProjectionStatus | None:
    """What ``_with_status`` has found; None for a generation that isn't live."""
    progress: ProjectionStatus | None = row.progress
    return progress


@admin.register(Projection)
class ProjectionAdmin(ActingAdmin):
    """Each generation of each projection: its checkpoint, and how far behind the log that is."""

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
        "filled",
        "last_error",
        "updated_at",
    )
    list_filter = ("status",)
    search_fields = ("name",)
    sortable_by = ()
    actions = ("rebuild",)
    fieldsets = (
        (None, {"fields": ("name", "generation", "version", "state")}),
        ("Progress", {"fields": ("position", "head", "lag_events", "lag_seconds", "updated_at")}),
        ("Rebuild", {"fields": ("filled", "events_done", "events_total", "asked_to")}),
        ("Trouble", {"fields": ("whole_error", "failed_at", "late_at", "leased_until")}),
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
        seen = status.workers_seen()
        workers = "Workers are at it." if seen else "No workers are seen: nothing moves."
        return super().changelist_view(request, {"workers": workers, **(extra_context or {})})

    # --- What is shown -------------------------------------------------------------------------
    @admin.display(description="Status")
    def state(self, row: Projection) -> str:
        progress = _progress(row)
        return progress.status if progress else row.status

    @admin.display(description="Head")
    def head(self, row: Projection) -> int | None:
        progress = _progress(row)
        return progress.head if progress else None

    @admin.display(description="Events late")
    def lag_events(self, row: Projection) -> int | None:
        progress = _progress(row)
        return progress.lag_events if progress else None

    @admin.display(description="Seconds late")
    def lag_seconds(self, row: Projection) -> str | None:
        progress = _progress(row)
        return f"{progress.lag_seconds:.1f}" if progress else None

    @admin.display(description="Rebuild")
    def filled(self, row: Projection) -> str | None:
        if row.status != Projection.Status.BUILDING:
            return None
        progress = status.rebuild_progress(row)
        shown = f"{progress.events_done:,} of {progress.events_total:,} events"
        if progress.seconds_left is None:
            return shown
        return (
            f"{shown}, {progress.events_per_second:,.0f} a second, "
            f"{progress.seconds_left:,.0f} s left"
        )

    @admin.display(description="Last error")
    def last_error(self, row: Projection) -> str:
        return row.error.partition("\n")[0][:200]

    @admin.display(description="Last error")
    def whole_error(self, row: Projection) -> SafeString | None:
        return format_html('<pre class="payload">{}</pre>', row.error) if row.error else None

    # --- What can be done ----------------------------------------------------------------------
    def has_rebuild_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.REBUILD_PROJECTIONS))

    @admin.action(description="Rebuild the selected projections", permissions=["rebuild"])
    def rebuild(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        names = sorted(set(queryset.values_list("name", flat=True)))
        before = _newest(names)
        async_task("ordering_read.tasks.rebuild", *names, save=False, timeout=_REBUILD_SECONDS)
        for name, newest in _started(names, before).items():
            if newest.generation == before[name].generation:
                text = f"Projection {name}: the rebuild is queued; it starts when a worker is free."
                self.message_user(request, text, messages.WARNING)
            elif newest.status == Projection.Status.LIVE:
                text = f"Projection {name}: rebuilt; generation {newest.generation} is live."
                self.message_user(request, text, messages.SUCCESS)
            else:
                text = f"Projection {name}: generation {newest.generation} is being built."
                self.message_user(request, text, messages.INFO)


def _newest(names: Collection[str]) -> dict[str, Projection]:
    """The newest generation of each projection."""
    rows = Projection.objects.filter(name__in=names).order_by("name", "generation")
    return {row.name: row for row in rows}


def _started(names: Collection[str], before: Mapping[str, Projection]) -> dict[str, Projection]:
    """The newest generations, once all that come after ``before`` are live or time is over."""
    ends_at = time.monotonic() + _WAIT_SECONDS
    while True:
        newest = _newest(names)
        rebuilt = [
            row.generation > before[name].generation and row.status == Projection.Status.LIVE
            for name, row in newest.items()
        ]
        if all(rebuilt) or time.monotonic() > ends_at:
            return newest
        time.sleep(_SECONDS_BETWEEN_LOOKS)
