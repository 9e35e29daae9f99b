"""The admin pages of the commands that took effect."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.http.admin import parse_uuid
from ordering_write.admin import common
from ordering_write.domain.commands import Command
from ordering_write.models import CommandRecord, OutboxEvent


class CommandTypeFilter(common.ChoiceFilter):
    title = parameter_name = "type"
    values = sorted(command_type.__name__ for command_type in Command.__subclasses__())


@admin.register(CommandRecord)
class CommandRecordAdmin(common.LogAdmin):
    """The commands that took effect, with their actor, time and channel."""

    ordering = ("-recorded_at",)
    list_display = ("type", "actor_name", "channel", "recorded_at", "events", "command_id")
    list_filter = ("recorded_at", CommandTypeFilter, common.ChannelFilter)
    search_fields = ("command_id",)
    search_help_text = "An order number, a stream, or the id of a command"
    fields = (
        "type",
        "actor_name",
        "user_id",
        "channel",
        "recorded_at",
        "command_id",
        "fingerprint",
        "events",
    )

    def search(
        self, request: HttpRequest, rows: QuerySet[CommandRecord], term: str
    ) -> QuerySet[CommandRecord]:
        if (command_id := parse_uuid(term)) is not None:
            return rows.filter(pk=command_id)
        events = OutboxEvent.objects.filter(stream__in=common.streams_named(term))
        return rows.filter(pk__in=events.values("command_id"))

    @admin.display(description="Actor")
    def actor_name(self, record: CommandRecord) -> str:
        return common.actor_label(record.actor)

    @admin.display(description="Events")
    def events(self, record: CommandRecord) -> SafeString:
        return common.search_link(OutboxEvent, str(record.command_id), label="Show")
