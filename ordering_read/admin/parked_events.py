"""The admin pages of parked events, with the actions that retry or skip them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet, Value
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from config.http.admin import link, list_url, parse_uuid
from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin
from ordering_read.admin.labels import PARKED_BECAUSE, class_label
from ordering_read.admin.streams import stream_label, stream_url
from ordering_read.admin.work import ParkedWorkFilter
from ordering_read.engine.live import PROJECTIONS
from ordering_read.models import OrderSummary, ParkedEvent
from ordering_read.projector import labels, registered
from ordering_read.queries.parked_events import masked_message
from ordering_write.published import parked, spelled_order_number, stream_names


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


def change_name(event: ParkedEvent, names: Mapping[str, str]) -> str:
    """Return a parked change as people read it: ``Order 2026-000301: item added, in orders``.

    ``names`` are the names of streams.
    """
    subject = stream_label(event.stream, names.get(event.stream, ""))
    checkpoint = event.checkpoint
    former = "" if checkpoint.is_live else " (former rows)"
    change, label = class_label(event.type), labels([checkpoint.name])
    return f"{subject}: {change[0].lower()}{change[1:]}, in {label}{former}"


def reason_of(event: ParkedEvent, *, with_personal: bool) -> str:
    """Return why an event is parked, in words and with the message of the failure."""
    because, _ = PARKED_BECAUSE[ParkedEvent.Category(event.category)]
    message = event.message
    if not with_personal:
        message = masked_message(event.type, event.category, message)
    return f"{because.capitalize()}: {message}" if message else f"{because.capitalize()}."


class _ParkedList(ChangeList):
    """Reads the names of the orders and products of a page, and how much waits behind each row."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = _with_names(list(self.result_list))


def _with_names(rows: list[Any]) -> list[Any]:
    """Set on each row its ``name`` of people, and ``behind``: the changes that wait for it."""
    names = stream_names({row.stream for row in rows})
    waiting = ParkedEvent.objects.filter(
        checkpoint__in={row.checkpoint_id for row in rows},
        stream__in={row.stream for row in rows},
        skipped_at=None,
    )
    versions: dict[tuple[int, str], list[int]] = defaultdict(list)
    for key, stream, version in waiting.values_list("checkpoint_id", "stream", "version"):
        versions[key, stream].append(version)
    for row in rows:
        row.name = names.get(row.stream, "")
        later = versions[row.checkpoint_id, row.stream]
        row.behind = sum(version > row.version for version in later)
    return rows


