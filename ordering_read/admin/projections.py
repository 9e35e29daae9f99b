"""The admin pages of the projections: their progress and errors, and actions to rebuild them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ordering_read import permissions
from ordering_read.admin import banner
from ordering_read.admin.base import ActingAdmin
from ordering_read.engine import status
from ordering_read.engine.status import ProjectionStatus
from ordering_read.models import Projection


class _ProjectionPage(ChangeList):
    """Reads the status of all projections once for the whole page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = _with_status(self.result_list)


def _with_status(rows: Any) -> list[Projection]:
    """Set ``live_status`` on each row: its status, or None for a generation that isn't live."""
    measured = status.measured_generations()
    # The banner of the page needs the same figures.
    banner.note(measured.statuses, measured.given_up)
    live_statuses = {(live.name, live.generation): live for live in measured.statuses}
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


def _question(label: str, url_name: str) -> Callable[..., HttpResponse]:
    """Return an action that leads to a screen which asks before it acts."""

    @admin.action(description=label, permissions=["rebuild"])
    def action(
        _page: ActingAdmin, request: HttpRequest, queryset: QuerySet[Projection]
    ) -> HttpResponse:
        names = sorted(set(queryset.values_list("name", flat=True)))
        query = urlencode([("projection", name) for name in names])
        return redirect(f"{reverse(f'screens:{url_name}')}?{query}")

    return action


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
    actions = (
        "rebuild",
        "verify",
        "promote",
        "pause",
        "resume",
        "cancel",
        "roll_back",
        "discard",
    )
    rebuild = _question("Rebuild…", "rebuild")
    verify = _question("Compare with the log…", "verify")
    promote = _question("Let a complete rebuild take over…", "promote")
    pause = _question("Pause the rebuild…", "pause")
    resume = _question("Resume the rebuild…", "resume")
    cancel = _question("Cancel the rebuild…", "cancel")
    roll_back = _question("Roll back to the former generation…", "roll-back")
    discard = _question("Discard the former generation…", "discard")
    fieldsets = (
        (None, {"fields": ("name", "generation", "version", "state")}),
        ("Progress", {"fields": ("position", "head", "lag_events", "lag_seconds", "updated_at")}),
        (
            "Rebuild",
            {"fields": ("rebuild_state", "events_done", "events_total", "rebuild_request")},
        ),
        ("Comparison", {"fields": ("verified_at", "verification", "wrong_rows")}),
        ("Errors and lease", {"fields": ("whole_error", "failed_at", "late_at", "leased_until")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Projection]:
        # A further slice is a part of its generation.
        rows: QuerySet[Projection] = super().get_queryset(request)
        return rows.filter(owner=None)

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
