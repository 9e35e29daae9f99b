"""The admin pages of parked events: trying them again, skipping them."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.accounts.models import User
from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin, link, list_of, uuid_in
from ordering_read.engine import parking
from ordering_read.models import ParkedEvent
from ordering_read.projector import registered

# Events that one click may act on: a page of the list.
_AT_ONCE = 50


class SkipForm(forms.Form):
    """Why events are skipped."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autofocus": True}),
        help_text="Stays beside the event, with your name and the time.",
    )


class ProjectionFilter(admin.SimpleListFilter):
    """Filters by projection, whatever its generation."""

    title = parameter_name = "projection"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(registered())]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ParkedEvent]
    ) -> QuerySet[ParkedEvent]:
        return queryset.filter(checkpoint__name=self.value()) if self.value() else queryset


class StateFilter(admin.SimpleListFilter):
    """Filters by what is the matter with an event."""

    title = parameter_name = "state"

    _states = {
        "parked": Q(skipped_at=None) & ~Q(category=ParkedEvent.Category.WAITING),
        "waiting": Q(skipped_at=None, category=ParkedEvent.Category.WAITING),
        "skipped": Q(skipped_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("parked", "Holds up its stream"),
            ("waiting", "Waits behind another"),
            ("skipped", "Was skipped"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ParkedEvent]
    ) -> QuerySet[ParkedEvent]:
        return queryset.filter(self._states.get(self.value() or "", Q()))


@admin.register(ParkedEvent)
class ParkedEventAdmin(ActingAdmin):
    """What projections lack: the events that can't be applied, and those that wait behind them."""

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
    fieldsets = (
        (None, {"fields": ("type", "event_id", "stream_events", "version", "position")}),
        ("Why it is parked", {"fields": ("checkpoint", "category", "message", "place")}),
        ("When", {"fields": ("parked_at", "tries", "tried_at")}),
        ("Skipped", {"fields": ("skipped_at", "skipped_by", "skip_reason")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ParkedEvent]:
        return parking.parked()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ParkedEvent], search_term: str
    ) -> tuple[QuerySet[ParkedEvent], bool]:
        term = search_term.strip()
        if (event_id := uuid_in(term)) is not None:
            return queryset.filter(event_id=event_id), False
        return queryset.filter(stream=term) if term else queryset, False

    # --- What is shown -------------------------------------------------------------------------
    @admin.display(description="Stream")
    def stream_events(self, parked: ParkedEvent) -> SafeString:
        return link(list_of(ParkedEvent, f"?q={parked.stream}"), parked.stream)

    @admin.display(description="Message")
    def short_message(self, parked: ParkedEvent) -> str:
        return parked.message[:200]

    @admin.display(description="Where it failed")
    def place(self, parked: ParkedEvent) -> SafeString | None:
        if not parked.traceback:
            return None
        return format_html('<pre class="payload">{}</pre>', parked.traceback)

    # --- What can be done ----------------------------------------------------------------------
    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.MANAGE_PARKED_EVENTS))

    @admin.action(description="Retry the streams of the selected events", permissions=["manage"])
    def retry(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> None:
        if not (chosen := self._chosen(request, queryset)):
            return
        for one in parking.retry(parking.parked().filter(pk__in=[row.pk for row in chosen])):
            self.message_user(
                request, str(one), messages.ERROR if one.held_by else messages.SUCCESS
            )

    @admin.action(description="Skip the selected events…", permissions=["manage"])
    def skip(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> HttpResponse | None:
        chosen = self._chosen(request, queryset)
        if not chosen:
            return None
        form = SkipForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            by = permissions.named(cast(User, request.user))
            reason = form.cleaned_data["reason"]
            self.act_on_each(
                request,
                chosen,
                lambda row: parking.skip(row, reason=reason, by=by),
                done="skipped",
            )
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Skip events",
            "opts": self.opts,
            "events": chosen,
            "form": form,
        }
        return TemplateResponse(request, "admin/ordering_read/skip_parked_events.html", context)

    def _chosen(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> list[ParkedEvent]:
        chosen = list(queryset[: _AT_ONCE + 1])
        if len(chosen) <= _AT_ONCE:
            return chosen
        self.message_user(request, f"Choose at most {_AT_ONCE} events at once.", messages.ERROR)
        return []