@admin.register(ParkedEvent)
class ParkedEventAdmin(ActingAdmin):
    """The events that projections couldn't apply, and the events that wait behind them."""

    needed_permission = permissions.VIEW_PROJECTIONS
    ordering = ("-id",)
    list_display = (
        "change",
        "subject",
        "missing_in",
        "why",
        "waiting_behind",
        "since",
        "tries",
        "state",
        "retry_link",
    )
    list_filter = (ParkedWorkFilter, StateFilter, ProjectionFilter, "category")
    list_select_related = ("checkpoint__owner",)
    sortable_by = ()
    search_fields = ("stream",)
    search_help_text = "The number of an order, or the id of a stream or an event"
    actions = ("retry", "skip")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("change", "subject", "missing_in", "way_out")}),
        ("Reason", {"fields": ("why", "waiting_behind", "parked_at", "tries", "tried_at")}),
        ("Skipped", {"fields": ("skipped_at", "skipped_by", "skip_reason")}),
        (
            "For developers",
            {"fields": ("type", "event_id", "stream_events", "version", "position", "stack")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ParkedEvent]:
        rows = parked.parked_events(PROJECTIONS)
        # Columns don't get the request.
        sees_personal = request.user.has_perm(permissions.VIEW_PII)
        may_retry = self.has_manage_permission(request)
        return rows.annotate(sees_personal=Value(sees_personal), may_retry=Value(may_retry))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _ParkedList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        row = super().get_object(request, object_id, from_field)
        return None if row is None else _with_names([row])[0]

    def search(
        self, request: HttpRequest, rows: QuerySet[ParkedEvent], term: str
    ) -> QuerySet[ParkedEvent]:
        if (key := parse_uuid(term)) is not None:
            return rows.filter(event_id=key)
        numbered = OrderSummary.live.filter(order_number=spelled_order_number(term))
        orders = numbered.values_list("order_id", flat=True)
        return rows.filter(stream__in=[term, *(f"order-{key}" for key in orders)])

    # --- Columns -------------------------------------------------------------------------------
    @admin.display(description="Change")
    def change(self, row: ParkedEvent) -> str:
        return class_label(row.type)

    @admin.display(description="Of")
    def subject(self, row: Any) -> SafeString | str:
        label, url = stream_label(row.stream, row.name), stream_url(row.stream)
        return link(url, label) if url else label

    @admin.display(description="Not shown in")
    def missing_in(self, row: ParkedEvent) -> str:
        is_live = row.checkpoint.is_live
        return f"{labels([row.checkpoint.name])}{'' if is_live else ' (former rows)'}"

    @admin.display(description="Why")
    def why(self, row: Any) -> SafeString:
        reason = reason_of(row, with_personal=row.sees_personal)
        html = '<bdi class="clipped" tabindex="0" title="{}">{}</bdi>'
        return format_html(html, reason, reason)

    @admin.display(description="Waiting behind it")
    def waiting_behind(self, row: Any) -> str:
        return f"{row.behind} change{'' if row.behind == 1 else 's'}" if row.behind else "–"

    @admin.display(description="Parked")
    def since(self, row: ParkedEvent) -> str:
        return f"{timesince(row.parked_at)} ago"

    @admin.display(description="State")
    def state(self, row: ParkedEvent) -> str:
        if row.skipped_at:
            return f"skipped by {row.skipped_by.partition(' (user ')[0]}"
        return "waits" if row.category == ParkedEvent.Category.WAITING else "parked"

    @admin.display(description="Retry")
    def retry_link(self, row: Any) -> SafeString | None:
        if row.skipped_at or not row.may_retry:
            return None
        return link(f"{reverse('screens:retry-parked')}?{urlencode({'id': row.pk})}", "Retry…")

    @admin.display(description="How to get out of it")
    def way_out(self, row: ParkedEvent) -> str:
        if row.skipped_at:
            return "Nothing is to be done: the event was skipped."
        _, step = PARKED_BECAUSE[ParkedEvent.Category(row.category)]
        return step

    @admin.display(description="Stream")
    def stream_events(self, row: ParkedEvent) -> SafeString:
        return link(list_url(ParkedEvent, f"?q={row.stream}"), row.stream)

    @admin.display(description="Traceback")
    def stack(self, row: ParkedEvent) -> SafeString | None:
        if not row.traceback:
            return None
        return format_html('<pre class="payload">{}</pre>', row.traceback)

    # --- Actions -------------------------------------------------------------------------------
    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.MANAGE_PARKED_EVENTS))

    @admin.action(description="Retry…", permissions=["manage"])
    def retry(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> HttpResponse | None:
        return self._ask("screens:retry-parked", request, queryset)

    @admin.action(description="Skip…", permissions=["manage"])
    def skip(self, request: HttpRequest, queryset: QuerySet[ParkedEvent]) -> HttpResponse | None:
        return self._ask("screens:skip-parked", request, queryset)

    def _ask(
        self, url_name: str, request: HttpRequest, queryset: QuerySet[ParkedEvent]
    ) -> HttpResponse | None:
        """Return a redirect to the screen that asks before it acts."""
        if not (events := self.selected(request, queryset)):
            return None
        query = urlencode([("id", event.pk) for event in events])
        return redirect(f"{reverse(url_name)}?{query}")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context["original"]
        name = change_name(row, {row.stream: row.name})
        context.update(title=name, subtitle="", record=name)
        return super().render_change_form(request, context, *args, **kwargs)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may_act = self.has_manage_permission(request)
        context = {"may_act": may_act, "question_query": urlencode({"id": object_id})}
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )
