"""The admin pages of the commands that took effect."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.http.admin import parse_uuid
from ordering_write.admin import common
from ordering_write.domain.commands import Command
from ordering_write.models import CommandRecord, OutboxEvent


class CommandTypeFilter(common.TypeFilter):
    values = sorted(command_type.__name__ for command_type in Command.__subclasses__())


class _CommandList(ChangeList):
    """Sets their events on the commands of a page."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        _set_events(self.result_list)


def _set_events(records: Sequence[Any]) -> None:
    """Set the first event, the number of events and the names on each of ``records``."""
    events = OutboxEvent.objects.filter(command_id__in=[record.pk for record in records])
    firsts = events.order_by("command_id", "id").distinct("command_id")
    first_events = {event.command_id: event for event in firsts.defer("data")}
    counts = dict(events.values_list("command_id").annotate(Count("id")))
    streams = {event.stream for event in first_events.values()}
    customers = common.customer_streams(record.actor for record in records)
    names = common.subject_names(streams | customers)
    for record in records:
        record.first_event = first_events.get(record.pk)
        record.event_count = counts.get(record.pk, 0)
        record.names = names


@admin.register(CommandRecord)
class CommandRecordAdmin(common.LogAdmin):
    """The commands that took effect, with their actor, time and channel."""

    ordering = ("-recorded_at",)
    list_display = (
        "command",
        "subject",
        "recorded_at",
        "actor_name",
        "channel",
        "events",
        "why",
    )
    list_filter = ("recorded_at", CommandTypeFilter, common.ChannelFilter)
    search_fields = ("command_id",)
    search_help_text = "An order number, a stream, or the id of a command"
    fields = (
        "command",
        "subject",
        "actor_name",
        "channel",
        "recorded_at",
        "events",
        "why",
        "user_id",
        "command_id",
        "fingerprint",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _CommandList

    def get_object(self, *args: Any, **kwargs: Any) -> Any:
        record = super().get_object(*args, **kwargs)
        if record:
            _set_events([record])
        return record

    def search(
        self, request: HttpRequest, rows: QuerySet[CommandRecord], term: str
    ) -> QuerySet[CommandRecord]:
        if (command_id := parse_uuid(term)) is not None:
            return rows.filter(pk=command_id)
        events = OutboxEvent.objects.filter(stream__in=common.streams_named(term))
        return rows.filter(pk__in=events.values("command_id"))

    @admin.display(description="Actor")
    def actor_name(self, record: Any) -> str:
        return common.actor_label(record.actor, record.names)

    @admin.display(description="Command")
    def command(self, record: CommandRecord) -> str:
        return common.class_label(record.type)

    @admin.display(description="About", empty_value="–")
    def subject(self, record: Any) -> SafeString | None:
        event = record.first_event
        if event is None:
            return None
        return common.subject_link(event.stream, record.names.get(event.stream, ""))

    @admin.display(description="Events", empty_value="none")
    def events(self, record: Any) -> SafeString | None:
        if not record.event_count:
            return None
        return common.search_link(OutboxEvent, str(record.pk), label=record.event_count)

    @admin.display(description="Causes", empty_value="–")
    def why(self, record: Any) -> SafeString | None:
        event = record.first_event
        return common.causes_link(event.correlation_id, event.event_id) if event else None
