"""The actions that policies have given up, with questions to retry or skip them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404

from config.http.admin import parse_uuid
from config.http.answers.problems import detail_of
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.admin.labels import class_label
from ordering_read.admin.streams import stream_label, stream_url
from ordering_read.queries.given_up import GivenUpView, ListGivenUp
from ordering_read.screens.base import Screen
from ordering_read.screens.questions import MOST, Outcome, QuestionScreen, ReasonForm, Thing
from ordering_read.screens.system import policy_label
from ordering_write.published import DomainError, policies


class GivenUpScreen(Screen):
    """The list of what policies have given up, the oldest first."""

    template_name = "screens/given_up.html"
    title = "Given up by policies"
    needed_permission = permissions.VIEW_PROJECTIONS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        text = self.request.GET.get("page", "1")
        number = int(text) if text.isdecimal() and 0 < len(text) < 7 else 1
        found = self.ask(ListGivenUp(page=max(number, 1), page_size=MOST))
        # The paginator counts pages only: the query has read the rows.
        pages = Paginator(range(found.count), MOST)
        return super().get_context_data(
            rows=[_row(item) for item in found.items],
            page=pages.get_page(number),
            may_act=self.may(permissions.MANAGE_PARKED_EVENTS),
            **kwargs,
        )


class _GivenUpQuestion(QuestionScreen):
    """A question about actions that were given up."""

    needed_permission = permissions.MANAGE_PARKED_EVENTS
    selected_by = "id"
    back = "screens:given-up"
    back_label = GivenUpScreen.title

    def things(self, keys: Sequence[str]) -> Sequence[Thing]:
        ids = tuple(_id(key) for key in keys)
        items = self.ask(ListGivenUp(ids=ids)).items
        return [Thing(str(item.action.id), _name(item), item.error) for item in items]


class RetryGivenUpScreen(_GivenUpQuestion):
    title = "Retry"
    question = (
        "The policies try these actions again at once, and again with growing pauses if they "
        "fail. Correct the cause first: the program, the gateway or the carrier."
    )
    yes, no = "Retry", "Leave them"

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        ids = [UUID(thing.key) for thing in things]
        if retried := policies.given_up.retry(ids):
            actions = "1 action is" if retried == 1 else f"{retried} actions are"
            yield Outcome(messages.SUCCESS, f"{actions} tried again.")
        for item in self.ask(ListGivenUp(ids=tuple(ids))).items:
            yield Outcome(messages.ERROR, f"{_name(item)}: still fails: {item.error}")


class SkipGivenUpScreen(_GivenUpQuestion):
    title = "Skip"
    question = (
        "The policies never take these actions, also after a later retry. What they would have "
        "done, such as a refund, is then yours to do. Actions that wait behind them go on."
    )
    yes, no = "Skip for good", "Leave them"
    form_class = ReasonForm

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        by = permissions.actor_label(user_of(self.request))
        ids = tuple(UUID(thing.key) for thing in things)
        for item in self.ask(ListGivenUp(ids=ids)).items:
            try:
                policies.skip(item.action.skip_id, reason=form.cleaned_data["reason"], by=by)
            except DomainError as error:
                yield Outcome(messages.ERROR, f"{_name(item)}: {detail_of(error)}")
            else:
                yield Outcome(messages.SUCCESS, f"{_name(item)}: skipped.")


def _id(key: str) -> UUID:
    if (identity := parse_uuid(key)) is None:
        raise Http404(f"{key} isn't the id of an action.")
    return identity


def _row(item: GivenUpView) -> dict[str, Any]:
    return {
        "item": item,
        "action": _action(item),
        "subject": stream_label(item.action.stream, item.name),
        "url": stream_url(item.action.stream),
    }


def _name(item: GivenUpView) -> str:
    return f"{stream_label(item.action.stream, item.name)}: {_action(item)}"


def _action(item: GivenUpView) -> str:
    """Return the action as people read it."""
    if item.action.policy:
        return policy_label(item.action.policy)
    return f"All that follows from “{class_label(item.action.event_type)}”"
