"""The pages of the commands that took effect."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from config.http.admin import ReadOnlyAdmin
from ordering_write.admin.common import (
    ChannelFilter,
    ChoiceFilter,
    as_uuid,
    found,
    order_streams,
    who_is,
)
from ordering_write.domain.commands import Command
from ordering_write.models import (
    CommandRecord,
    OutboxEvent,
)


class CommandTypeFilter(ChoiceFilter):
    title = parameter_name = "type"
    values = sorted(kind.__name__ for kind in Command.__subclasses__())


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
        if (command_id := as_uuid(term)) is not None:
            return queryset.filter(pk=command_id), False
        events = OutboxEvent.objects.filter(stream__in=[term.lower(), *order_streams(term)])
        return queryset.filter(pk__in=events.values("command_id")), False

    @admin.display(description="Who")
    def who(self, record: CommandRecord) -> str:
        return who_is(record.actor)

    @admin.display(description="Events")
    def events(self, record: CommandRecord) -> SafeString:
        return found(OutboxEvent, str(record.command_id), label="Show")
