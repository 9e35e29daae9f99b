"""The questions before somebody disables, rotates, replays or removes endpoints of webhooks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404

from config.http.admin import parse_uuid
from config.http.answers.problems import detail_of
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.admin.webhooks import secret_sentence
from ordering_read.screens.questions import Outcome, QuestionScreen, ReasonForm, Thing
from ordering_write.published import DomainError, webhooks

_endpoints = webhooks.endpoints


class HoursForm(forms.Form):
    """The time for which both secrets are used."""

    hours = forms.IntegerField(
        min_value=0,
        max_value=_endpoints.MOST_HOURS,
        initial=24,
        label="Hours for which messages are signed by the former secret too",
        help_text="0: the former secret ends at once.",
    )


class PositionForm(forms.Form):
    """The position in the log from which on events are sent again."""

    after = forms.IntegerField(
        min_value=0,
        max_value=10**18,
        label="The position before the first event",
        help_text="0 is the beginning of the log. The event log shows positions.",
    )


class _EndpointQuestion(QuestionScreen):
    """A question about endpoints."""

    needed_permission = permissions.MANAGE_WEBHOOKS
    selected_by = "name"
    back = "admin:ordering_write_webhookendpoint_changelist"
    back_label = "Webhook endpoints"

    def things(self, keys: Sequence[str]) -> Sequence[Thing]:
        rows = _endpoints.all_endpoints().filter(name__in=keys)
        return [Thing(row.name, row.name, row.url) for row in rows]

    def outcomes(
        self, things: Sequence[Thing], act: Callable[[str, str], Outcome]
    ) -> Iterable[Outcome]:
        """Yield what ``act`` returns for the name of each endpoint and the name of the user."""
        by = permissions.actor_label(user_of(self.request))
        for thing in things:
            try:
                yield act(thing.key, by)
            except DomainError as error:
                yield Outcome(messages.ERROR, f"{thing.name}: {detail_of(error)}")


class DisableWebhookScreen(_EndpointQuestion):
    title = "Disable webhook endpoints"
    question = "Nothing is sent to these endpoints until they are enabled. Their events wait."
    yes, no = "Disable", "Leave them enabled"
    form_class = ReasonForm

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        def disable(name: str, by: str) -> Outcome:
            _endpoints.disable(name, reason=form.cleaned_data["reason"], by=by)
            return Outcome(messages.SUCCESS, f"{name} is disabled.")

        return self.outcomes(things, disable)


class RotateWebhookScreen(_EndpointQuestion):
    title = "Rotate the secrets of webhook endpoints"
    question = (
        "These endpoints get new secrets, which are shown once. Give them to the receivers before "
        "the former ones end."
    )
    yes, no = "Make new secrets", "Keep the secrets"
    form_class = HoursForm

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        def rotate(name: str, by: str) -> Outcome:
            endpoint = _endpoints.rotate_secret(name, hours=form.cleaned_data["hours"], by=by)
            return Outcome(messages.WARNING, secret_sentence(endpoint))

        return self.outcomes(things, rotate)


class ReplayWebhookScreen(_EndpointQuestion):
    title = "Send events again"
    question = (
        "All events after a position are sent to these endpoints again, in their order. Receivers "
        "recognise a repeat by its id."
    )
    yes, no = "Send again", "Send nothing"
    form_class = PositionForm

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        after = form.cleaned_data["after"]

        def replay(name: str, by: str) -> Outcome:
            _endpoints.replay(name, after=after, by=by)
            return Outcome(messages.SUCCESS, f"{name} gets the events after {after:,} again.")

        return self.outcomes(things, replay)


class RemoveWebhookScreen(_EndpointQuestion):
    title = "Remove webhook endpoints"
    question = "These endpoints get nothing any more, and the log of their deliveries is deleted."
    yes, no = "Remove", "Keep them"

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        def remove(name: str, by: str) -> Outcome:
            _endpoints.remove(name, by=by)
            return Outcome(messages.SUCCESS, f"{name} is removed.")

        return self.outcomes(things, remove)


class SkipWebhookScreen(QuestionScreen):
    title = "Skip deliveries"
    question = (
        "These events are never sent. Later events of the same order, product or customer are."
    )
    yes, no = "Skip", "Leave them"
    needed_permission = permissions.MANAGE_WEBHOOKS
    selected_by = "id"
    back = "admin:ordering_write_webhookdelivery_changelist"
    back_label = "Webhook deliveries"
    form_class = ReasonForm

    def things(self, keys: Sequence[str]) -> Sequence[Thing]:
        for key in keys:
            if parse_uuid(key) is None:
                raise Http404(f"{key} isn't the id of a delivery.")
        rows: Any = webhooks.delivery_log.deliveries().filter(pk__in=keys)
        blocking = rows.filter(state__in=webhooks.WebhookDelivery.BLOCKING)
        return [Thing(str(row.pk), str(row), row.error) for row in blocking]

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        by, reason = permissions.actor_label(user_of(self.request)), form.cleaned_data["reason"]
        for thing in things:
            try:
                webhooks.delivery_log.skip(UUID(thing.key), reason=reason, by=by)
            except DomainError as error:
                yield Outcome(messages.ERROR, f"{thing.name}: {detail_of(error)}")
            else:
                yield Outcome(messages.SUCCESS, f"{thing.name}: skipped.")


# The screens by the names of their URLs.
WEBHOOK_SCREENS = {
    "disable-webhook": DisableWebhookScreen,
    "rotate-webhook": RotateWebhookScreen,
    "replay-webhook": ReplayWebhookScreen,
    "remove-webhook": RemoveWebhookScreen,
    "skip-webhook": SkipWebhookScreen,
}
