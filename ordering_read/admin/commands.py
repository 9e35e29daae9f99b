"""Commands in the admin: buttons on the page of a record, a form and a preview for each command."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html

from config.http.admin import list_url, page_url
from ordering_read.admin import kept_forms
from ordering_read.admin.base import user_of
from ordering_read.admin.bulk import BulkCommands
from ordering_read.admin.command_forms import FixedContext, FormContext
from ordering_read.admin.command_page import VERSION, CommandPage
from ordering_read.admin.labels import GROUPS, command_description, command_label, command_slug
from ordering_write import client
from ordering_write.client import Command

# Seconds that a click waits, in total, until the projections show the effects of its commands.
_WAIT_SECONDS = 2.0

_NOT_SHOWN = "accepted, not shown yet, because"


class Button(NamedTuple):
    """A command about a record as its page offers it; ``refusal`` is "" if it is accepted now."""

    command: type[Command]
    label: str
    description: str
    url: str
    refusal: str


Groups = list[tuple[str, list[Button]]]


class CommandPages(BulkCommands):
    """An admin whose records are changed by commands.

    * ``aggregate`` is the prefix of the streams that the commands are about.
    * ``identity`` is the field that holds the record's id, in the read model and in the commands.
    * ``waits_for`` names the projections that a click waits for.
    """

    aggregate: ClassVar[str]
    waits_for: ClassVar[Sequence[str]]

    change_list_template = "admin/ordering_read/command_list.html"

    @cached_property
    def commands(self) -> Mapping[str, Sequence[type[Command]]]:
        """The commands about one record, by the heading of their group."""
        families = client.commands_about(self.aggregate)
        ordered = sorted(families, key=lambda family: [*GROUPS, family].index(family))
        return {GROUPS.get(family, family.capitalize()): families[family] for family in ordered}

    @cached_property
    def new(self) -> Sequence[type[Command]]:
        """The commands that create a record."""
        return client.commands_making(self.aggregate)

    def form_context(self, request: HttpRequest, record: Any) -> FormContext:
        """Return the context of forms about ``record``, which is None before it is created.

        The default leaves out the id of a record, and nothing else.
        """
        return FixedContext({self.identity: getattr(record, self.identity)} if record else {})

    def refusals(self, request: HttpRequest, record: Any) -> Mapping[type[Command], str]:
        """Return the commands that ``record`` would refuse now, and why."""
        return {}

    def version_of(self, record: Any) -> int | None:
        """Return the version that commands about ``record`` expect; None if they expect none."""
        return None

    def changes_since(self, request: HttpRequest, record: Any, version: int) -> Sequence[Any]:
        """Return what happened to ``record`` since ``version``, with ``at`` and ``sentence``."""
        return ()

    # --- Buttons -------------------------------------------------------------------------------
    def buttons(self, request: HttpRequest, record: Any) -> Groups:
        """Return the buttons of the commands that the user may dispatch, by group."""
        refusals = self.refusals(request, record)
        version = self.version_of(record)
        query = "" if version is None else f"?{VERSION}={version}"
        key = getattr(record, self.identity)
        groups = (
            (
                group,
                [
                    Button(
                        command=command_type,
                        label=command_label(command_type),
                        description=command_description(command_type),
                        url=self._command_url(command_type, key) + query,
                        refusal=refusals.get(command_type, ""),
                    )
                    for command_type in command_types
                    if client.may_dispatch(user_of(request), command_type)
                ],
            )
            for group, command_types in self.commands.items()
        )
        return [(group, buttons) for group, buttons in groups if buttons]

    def page_context(self, request: HttpRequest, record: Any, groups: Groups) -> dict[str, Any]:
        """Return more context for the page of ``record``, whose commands are ``groups``."""
        return {}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        record = kwargs["obj"] if "obj" in kwargs else args[-1]
        groups = self.buttons(request, record)
        context["command_groups"] = groups
        context |= self.page_context(request, record, groups)
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        new = self.new_links(request)
        return super().changelist_view(request, {**(extra_context or {}), "new": new})

    def new_links(self, request: HttpRequest) -> list[dict[str, str]]:
        """Return the label and the URL of each page on which the user may create a record."""
        return [
            {"label": command_label(command_type), "url": self._command_url(command_type)}
            for command_type in self.new
            if client.may_dispatch(user_of(request), command_type)
        ]

    def _command_url(self, command_type: type[Command], key: object = None) -> str:
        name, slug = self._command_url_name(), command_slug(command_type)
        if key is None:
            return reverse(f"admin:{name}_new", args=[slug])
        return reverse(f"admin:{name}", args=[key, slug])

    def _command_url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_command"

    # --- One record ----------------------------------------------------------------------------
    def get_urls(self) -> list[Any]:
        name = self._command_url_name()
        view = kept_forms.site_view(self.command_view)
        return [
            path("new/<slug:name>/", view, name=f"{name}_new"),
            path("<uuid:key>/commands/<slug:name>/", view, name=name),
            *super().get_urls(),
        ]

    def command_view(
        self, request: HttpRequest, name: str, key: UUID | None = None
    ) -> HttpResponse:
        """Show the form of a command, then its preview; dispatch the command once confirmed."""
        command_type, record = self._resolve(request, name, key)
        return CommandPage(self, request, command_type, record).respond()

    def _resolve(
        self, request: HttpRequest, name: str, key: UUID | None
    ) -> tuple[type[Command], Any]:
        """Return the command type and the record that a URL names.

        Raises Http404, and PermissionDenied for a user who may not dispatch the command.
        """
        candidates = self.new if key is None else chain.from_iterable(self.commands.values())
        command_type = {command_slug(candidate): candidate for candidate in candidates}.get(name)
        if command_type is None:
            raise Http404
        may_dispatch = client.may_dispatch(user_of(request), command_type)
        if not (self.has_view_permission(request) and may_dispatch):
            raise PermissionDenied("You don't have the permission that this command needs.")
        record = None if key is None else self.get_object(request, str(key))
        if key is not None and record is None:
            raise Http404
        return command_type, record

    def carry_out(self, request: HttpRequest, command: Command, record: Any) -> HttpResponse:
        """Dispatch the command, wait until it is visible, and redirect to the record's page."""
        label, because = command_label(type(command)), ""
        try:
            result = self._dispatch(request, command, timeout=_WAIT_SECONDS)
        except client.NotYetVisibleError as error:
            result, because = error.result, error.because
        if because:
            text = f"{label}: {_NOT_SHOWN} {because}."
            self.message_user(request, text, messages.WARNING)
            # A new record may have no page yet.
            return redirect(self.back_url(record))
        if not result:
            self.message_user(request, f"{label}: no change was needed.", messages.INFO)
            return redirect(self.back_url(record))
        record_id = getattr(result[0] if record is None else record, self.identity)
        page = page_url(self.model, record_id)
        versions = [
            event.recorded.version
            for event in result
            if event.recorded.stream.endswith(f"{record_id}")
        ]
        text = '{}: done. <a href="{}#event-{}">Show the event</a>'
        self.message_user(request, format_html(text, label, page, versions[-1]), messages.SUCCESS)
        return redirect(page)

    def _dispatch(
        self, request: HttpRequest, command: Command, *, timeout: float
    ) -> client.CommandResult:
        return client.dispatch(
            command, user=user_of(request), wait_for=self.waits_for, timeout=timeout
        )

    def back_url(self, record: Any) -> str:
        if record is None:
            return list_url(self.model)
        return page_url(self.model, getattr(record, self.identity))
