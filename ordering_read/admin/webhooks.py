"""The admin pages of webhook endpoints, with a form, and of the deliveries to them."""

from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from pydantic import BaseModel, ValidationError

from config.http.admin import link, list_url, page_url, parse_uuid
from config.http.answers.problems import detail_of
from config.http.input.validation import errors_of
from ordering_read import permissions
from ordering_read.admin.base import ActingAdmin, user_of
from ordering_read.admin.labels import class_label
from ordering_read.admin.streams import stream_label, stream_url
from ordering_write.published import DomainError, DomainEvent, stream_names, webhooks

_endpoints = webhooks.endpoints


class EndpointForm(forms.ModelForm):
    """The fields of an endpoint that people set, checked as over the API."""

    event_types = forms.MultipleChoiceField(
        required=False,
        choices=lambda: [(name, class_label(name)) for name in sorted(DomainEvent.types)],
        widget=forms.SelectMultiple(attrs={"size": 12}),
        help_text="The events that the endpoint gets. Without a choice it gets all.",
    )

    class Meta:
        model = webhooks.WebhookEndpoint
        fields = ("name", "url", "description", "event_types")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.errors:
            return values
        body: type[BaseModel] = _endpoints.EndpointChange
        if self.instance.pk is None:
            body = _endpoints.NewEndpoint
        try:
            body.model_validate(
                {name: values[name] for name in values if name in body.model_fields}
            )
        except ValidationError as error:
            for item in errors_of(error):
                field = item["pointer"].removeprefix("#/").partition("/")[0]
                self.add_error(field if field in self.fields else None, item["detail"])
        return values


