"""The admin pages of the log: the events, and which projections have passed them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from config.http.admin import link, parse_uuid
from ordering_write.admin import common
from ordering_write.domain.events import DomainEvent
from ordering_write.log import detached
from ordering_write.models import (
    CommandRecord,
    EventPending,
    EventPosition,
    Order,
    OutboxEvent,
    PersonalData,
)

# Said above the list, and instead of an event that isn't there.
_DETACHED = (
    "Events up to position {end:,} of orders at rest, and of stock, have left the database for the "
    "archive. They aren't in this list: the history of an order shows its events, and manage.py "
    "query_archive all of them."
)


class EventTypeFilter(common.TypeFilter):
    values = sorted(DomainEvent.types)


class ProgressFilter(admin.SimpleListFilter):
    """Filters by the progress of an event towards the read side."""

    title = parameter_name = "progress"
    _waiting = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        checkpoints = sorted(_checkpoints(request).items())
        choices = [(name, f"Not yet in {label}") for name, (_, label) in checkpoints]
        return [(self._waiting, "Without a position"), *choices]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[OutboxEvent]
    ) -> QuerySet[OutboxEvent]:
        if self.value() is None:
            return queryset
        if self.value() == self._waiting:
            return queryset.filter(commit_id__in=EventPending.objects.values("commit_id"))
        position, _ = _checkpoints(request).get(str(self.value()), (0, ""))
        return queryset.filter(event_position__position__gt=position)


def _checkpoints(request: HttpRequest) -> Mapping[str, tuple[int, str]]:
    """Return the position and the label of each projection, by name.

    Queries the read side once per request.
    """
    page: Any = request
    if not hasattr(page, "checkpoints"):
        page.checkpoints = import_string(settings.READ_SIDE_CHECKPOINTS)()
    checkpoints: Mapping[str, tuple[int, str]] = page.checkpoints
    return checkpoints


class _OutboxPage(ChangeList):
    """Sets the names of their subjects, and the positions of the projections, on the events."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if end := detached.until():
            messages.info(request, _DETACHED.format(end=end))
        checkpoints = _checkpoints(request)
        self.result_list = list(self.result_list)
        for event in self.result_list:
            event.checkpoints = checkpoints
        _set_names(self.result_list)


def _set_names(events: Sequence[Any]) -> None:
    """Set the names of subjects and customers, by stream, on each of ``events``."""
    customers = common.customer_streams(event.actor for event in events)
    names = common.subject_names({event.stream for event in events} | customers)
    for event in events:
        event.names = names


