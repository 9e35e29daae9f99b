"""The admin pages of the write side, all to look at: the log, the commands, the stock behind it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, cast, get_args
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from config.http.admin import ReadOnlyAdmin
from ordering_write.domain.commands import Command
from ordering_write.domain.events import DomainEvent
from ordering_write.domain.values import Channel
from ordering_write.models import (
    CommandRecord,
    EventPending,
    EventPosition,
    Order,
    OutboxEvent,
    PersonalData,
    Reservation,
    StockItem,
)

# Reservations shown on the page of a product, the newest ones.
_RESERVATIONS = 100


class _ChoiceFilter(admin.SimpleListFilter):
    """Filters by one of a fixed list of values; asking the table for them would read all of it."""

    values: ClassVar[Iterable[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): self.value()})


class EventTypeFilter(_ChoiceFilter):
    title = parameter_name = "type"
    values = sorted(DomainEvent.types)


class CommandTypeFilter(_ChoiceFilter):
    title = parameter_name = "type"
    values = sorted(kind.__name__ for kind in Command.__subclasses__())


class ChannelFilter(_ChoiceFilter):
    title = parameter_name = "channel"
    values = get_args(Channel)


class ProgressFilter(admin.SimpleListFilter):
    """Filters by how far an event has come on its way to the read side."""

    title = "progress"
    parameter_name = "progress"
    _waiting = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        behind = [(name, f"Not yet passed by {name}") for name in sorted(_checkpoints(request))]
        return [(self._waiting, "Waits for its position"), *behind]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[OutboxEvent]
    ) -> QuerySet[OutboxEvent]:
        if self.value() is None:
            return queryset
        if self.value() == self._waiting:
            return queryset.filter(commit_id__in=EventPending.objects.values("commit_id"))
        position = _checkpoints(request).get(str(self.value()), 0)
        return queryset.filter(place__position__gt=position)


def _checkpoints(request: HttpRequest) -> Mapping[str, int]:
    """The position of each projection, which only the read side knows; asked once for a page."""
    page: Any = request
    if not hasattr(page, "checkpoints"):
        page.checkpoints = import_string(settings.READ_SIDE_CHECKPOINTS)()
    checkpoints: Mapping[str, int] = page.checkpoints
    return checkpoints


class _OutboxPage(ChangeList):
    """Tells the events of a page where the projections are."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        checkpoints = _checkpoints(request)
        self.result_list = list(self.result_list)
        for event in self.result_list:
            event.checkpoints = checkpoints


