"""The admin pages of the projections: how far they are, what holds them up, and rebuilding them."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.tasks import async_task

from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin
from ordering_read.engine import control, generations, status
from ordering_read.engine.status import ProjectionStatus
from ordering_read.models import Projection

# How long a click waits, so that a person sees the rebuild begin and a quick one end.
_WAIT_SECONDS = 2.0
_SECONDS_BETWEEN_LOOKS = 0.05
# A long log takes its time.
_LONGEST_SECONDS = 24 * 3600

# What is asked before rows are deleted.
_QUESTIONS = {
    "cancel": {
        "title": "Cancel the rebuild",
        "question": "What the rebuild has made is deleted; the rows that are served stay.",
        "yes": "Cancel the rebuild",
        "no": "Let it go on",
    },
    "discard": {
        "title": "Discard the former generation",
        "question": "The rows that were served before the last rebuild are deleted: there is no "
        "rolling back to them. The rows that are served stay.",
        "yes": "Delete the former rows",
        "no": "Keep them",
    },
}


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
    actions = ("rebuild", "pause", "resume", "cancel", "roll_back", "discard")
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

    @admin.action(description="Pause the rebuild", permissions=["rebuild"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        self._on_each(request, queryset, control.pause, "the rebuild waits after its batch.")

    @admin.action(description="Resume the rebuild", permissions=["rebuild"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        for name in self._on_each(request, queryset, control.resume, "the rebuild goes on."):
            # For one whose process was killed; one that runs refuses a second one.
            _enqueue("rebuild", name)

    @admin.action(description="Cancel the rebuild…", permissions=["rebuild"])
    def cancel(
        self, request: HttpRequest, queryset: QuerySet[Projection]
    ) -> TemplateResponse | None:
        if not _is_confirmed(request):
            return self._ask(request, queryset, "cancel")
        told = "the rebuild ends after its batch; its rows are deleted."
        for name in self._on_each(request, queryset, control.ask_to_cancel, told):
            # For one whose process was killed: rows are many, and a page mustn't wait for them.
            _enqueue("cancel_rebuild", name)
        return None

    @admin.action(description="Roll back to the former generation", permissions=["rebuild"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        self._on_each(
            request, queryset, generations.roll_back, "the former generation is served again."
        )

    @admin.action(description="Discard the former generation…", permissions=["rebuild"])
    def discard(
        self, request: HttpRequest, queryset: QuerySet[Projection]
    ) -> TemplateResponse | None:
        if not _is_confirmed(request):
            return self._ask(request, queryset, "discard")
        told = "the former generation is being deleted."
        for name in self._on_each(request, queryset, generations.former, told):
            _enqueue("discard_former", name)
        return None

    def _on_each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Projection],
        act: Callable[[str], object],
        told: str,
    ) -> list[str]:
        """Act on each chosen projection and tell what came of it; returns those on which it did."""
        done = []
        for name in _names(queryset):
            try:
                act(name)
            except generations.GenerationError as error:
                self.message_user(request, f"Projection {name}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"Projection {name}: {told}", messages.SUCCESS)
                done.append(name)
        return done

    def _ask(
        self, request: HttpRequest, queryset: QuerySet[Projection], action: str
    ) -> TemplateResponse:
        """A page that asks whether rows are really to be deleted."""
        context = {
            **self.admin_site.each_context(request),
            **_QUESTIONS[action],
            "opts": self.opts,
            "action": action,
            "chosen": queryset,
            "names": _names(queryset),
        }
        return TemplateResponse(request, "admin/ordering_read/confirm_projections.html", context)

    @admin.action(description="Rebuild the selected projections", permissions=["rebuild"])
    def rebuild(self, request: HttpRequest, queryset: QuerySet[Projection]) -> None:
        names = _names(queryset)
        before = _newest(names)
        _enqueue("rebuild", *names)
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


def _names(queryset: QuerySet[Projection]) -> list[str]:
    return sorted(set(queryset.values_list("name", flat=True)))


def _is_confirmed(request: HttpRequest) -> bool:
    return "confirmed" in request.POST


def _enqueue(task: str, *names: str) -> None:
    async_task(f"{settings.WORKER_TASKS}.{task}", *names, save=False, timeout=_LONGEST_SECONDS)


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