@admin.register(webhooks.WebhookEndpoint)
class WebhookEndpointAdmin(ActingAdmin):
    """The addresses of other systems that get events."""

    needed_permission = permissions.VIEW_WEBHOOKS
    form = EndpointForm
    ordering = ("name",)
    sortable_by = ()
    list_display = ("name", "url", "state", "last_success", "waiting_number", "given_up")
    actions = ("test", "enable", "disable", "rotate", "replay", "remove")
    readonly_fields = (
        "state",
        "last_success",
        "waiting_number",
        "given_up",
        "position",
        "secrets",
        "created_at",
        "created_by",
    )
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "url", "description", "event_types")}),
        ("State", {"fields": ("state", "last_success", "waiting_number", "given_up", "position")}),
        ("Origin", {"fields": ("secrets", "created_at", "created_by")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return _endpoints.with_counts()

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.fieldsets if obj else self.fieldsets[:1]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        # The name stands in logs, metrics and alarms.
        return (*self.readonly_fields, "name") if obj else self.readonly_fields

    # --- Permissions and saving ----------------------------------------------------------------
    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.MANAGE_WEBHOOKS))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_manage_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_manage_permission(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        by = permissions.actor_label(user_of(request))
        values = form.cleaned_data
        if change:
            _endpoints.change(obj.name, _endpoints.EndpointChange(**values), by=by)
            return
        endpoint = _endpoints.register(_endpoints.NewEndpoint(**values), by=by)
        obj.pk, obj.secret = endpoint.pk, endpoint.secret
        self.message_user(request, secret_sentence(endpoint), messages.WARNING)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        # ``save_model`` has said what is to be said.
        return redirect(list_url(self.model))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        self.message_user(request, f"{obj.name} was changed.", messages.SUCCESS)
        return redirect(list_url(self.model))

    # --- Columns -------------------------------------------------------------------------------
    @admin.display(description="State")
    def state(self, endpoint: webhooks.WebhookEndpoint) -> SafeString:
        if not endpoint.is_enabled:
            text = f"disabled: {endpoint.disabled_reason}"
            return format_html('<span class="badge badge-bad">{}</span>', text)
        if endpoint.failures:
            text = f"failing, {endpoint.failures:,} tries"
            return format_html('<span class="badge badge-bad">{}</span>', text)
        return format_html('<span class="badge">{}</span>', "enabled")

    @admin.display(description="Last success", empty_value="none yet")
    def last_success(self, endpoint: webhooks.WebhookEndpoint) -> str | None:
        return _moment(endpoint.succeeded_at) if endpoint.succeeded_at else None

    @admin.display(description="Waiting")
    def waiting_number(self, endpoint: Any) -> SafeString:
        return _deliveries_link(endpoint, "waiting", endpoint.waiting)

    @admin.display(description="Given up")
    def given_up(self, endpoint: Any) -> SafeString:
        return _deliveries_link(endpoint, "parked", endpoint.parked)

    @admin.display(description="Secrets")
    def secrets(self, endpoint: webhooks.WebhookEndpoint) -> str:
        text = "Shown when it was made only. “Rotate the secret” makes another one."
        if endpoint.former_secret_until:
            return (
                f"{text} The former one is used too until {_moment(endpoint.former_secret_until)}."
            )
        return text

    # --- Actions -------------------------------------------------------------------------------
    @admin.action(description="Send a test message", permissions=["manage"])
    def test(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for endpoint in self.selected(request, queryset, most=3):
            answer = _endpoints.send_test(endpoint.name)
            if answer.is_success:
                self.message_user(request, f"{endpoint.name} answered {answer.status}.")
            else:
                self.message_user(request, f"{endpoint.name}: {answer.error}", messages.ERROR)

    @admin.action(description="Enable", permissions=["manage"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        by = permissions.actor_label(user_of(request))
        for endpoint in self.selected(request, queryset):
            _endpoints.enable(endpoint.name, by=by)
            self.message_user(request, f"{endpoint.name} is enabled.", messages.SUCCESS)

    @admin.action(description="Disable…", permissions=["manage"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask("screens:disable-webhook", request, queryset)

    @admin.action(description="Rotate the secret…", permissions=["manage"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask("screens:rotate-webhook", request, queryset)

    @admin.action(description="Send events again…", permissions=["manage"])
    def replay(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask("screens:replay-webhook", request, queryset)

    @admin.action(description="Remove…", permissions=["manage"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self._ask("screens:remove-webhook", request, queryset)

    def _ask(
        self, url_name: str, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Return a redirect to the screen that asks before it acts."""
        if not (rows := self.selected(request, queryset)):
            return None
        return redirect(f"{reverse(url_name)}?{urlencode([('name', row.name) for row in rows])}")


def _moment(moment: datetime) -> str:
    return date_format(localtime(moment), "j M Y, H:i")


def _deliveries_link(endpoint: webhooks.WebhookEndpoint, state: str, number: int) -> SafeString:
    query = urlencode({"endpoint": endpoint.name, "state": state})
    return link(list_url(webhooks.WebhookDelivery, f"?{query}"), f"{number:,}")


def secret_sentence(endpoint: webhooks.WebhookEndpoint) -> str:
    """Return what is shown once after the secret of an endpoint was made."""
    return (
        f"The secret of {endpoint.name}, which is shown this once: {endpoint.secret} "
        "Give it to the receiver: it checks the signatures of messages by it."
    )


class StateFilter(admin.SimpleListFilter):
    """Filters by the state of a delivery."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in webhooks.WebhookDelivery.State.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class EndpointFilter(admin.SimpleListFilter):
    """Filters by endpoint."""

    title = parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = _endpoints.all_endpoints().values_list("name", flat=True)
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(endpoint__name=self.value()) if self.value() else queryset


@admin.register(webhooks.WebhookDelivery)
class WebhookDeliveryAdmin(ActingAdmin):
    """The log of deliveries, the newest events first."""

    needed_permission = permissions.VIEW_WEBHOOKS
    ordering = ("-position", "id")
    sortable_by = ()
    list_display = ("event", "subject", "to", "state_now", "tries", "tried_at", "answer")
    list_filter = (EndpointFilter, StateFilter)
    list_select_related = ("endpoint",)
    search_fields = ("stream",)
    search_help_text = "A stream, a position, or the id of an event"
    actions = ("send_again", "skip")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("event", "subject", "to", "state_now", "answer")}),
        ("Tries", {"fields": ("tries", "first_tried_at", "tried_at", "due_at", "done_at")}),
        ("Skipped", {"fields": ("skipped_by", "skip_reason")}),
        ("For developers", {"fields": ("event_id", "stream", "position")}),
    )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        changes.result_list = list(changes.result_list)
        names = stream_names({row.stream for row in changes.result_list})
        for row in changes.result_list:
            row.subject_name = names.get(row.stream, "")
        return changes

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        if (key := parse_uuid(term)) is not None:
            return rows.filter(event_id=key)
        if term.isascii() and term.isdigit() and len(term) < 19:
            return rows.filter(position=int(term))
        return rows.filter(stream=term)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(permissions.MANAGE_WEBHOOKS))

    @admin.display(description="Event")
    def event(self, delivery: webhooks.WebhookDelivery) -> str:
        return class_label(delivery.type)

    @admin.display(description="Of")
    def subject(self, delivery: Any) -> SafeString | str:
        name = getattr(delivery, "subject_name", None)
        if name is None:
            name = stream_names({delivery.stream}).get(delivery.stream, "")
        label, url = stream_label(delivery.stream, name), stream_url(delivery.stream)
        return link(url, label) if url else label

    @admin.display(description="Endpoint")
    def to(self, delivery: webhooks.WebhookDelivery) -> SafeString:
        endpoint = delivery.endpoint
        return link(page_url(webhooks.WebhookEndpoint, endpoint.pk), endpoint.name)

    @admin.display(description="State")
    def state_now(self, delivery: webhooks.WebhookDelivery) -> str:
        return delivery.get_state_display()

    @admin.display(description="Answer", empty_value="none yet")
    def answer(self, delivery: webhooks.WebhookDelivery) -> SafeString | str | None:
        if not delivery.error:
            return str(delivery.status) if delivery.status else None
        html = '<bdi class="clipped" tabindex="0" title="{}">{}</bdi>'
        return format_html(html, delivery.error, delivery.error)

    @admin.action(description="Send again", permissions=["manage"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        by = permissions.actor_label(user_of(request))
        for delivery in self.selected(request, queryset):
            try:
                webhooks.delivery_log.send_again(delivery.pk, by=by)
            except DomainError as error:
                self.message_user(request, f"{delivery}: {detail_of(error)}", messages.ERROR)
            else:
                self.message_user(request, f"{delivery} is sent again.", messages.SUCCESS)

    @admin.action(description="Skip…", permissions=["manage"])
    def skip(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        if not (rows := self.selected(request, queryset)):
            return None
        query = urlencode([("id", row.pk) for row in rows])
        return redirect(f"{reverse('screens:skip-webhook')}?{query}")
