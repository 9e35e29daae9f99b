"""The admin pages of parked events, with the actions that retry or skip them."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.http.admin import link, list_url, parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin, user_of
from ordering_read.engine.live import PROJECTIONS
from ordering_read.models import ParkedEvent
from ordering_read.projector import registered
from ordering_read.queries.parked_events import masked_message
from ordering_write.published import parked


class SkipForm(forms.Form):
    """The reason why events are skipped."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autofocus": True}),
        help_text="Recorded with the event, your name and the time.",
    )


class ProjectionFilter(admin.SimpleListFilter):
    """Filters by projection, in any of its generations."""

    title = parameter_name = "projection"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(registered())]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ParkedEvent]
    ) -> QuerySet[ParkedEvent]:
        return queryset.filter(checkpoint__name=self.value()) if self.value() else queryset


class StateFilter(admin.SimpleListFilter):
    """Filters by the state of an event: blocking its stream, waiting, or skipped."""

    title = parameter_name = "state"

    _conditions = {
        "parked": Q(skipped_at=None) & ~Q(category=ParkedEvent.Category.WAITING),
        "waiting": Q(skipped_at=None, category=ParkedEvent.Category.WAITING),
        "skipped": Q(skipped_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("parked", "Blocks its stream"),
            ("waiting", "Waits behind another event"),
            ("skipped", "Skipped"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ParkedEvent]
    ) -> QuerySet[ParkedEvent]:
        return queryset.filter(self._conditions.get(self.value() or "", Q()))


def _shown(request: HttpRequest, column: str) -> str:
    """Return the column that takes the place of ``column`` for users who see no personal data."""
    is_message = column in ("message", "short_message")
    is_masked = is_message and not request.user.has_perm(permissions.VIEW_PII)
    return "masked_message" if is_masked else column


@admin.register(ParkedEvent)
class ParkedEventAdmin(ActingAdmin):
    """The events that projections couldn't apply, and the events that wait behind them."""

    needed_permission = permissions.VIEW_PROJECTIONS
    ordering = ("-id",)
    list_display = (
        "type",
        "stream_events",
        "version",
        "checkpoint",
        "category",
        "short_message",
        "tries",
        "parked_at",
        "skipped_at",
    )
    list_filter = (StateFilter, ProjectionFilter, "category")
    list_select_related = ("checkpoint",)
    sortable_by = ()
    search_fields = ("stream",)
    search_help_text = "A stream, or the id of an event"
    actions = ("retry", "skip")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("type", "event_id", "stream_events", "version", "position")}),
        ("Reason", {"fields": ("checkpoint", "category", "message", "stack")}),
        ("Tries", {"fields": ("parked_at", "tries", "tried_at")}),
        ("Skipped", {"fields": ("skipped_at", "skipped_by", "skip_reason")}),
    )

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        return tuple(_shown(request, column) for column in self.list_display)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return tuple(
            (title, {"fields": [_shown(request, field) for field in options["fields"]]})
            for title, options in self.fieldsets
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ParkedEvent]:
        return parked.parked_events(PROJECTIONS)

    def search(
        self, request: HttpRequest, rows: QuerySet[ParkedEvent], term: str
    ) -> QuerySet[ParkedEvent]:
        if (event_id := parse_uuid(term)) is not None:
            return rows.filter(event_id=event_id)
        return rows.filter(stream=term)

    # --- Columns -------------------------------------------------------------------------------
    @admin.display(description="Stream")
    def stream_events(self, row: ParkedEvent) -> SafeString:
        return link(list_url(ParkedEvent, f"?q={row.stream}"), row.stream)

    @admin.display(description="Message")
    def short_message(self, row: ParkedEvent) -> str:
        return row.message[:200]

    @admin.display(description="Message")
    def masked_message(self, row: ParkedEvent) -> str:
        return masked_message(row.type, row.category, row.message)

    @admin.display(description="Traceback")
    def stack(self, row: ParkedEvent) -> SafeString | None:
        if not row.traceback:
            return None
        return format_html('<pre class="payload">{}</pre>', row.traceback)

    # --- Actions -------------------------------------------------------------------------------
    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.MANAGE_PARKED_EVENTS))

    @admin.action(description="Retry the streams of the selected events", permissions=["manage"])
    def retry(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> None:
        keys = [event.pk for event in self.selected(request, queryset)]
        rows = self.get_queryset(request).filter(pk__in=keys)
        for retried in parked.retry(PROJECTIONS, rows):
            level = messages.ERROR if retried.blocked_by else messages.SUCCESS
            self.message_user(request, str(retried), level)

    @admin.action(description="Skip the selected events…", permissions=["manage"])
    def skip(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> HttpResponse | None:
        if not (events := self.selected(request, queryset)):
            return None
        form = SkipForm(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            return self.page(
                request, "skip_parked_events.html", title="Skip events", events=events, form=form
            )
        reason, by = form.cleaned_data["reason"], permissions.actor_label(user_of(request))
        self.dispatch_each(
            request,
            events,
            lambda event: parked.skip(PROJECTIONS, event, reason=reason, by=by),
            done="skipped",
        )
        return None
