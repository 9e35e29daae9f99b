"""The admin pages of the commands that were refused."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import make_aware

from config.accounts.models import User
from config.http.admin import link, list_url, parse_uuid
from config.http.filter_forms import ANY, FilterForm, FormFilter, day_input
from ordering_write.admin import common
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.models import CommandRefusal


def _choices(base: type[Any]) -> list[tuple[str, str]]:
    subclasses, waiting = set(), [base]
    while waiting:
        found = waiting.pop().__subclasses__()
        subclasses.update(found)
        waiting.extend(found)
    names = {each.__name__ for each in subclasses if each.__module__.startswith("ordering_write")}
    labels = {name: common.class_label(name) for name in names}
    return [ANY, *sorted(labels.items(), key=lambda pair: pair[1])]


class RefusalFilterForm(FilterForm):
    person = forms.CharField(required=False, max_length=150, label="User name of staff")
    user = forms.UUIDField(required=False, label="Person", widget=forms.HiddenInput)
    command = forms.ChoiceField(required=False)
    reason = forms.ChoiceField(required=False)
    channel = forms.ChoiceField(
        required=False, choices=[ANY, *((name, name) for name in common.ChannelFilter.values)]
    )
    since = forms.DateField(required=False, label="From", widget=day_input())
    until = forms.DateField(required=False, label="To, that day included", widget=day_input())

    def __init__(self, data: Mapping[str, str], *, request: HttpRequest) -> None:
        super().__init__(data, request=request)
        missing = [("PermissionMissingError", common.class_label("PermissionMissingError"))]
        fields: Any = self.fields
        fields["command"].choices = _choices(Command)
        fields["reason"].choices = _choices(DomainError) + missing

    def select(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        values = self.cleaned_data
        if values["person"]:
            rows = rows.filter(user_id__in=_staff(username__iexact=values["person"]).values("pk"))
        if values["user"]:
            rows = rows.filter(user_id=values["user"])
        for name, column in (("command", "type"), ("reason", "reason"), ("channel", "channel")):
            if values[name]:
                rows = rows.filter(**{column: values[name]})
        if values["since"]:
            rows = rows.filter(recorded_at__gte=_start_of(values["since"]))
        if values["until"]:
            rows = rows.filter(recorded_at__lt=_start_of(values["until"] + timedelta(days=1)))
        return rows

    def words(self, name: str, value: str) -> str:
        if name == "user" and (key := parse_uuid(value)):
            newest = CommandRefusal.objects.filter(user_id=key).order_by("-recorded_at").first()
            return common.actor_label(newest.actor) if newest else "Nobody"
        return super().words(name, value)


def _staff(**lookups: Any) -> QuerySet[User]:
    # The user name of a customer is often an e-mail address.
    return User.objects.filter(customer_id=None, **lookups)


def _start_of(day: Any) -> datetime:
    return make_aware(datetime.combine(day, time.min))


class RefusalFilter(FormFilter):
    form_class = RefusalFilterForm


class _RefusalList(ChangeList):
    """Sets the user names, and the names of orders, products and customers, on the rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        set_names(self.result_list)


def set_names(refusals: Any) -> None:
    """Set ``username`` and ``subject`` on each of ``refusals``; one statement for each kind."""
    users = _staff(pk__in={refusal.user_id for refusal in refusals})
    usernames = dict(users.values_list("pk", "username"))
    names = common.subject_names({refusal.stream for refusal in refusals})
    for refusal in refusals:
        refusal.username = usernames.get(refusal.user_id, "")
        refusal.subject = names.get(refusal.stream, "")


@admin.register(CommandRefusal)
class CommandRefusalAdmin(common.LogAdmin):
    """The commands that were refused: who tried what, when, and why it was refused."""

    ordering = ("-recorded_at", "-id")
    list_display = ("recorded_at", "person", "attempt", "about", "why", "channel")
    list_filter = (RefusalFilter,)
    search_fields = ("stream",)
    search_help_text = "An order number, a stream, or the id of a command or a request"
    fields = (
        "attempt",
        "about",
        "why",
        "person",
        "channel",
        "recorded_at",
        "command_id",
        "correlation_id",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _RefusalList

    def get_object(self, *args: Any, **kwargs: Any) -> Any:
        refusal = super().get_object(*args, **kwargs)
        if refusal:
            set_names([refusal])
        return refusal

    def search(
        self, request: HttpRequest, rows: QuerySet[CommandRefusal], term: str
    ) -> QuerySet[CommandRefusal]:
        if (key := parse_uuid(term)) is not None:
            return rows.filter(Q(command_id=key) | Q(correlation_id=key))
        return rows.filter(stream__in=common.streams_named(term))

    @admin.display(description="Person")
    def person(self, refusal: Any) -> SafeString:
        label = refusal.username or common.actor_label(refusal.actor)
        url = list_url(CommandRefusal, f"?user={refusal.user_id}")
        return format_html("<bdi>{}</bdi>", link(url, label))

    @admin.display(description="Tried to")
    def attempt(self, refusal: CommandRefusal) -> str:
        return common.class_label(refusal.type)

    @admin.display(description="Of", empty_value="–")
    def about(self, refusal: Any) -> SafeString | None:
        if not refusal.stream:
            return None
        return common.subject_link(refusal.stream, refusal.subject)

    @admin.display(description="Refused because")
    def why(self, refusal: CommandRefusal) -> SafeString:
        return format_html(
            '{} <span class="quiet">{}</span>', refusal.message, common.class_label(refusal.reason)
        )