@admin.register(OutboxEvent)
class OutboxAdmin(ReadOnlyAdmin):
    """The log: each event, whether it is positioned, and which projections have passed it."""

    needed_permission = "ordering_write.view_outbox"
    ordering = ("-id",)
    list_display = (
        "type",
        "stream_end",
        "version",
        "position",
        "passed_by",
        "who",
        "channel",
        "recorded_at",
    )
    list_filter = (ProgressFilter, EventTypeFilter, ChannelFilter)
    sortable_by = ()
    search_fields = ("stream",)
    search_help_text = (
        "An order number, a stream, a position, or the id of an event, a command, an order, "
        "a product or a customer"
    )
    fieldsets = (
        (None, {"fields": ("type", "stream_events", "version", "position", "passed_by")}),
        ("When and by whom", {"fields": ("timestamp", "recorded_at", "who", "channel")}),
        ("What it says", {"fields": ("payload", "personal_fields", "schema_version")}),
        (
            "Where it belongs",
            {"fields": ("event_id", "command", "correlation_id", "causation_id", "commit_id")},
        ),
        ("Hash chain", {"fields": ("hash", "personal_digest")}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _OutboxPage

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxEvent]:
        events: QuerySet[OutboxEvent] = super().get_queryset(request)
        return events.annotate(place_in_log=F("place__position"))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> OutboxEvent | None:
        event: Any = super().get_object(request, object_id, from_field)
        if event is not None:
            event.checkpoints = _checkpoints(request)
        return cast(OutboxEvent | None, event)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OutboxEvent], search_term: str
    ) -> tuple[QuerySet[OutboxEvent], bool]:
        """Each of these is one look into an index, however long the log is."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if (row_id := _uuid(term)) is not None:
            streams = [f"{prefix}-{row_id}" for prefix in ("order", "stock", "customer")]
            named = Q(event_id=row_id) | Q(command_id=row_id) | Q(stream__in=streams)
            return queryset.filter(named), False
        if term.isascii() and term.isdigit() and len(term) < 19:
            places = EventPosition.objects.filter(position=int(term))
            return queryset.filter(pk__in=places.values("event")), False
        return queryset.filter(stream__in=[term.lower(), *_order_streams(term)]), False

    @admin.display(description="Stream")
    def stream_events(self, event: OutboxEvent) -> SafeString:
        return _found(OutboxEvent, event.stream, label=event.stream)

    @admin.display(description="Stream")
    def stream_end(self, event: OutboxEvent) -> SafeString:
        # Ids that were made at about the same time begin alike.
        kind, _, row_id = event.stream.partition("-")
        return _found(OutboxEvent, event.stream, label=f"{kind} …{row_id[-12:]}")

    @admin.display(description="Position", empty_value="waits for it")
    def position(self, event: OutboxEvent) -> int | None:
        return event.place_in_log  # type: ignore[attr-defined]

    @admin.display(description="Passed by")
    def passed_by(self, event: OutboxEvent) -> SafeString:
        position = self.position(event)
        return format_html_join(
            " ",
            '<span class="passed{}">{} {}</span>',
            (
                ("", "✓", name)
                if position is not None and position <= checkpoint
                else (" not-yet", "not yet", name)
                for name, checkpoint in sorted(event.checkpoints.items())  # type: ignore[attr-defined]
            ),
        )

    @admin.display(description="Who")
    def who(self, event: OutboxEvent) -> str:
        return _who(event.actor)

    @admin.display(description="Payload")
    def payload(self, event: OutboxEvent) -> SafeString:
        text = json.dumps(event.data, indent=2, ensure_ascii=False)
        return format_html('<pre class="payload">{}</pre>', text)

    @admin.display(description="Personal fields")
    def personal_fields(self, event: OutboxEvent) -> str:
        if event.personal_id is None:
            return "none"
        there = PersonalData.objects.filter(pk=event.personal_id).exists()
        return "kept beside the log" if there else "erased"

    @admin.display(description="Command")
    def command(self, event: OutboxEvent) -> SafeString:
        return _found(CommandRecord, str(event.command_id), label=str(event.command_id))


@admin.register(CommandRecord)
class CommandRecordAdmin(ReadOnlyAdmin):
    """The commands that took effect: who gave them, when and from where."""

    needed_permission = "ordering_write.view_outbox"
    ordering = ("-recorded_at",)
    list_display = ("type", "who", "channel", "recorded_at", "events", "command_id")
    list_filter = ("recorded_at", CommandTypeFilter, ChannelFilter)
    sortable_by = ()
    search_fields = ("command_id",)
    search_help_text = "An order number, a stream, or the id of a command"
    fields = (
        "type",
        "who",
        "user_id",
        "channel",
        "recorded_at",
        "command_id",
        "fingerprint",
        "events",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CommandRecord], search_term: str
    ) -> tuple[QuerySet[CommandRecord], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if (command_id := _uuid(term)) is not None:
            return queryset.filter(pk=command_id), False
        events = OutboxEvent.objects.filter(stream__in=[term.lower(), *_order_streams(term)])
        return queryset.filter(pk__in=events.values("command_id")), False

    @admin.display(description="Who")
    def who(self, record: CommandRecord) -> str:
        return _who(record.actor)

    @admin.display(description="Events")
    def events(self, record: CommandRecord) -> SafeString:
        return _found(OutboxEvent, str(record.command_id), label="Show")


@admin.register(StockItem)
class StockItemAdmin(ReadOnlyAdmin):
    """What decides whether an order can be placed, and for which orders units are set aside."""

    needed_permission = "ordering_write.view_outbox"
    ordering = ("sku",)
    list_display = ("sku", "name", "on_hand", "reserved", "available", "backorderable", "events")
    list_filter = ("backorderable",)
    sortable_by = ()
    search_fields = ("sku",)
    search_help_text = "The beginning of a SKU, or the id of a product"
    fields = (
        "sku",
        "name",
        "product_id",
        "on_hand",
        "reserved",
        "available",
        "reservations",
        "backorderable",
        "version",
        "events",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StockItem], search_term: str
    ) -> tuple[QuerySet[StockItem], bool]:
        term = search_term.strip()
        if (product_id := _uuid(term)) is not None:
            return queryset.filter(pk=product_id), False
        return queryset.filter(sku__startswith=term), False

    @admin.display(description="Available")
    def available(self, item: StockItem) -> int:
        return item.available

    @admin.display(description=f"Set aside (newest {_RESERVATIONS})", empty_value="for no order")
    def reservations(self, item: StockItem) -> SafeString:
        newest = list(Reservation.objects.filter(product=item).order_by("-pk")[:_RESERVATIONS])
        orders = Order.objects.filter(pk__in={held.order_id for held in newest})
        numbers = dict(orders.values_list("pk", "order_number"))
        return format_html_join(
            "",
            "<div>{} for {}</div>",
            ((held.quantity, _found(OutboxEvent, numbers[held.order_id])) for held in newest),
        )

    @admin.display(description="Events")
    def events(self, item: StockItem) -> SafeString:
        return _found(OutboxEvent, item.stream, label="Show")


def _found(model: type[Model], term: str, *, label: str = "") -> SafeString:
    """A link to what the page of ``model`` finds for ``term``."""
    page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', page, urlencode({"q": term}), label or term)


def _who(actor: Mapping[str, str]) -> str:
    """The actor of an event or a command, for people."""
    return actor.get("label") or f"{actor['type']} {actor['id']}"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _order_streams(number: str) -> list[str]:
    """The stream of the order with this number, if there is one."""
    return [order.stream for order in Order.objects.filter(order_number=number)]
