"""The admin pages of the commands that were refused."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import camel_case_to_spaces, capfirst
from django.utils.timezone import make_aware

from config.accounts.models import User
from config.http.admin import link, list_url, parse_uuid
from config.http.filter_forms import ANY, FilterForm, FormFilter, day_input
from ordering_write.admin import common
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError
from ordering_write.models import CommandRefusal, Customer, Order, StockItem

# The pages of the read side about the aggregates, by the prefix of their streams.
_PAGES = {
    "order": "admin:ordering_read_ordersummary_change",
    "stock": "admin:ordering_read_inventorylevel_change",
    "customer": "admin:ordering_read_customersummary_change",
}


def _label(class_name: str) -> str:
    """Return the name of a command or an error as people read it: ``Order on hold``."""
    return capfirst(camel_case_to_spaces(class_name.removesuffix("Error")))


def _choices(base: type[Any]) -> list[tuple[str, str]]:
    subclasses, waiting = set(), [base]
    while waiting:
        found = waiting.pop().__subclasses__()
        subclasses.update(found)
        waiting.extend(found)
    names = {each.__name__ for each in subclasses if each.__module__.startswith("ordering_write")}
    return [ANY, *sorted(((name, _label(name)) for name in names), key=lambda pair: pair[1])]


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
        missing = [("PermissionMissingError", _label("PermissionMissingError"))]
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
    names: dict[str, str] = {}
    for model, field in ((Order, "order_number"), (StockItem, "sku"), (Customer, "name")):
        prefix = f"{model.stream_prefix}-"
        keys = {r.stream.removeprefix(prefix) for r in refusals if r.stream.startswith(prefix)}
        if keys:
            rows = model._default_manager.filter(pk__in=keys).values_list("pk", field)
            names |= {f"{prefix}{key}": str(name) for key, name in rows}
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
        return _label(refusal.type)

    @admin.display(description="Of", empty_value="–")
    def about(self, refusal: Any) -> SafeString | str | None:
        prefix, _, key = refusal.stream.partition("-")
        if not refusal.stream:
            return None
        if not refusal.subject:
            return f"an unknown {'product' if prefix == 'stock' else prefix}"
        page = reverse(_PAGES[prefix], args=[key])
        return format_html("<bdi>{}</bdi>", link(page, refusal.subject))

    @admin.display(description="Refused because")
    def why(self, refusal: CommandRefusal) -> SafeString:
        return format_html(
            '{} <span class="quiet">{}</span>', refusal.message, _label(refusal.reason)
        )
