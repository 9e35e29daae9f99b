"""Commands in the admin: buttons on the page of a thing, a form and a preview for each, and actions
on many things at once."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html

from config.accounts.models import User
from config.http.answers.problems import is_anticipated
from ordering_read.admin.base import ActingAdmin, page_of
from ordering_read.admin.command_forms import CommandForm, Subject
from ordering_read.admin.command_words import in_words, slug_of, title_of, told_changes
from ordering_write import client
from ordering_write.client import Command

# How long a click waits for the page to show what it did, all its things together.
_WAIT_SECONDS = 2.0
# Things that one click may act on: a page of the list.
_AT_ONCE = 50


_BEHIND = "This page doesn't show it yet: the projection is behind. Load it again soon."


def user_of(request: HttpRequest) -> User:
    """The user of a page that only users see."""
    return cast(User, request.user)


class StepForm(forms.Form):
    """What goes with a command from its form to its confirmation."""

    # Two clicks are one command.
    command_id = forms.UUIDField(widget=forms.HiddenInput)
    expected_version = forms.IntegerField(widget=forms.HiddenInput, required=False)


class CommandPages(ActingAdmin):
    """An admin whose things can be changed, each by the commands that it lists.

    ``commands`` are those of one thing, in groups; ``new`` those that make one; ``bulk`` those that
    can be given to many at once. ``key`` is the field of commands that holds the thing's id, and
    ``waits_for`` the projections that show what commands do.
    """

    key: ClassVar[str]
    identity: ClassVar[str]
    commands: ClassVar[Mapping[str, Sequence[type[Command]]]]
    new: ClassVar[Sequence[type[Command]]] = ()
    bulk: ClassVar[Sequence[type[Command]]] = ()
    waits_for: ClassVar[Sequence[str]]

    change_list_template = "admin/ordering_read/command_list.html"

    def subject(self, request: HttpRequest, thing: Any) -> Subject:
        """What the forms know of ``thing``, which is None for one that doesn't exist yet."""
        raise NotImplementedError

    def refusals(self, request: HttpRequest, thing: Any) -> Mapping[type[Command], str]:
        """The commands that aren't possible with ``thing`` now, and why."""
        return {}

    # --- Buttons -------------------------------------------------------------------------------
    def buttons(self, request: HttpRequest, thing: Any) -> list[tuple[str, list[dict[str, Any]]]]:
        """The commands that the user may give to ``thing``, by group, each with what it needs."""
        refusals = self.refusals(request, thing)
        groups = (
            (
                group,
                [
                    {
                        "title": title_of(kind),
                        "about": kind.__doc__,
                        "address": self._address(kind, getattr(thing, self.identity)),
                        "refusal": refusals.get(kind, ""),
                    }
                    for kind in kinds
                    if client.may_give(user_of(request), kind)
                ],
            )
            for group, kinds in self.commands.items()
        )
        return [(group, buttons) for group, buttons in groups if buttons]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        thing = kwargs["obj"] if "obj" in kwargs else args[-1]
        context["command_groups"] = self.buttons(request, thing)
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        new = [
            {"title": title_of(kind), "address": self._address(kind)}
            for kind in self.new
            if client.may_give(user_of(request), kind)
        ]
        return super().changelist_view(request, {**(extra_context or {}), "new": new})

    def _address(self, kind: type[Command], key: object = None) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_command"
        at = [slug_of(kind)] if key is None else [key, slug_of(kind)]
        return reverse(name if key else f"{name}_new", args=at)

    # --- One thing -----------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_command"
        view = self.admin_site.admin_view(self.command_view)
        return [
            path("new/<slug:name>/", view, name=f"{name}_new"),
            path("<uuid:key>/commands/<slug:name>/", view, name=name),
            *super().get_urls(),
        ]

    def command_view(
        self, request: HttpRequest, name: str, key: UUID | None = None
    ) -> HttpResponse:
        """Ask for what the command needs, show what it would do, do it when that is confirmed."""
        kind, thing = self._asked(request, name, key)
        user = user_of(request)
        subject = self.subject(request, thing)
        data = request.POST if request.method == "POST" else None
        form = CommandForm(kind, subject, data=data)
        first = {"command_id": uuid4()}
        if kind.needs_expected_version:
            first["expected_version"] = thing.version
        step = StepForm(data, initial=first)
        if data is None and not form.fields:
            # With nothing to ask for, the preview comes first.
            form, step = CommandForm(kind, subject, data={}), StepForm(first)
        command = None
        if step.is_valid() and "change" not in request.POST:
            said = {name: value for name, value in step.cleaned_data.items() if value is not None}
            command = form.command(
                **client.envelope(user, channel="admin"),
                **said,
                correlation_id=request.correlation_id,  # type: ignore[attr-defined]
            )
        events, changes = None, None
        if command is not None:
            try:
                if "confirm" in request.POST:
                    return self._done(request, command, thing)
                preview = client.preview(command, user=user)
                events = [in_words(event.type) for event in preview.would_emit]
                changes = told_changes(preview.diff, subject.names())
            except Exception as error:
                if not is_anticipated(error):
                    raise
                form.refuse(error)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title_of(kind) if thing is None else f"{title_of(kind)}: {thing}",
            "name": title_of(kind),
            "about": kind.__doc__,
            "thing": thing,
            "back": self._back(thing),
            "form": form,
            "step": step,
            "events": events,
            "changes": changes,
        }
        return TemplateResponse(request, "admin/ordering_read/command.html", context)

    def _asked(
        self, request: HttpRequest, name: str, key: UUID | None
    ) -> tuple[type[Command], Any]:
        known = self.new if key is None else [k for kinds in self.commands.values() for k in kinds]
        kind = next((kind for kind in known if slug_of(kind) == name), None)
        if kind is None:
            raise Http404
        if not (self.has_view_permission(request) and client.may_give(user_of(request), kind)):
            raise PermissionDenied("You don't have the permission that this command needs.")
        thing = None if key is None else self.get_object(request, str(key))
        if key is not None and thing is None:
            raise Http404
        return kind, thing

    def _done(self, request: HttpRequest, command: Command, thing: Any) -> HttpResponse:
        """Give the command, wait until it is seen, and go where it is seen."""
        try:
            outcome = self._give(request, command, timeout=_WAIT_SECONDS)
        except client.NotYetVisibleError as error:
            outcome = error.events
            self.message_user(request, _BEHIND, messages.WARNING)
        title = title_of(type(command))
        if not outcome:
            text = f"{title}: it is so already, nothing has changed."
            self.message_user(request, text, messages.INFO)
            return redirect(self._back(thing))
        thing_id = getattr(outcome[0] if thing is None else thing, self.key)
        page = page_of(self.model, thing_id)
        versions = [
            e.recorded.version for e in outcome if e.recorded.stream.endswith(f"{thing_id}")
        ]
        text = format_html('{}: done. <a href="{}#event-{}">See it</a>', title, page, versions[-1])
        self.message_user(request, text, messages.SUCCESS)
        return redirect(page)

    def _give(self, request: HttpRequest, command: Command, *, timeout: float) -> client.Outcome:
        return client.dispatch(
            command, user=user_of(request), wait_for=self.waits_for, timeout=timeout
        )

    def _back(self, thing: Any) -> str:
        if thing is None:
            return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return page_of(self.model, getattr(thing, self.identity))

    # --- Many things ---------------------------------------------------------------------------
    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        for kind in self.bulk:
            if client.may_give(user_of(request), kind):
                actions[slug_of(kind)] = (_to_many(kind), slug_of(kind), title_of(kind))
        return actions

    def give_to_many(
        self, request: HttpRequest, kind: type[Command], queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        """Ask for what the command needs, once, and give it to each; tell what came of each."""
        things = list(queryset[: _AT_ONCE + 1])
        if len(things) > _AT_ONCE:
            text = f"Choose at most {_AT_ONCE} at once."
            self.message_user(request, text, messages.ERROR)
            return None
        subject = _OneOfMany({self.key: getattr(things[0], self.identity)})
        form = CommandForm(kind, subject, data=request.POST if "give" in request.POST else None)
        if not form.fields:
            form = CommandForm(kind, subject, data={})
        command = form.is_bound and form.command(
            **client.envelope(user_of(request), channel="admin"),
            correlation_id=request.correlation_id,  # type: ignore[attr-defined]
        )
        if command:
            self._give_each(request, command, things)
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title_of(kind),
            "name": title_of(kind),
            "about": kind.__doc__,
            "action": slug_of(kind),
            "things": things,
            "back": self._back(None),
            "form": form,
        }
        return TemplateResponse(request, "admin/ordering_read/command.html", context)

    def _give_each(self, request: HttpRequest, command: Command, things: Sequence[Any]) -> None:
        ends_at = time.monotonic() + _WAIT_SECONDS
        unseen = []

        def give(thing: Any) -> None:
            about = {self.key: getattr(thing, self.identity), "command_id": uuid4()}
            left = max(0.0, ends_at - time.monotonic())
            try:
                self._give(request, command.model_copy(update=about), timeout=left)
            except client.NotYetVisibleError:
                unseen.append(thing)

        self.act_on_each(request, things, give, done=f"{title_of(type(command))}: done")
        if unseen:
            self.message_user(request, _BEHIND, messages.WARNING)


class _OneOfMany(Subject):
    """The first of the things that a command is given to: the form is the same for all."""

    def __init__(self, fixed: Mapping[str, Any]) -> None:
        self._fixed = fixed

    def fixed(self, kind: type[Command]) -> Mapping[str, Any]:
        return self._fixed


def _to_many(kind: type[Command]) -> Callable[..., Any]:
    def act(
        pages: CommandPages, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return pages.give_to_many(request, kind, queryset)

    return act