@admin.register(OutboxEvent)
class OutboxAdmin(common.LogAdmin):
    """The events of the log, with their positions and the projections that have passed them."""

    ordering = ("-id",)
    list_display = (
        "event",
        "subject",
        "recorded_at",
        "number",
        "actor_name",
        "channel",
        "position",
        "progress",
        "why",
    )
    list_filter = (ProgressFilter, EventTypeFilter, common.ChannelFilter)
    search_fields = ("stream",)
    search_help_text = (
        "An order number, a stream, a position, or the id of an event, a command, an order, "
        "a product or a customer"
    )
    fieldsets = (
        (
            None,
            {"fields": ("event", "subject", "number", "why", "difference", "stream_events")},
        ),
        ("Progress", {"fields": ("position", "passed_by")}),
        ("Origin", {"fields": ("timestamp", "recorded_at", "actor_name", "channel")}),
        ("Content", {"fields": ("payload", "personal_fields", "schema_version")}),
        (
            "Related ids",
            {"fields": ("event_id", "command", "correlation_id", "causation_id", "commit_id")},
        ),
        ("Hash chain", {"fields": ("hash", "personal_digest")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _OutboxPage

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxEvent]:
        events: QuerySet[OutboxEvent] = super().get_queryset(request)
        return events.annotate(log_position=F("event_position__position"))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> OutboxEvent | None:
        event: Any = super().get_object(request, object_id, from_field)
        if event is not None:
            event.checkpoints = _checkpoints(request)
            _set_names([event])
        return cast(OutboxEvent | None, event)

    def search(
        self, request: HttpRequest, rows: QuerySet[OutboxEvent], term: str
    ) -> QuerySet[OutboxEvent]:
        """Return the events that ``term`` names. An index serves every case."""
        if (row_id := parse_uuid(term)) is not None:
            streams = [f"{prefix}-{row_id}" for prefix in ("order", "stock", "customer")]
            return rows.filter(Q(event_id=row_id) | Q(command_id=row_id) | Q(stream__in=streams))
        if term.isascii() and term.isdigit() and len(term) < 19:
            positions = EventPosition.objects.filter(position=int(term))
            return rows.filter(pk__in=positions.values("event"))
        return rows.filter(stream__in=common.streams_named(term))

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        if detached.until():
            # The list says where the event may be.
            return redirect("admin:ordering_write_outboxevent_changelist")
        redirection = super()._get_obj_does_not_exist_redirect  # type: ignore[misc]
        return cast(HttpResponse, redirection(request, opts, object_id))

    @admin.display(description="Event")
    def event(self, event: OutboxEvent) -> str:
        return common.class_label(event.type)

    @admin.display(description="About")
    def subject(self, event: Any) -> SafeString:
        return common.subject_link(event.stream, event.names.get(event.stream, ""))

    @admin.display(description="Number")
    def number(self, event: OutboxEvent) -> int:
        return event.version

    @admin.display(description="Causes")
    def why(self, event: OutboxEvent) -> SafeString:
        return common.causes_link(event.correlation_id, event.event_id)

    @admin.display(description="Before and after", empty_value="–")
    def difference(self, event: OutboxEvent) -> SafeString | None:
        prefix, _, order_id = event.stream.partition("-")
        if prefix != Order.stream_prefix:
            return None
        url = reverse("screens:order-history", args=[order_id])
        return link(f"{url}?version={event.version}", "Show the order")

    @admin.display(description="All its events")
    def stream_events(self, event: OutboxEvent) -> SafeString:
        return common.search_link(OutboxEvent, event.stream, label=event.stream)

    @admin.display(description="Position", empty_value="none yet")
    def position(self, event: OutboxEvent) -> int | None:
        return event.log_position  # type: ignore[attr-defined]

    @admin.display(description="Shown")
    def progress(self, event: OutboxEvent) -> str:
        checkpoints: Mapping[str, tuple[int, str]] = event.checkpoints  # type: ignore[attr-defined]
        position = self.position(event)
        passed = sum(position is not None and position <= end for end, _ in checkpoints.values())
        if passed == len(checkpoints):
            return "everywhere"
        return f"in {passed} of {len(checkpoints)} places"

    @admin.display(description="Shown in")
    def passed_by(self, event: OutboxEvent) -> SafeString:
        position = self.position(event)
        return format_html_join(
            " ",
            '<span class="passed{}">{} {}</span>',
            (
                ("", "✓", label)
                if position is not None and position <= end
                else (" not-yet", "not yet", label)
                for _, (end, label) in sorted(event.checkpoints.items())  # type: ignore[attr-defined]
            ),
        )

    @admin.display(description="Actor")
    def actor_name(self, event: Any) -> str:
        return common.actor_label(event.actor, event.names)

    @admin.display(description="Payload")
    def payload(self, event: OutboxEvent) -> SafeString:
        text = json.dumps(event.data, indent=2, ensure_ascii=False)
        return format_html('<pre class="payload">{}</pre>', text)

    @admin.display(description="Personal fields")
    def personal_fields(self, event: OutboxEvent) -> str:
        if event.personal_id is None:
            return "none"
        is_stored = PersonalData.objects.filter(pk=event.personal_id).exists()
        return "stored outside the log" if is_stored else "erased"

    @admin.display(description="Command")
    def command(self, event: OutboxEvent) -> SafeString:
        return common.search_link(CommandRecord, str(event.command_id), label=str(event.command_id))
