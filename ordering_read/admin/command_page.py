"""The page of one command: its form, the changes since the form was opened, and its preview.

A POST keeps what was typed and redirects to this page, or carries out the command and redirects to
the record. Only the script gets the page as the answer, to show its preview in place.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4, uuid5

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from config.http.answers.problems import detail_of, is_anticipated
from ordering_read.admin import kept_forms
from ordering_read.admin.base import in_store_time, user_of
from ordering_read.admin.command_forms import CommandForm
from ordering_read.admin.gaps import gap_details
from ordering_read.admin.labels import (
    change_labels,
    class_label,
    command_description,
    command_label,
)
from ordering_write import client
from ordering_write.client import Command

if TYPE_CHECKING:
    # The admin classes import this module.
    from ordering_read.admin.commands import CommandPages

# The parameter with the version of the record on the page that linked to the form.
VERSION = "version"
_MAX_VERSION = 10**9

Fields = Mapping[str, Any]


def envelope_of(request: HttpRequest) -> dict[str, Any]:
    """Return the fields of a command's envelope that come from the request."""
    correlation_id = request.correlation_id  # type: ignore[attr-defined]
    envelope = client.envelope(user_of(request), channel="admin")
    return {**envelope, "correlation_id": correlation_id}


class EnvelopeForm(forms.Form):
    """Hidden fields that a command keeps from its form to its confirmation."""

    # A second click repeats the command instead of adding one.
    command_id = forms.UUIDField(widget=forms.HiddenInput)
    expected_version = forms.IntegerField(
        widget=forms.HiddenInput, required=False, min_value=0, max_value=_MAX_VERSION
    )


class CommandPage:
    """One request for the page of a command about ``record``, which is None for a new record."""

    def __init__(
        self, pages: "CommandPages", request: HttpRequest, command_type: type[Command], record: Any
    ) -> None:
        self._pages, self._request = pages, request
        self._command_type, self._record = command_type, record
        self._context = pages.form_context(request, record)
        self._changes: Sequence[Any] = ()
        self._is_stale = False

    def respond(self) -> HttpResponse:
        """Return the page, or the redirect after a POST."""
        if self._request.method == "POST":
            return self._answer_post()
        return self._show(kept_forms.find_or_tell(self._request))

    # --- POST ----------------------------------------------------------------------------------
    def _answer_post(self) -> HttpResponse:
        request, refusal = self._request, ""
        if "in_place" in request.POST:
            return self._show(kept_forms.KeptForm(request.POST))
        if "confirm" in request.POST:
            form = CommandForm(self._command_type, self._context, data=request.POST)
            envelope = EnvelopeForm(request.POST)
            command = self._command(form, envelope.cleaned_data) if envelope.is_valid() else None
            try:
                if command is not None:
                    answer = self._pages.carry_out(request, command, self._record)
                    kept_forms.drop(request)
                    return answer
            except client.VersionConflictError:
                # The page shows the changes, and what the command would do now.
                pass
            except Exception as error:
                if not is_anticipated(error):
                    raise
                refusal = in_store_time(detail_of(error))
        return redirect(kept_forms.keep(request, refusal))

    def _command(self, form: CommandForm, envelope: Fields) -> Command | None:
        fields = {name: value for name, value in envelope.items() if value is not None}
        # Nobody can use the id of another user's command.
        fields["command_id"] = uuid5(user_of(self._request).pk, f"admin {fields['command_id']}")
        return form.command(**envelope_of(self._request), **fields)

    # --- The page ------------------------------------------------------------------------------
    def _show(self, kept: kept_forms.KeptForm | None) -> HttpResponse:
        request = self._request
        fields = kept.fields if kept else None
        form = CommandForm(self._command_type, self._context, data=fields)
        if fields is None and not form.fields:
            # A form without fields is skipped: the page starts with the preview.
            form = CommandForm(self._command_type, self._context, data={})
        envelope = self._envelope(fields)
        preview = None
        if form.is_bound and "change" not in (fields or {}):
            preview = self._preview(form, envelope)
        if kept and kept.refusal and preview is not None:
            messages.warning(request, f"Not done: {kept.refusal} This is what would happen now.")
        if preview is None:
            form.focus()
        return self._page(form, envelope, preview)

    def _envelope(self, fields: Any) -> dict[str, Any]:
        """Return the fields of EnvelopeForm, with the current version of the record."""
        form = EnvelopeForm(fields)
        envelope = dict(form.cleaned_data) if fields is not None and form.is_valid() else {}
        envelope.setdefault("command_id", uuid4())
        current = self._pages.version_of(self._record)
        if current is None:
            return envelope
        opened = envelope.get("expected_version")
        if opened is None:
            opened = self._opened_version(current)
        if opened < current:
            self._note_changes(since=opened)
        return envelope | {"expected_version": max(opened, current)}

    def _opened_version(self, current: int) -> int:
        text = self._request.GET.get(VERSION, "")
        is_number = text.isascii() and text.isdecimal() and len(text) < 10
        return int(text) if is_number else current

    def _note_changes(self, *, since: int) -> None:
        if not self._is_stale:
            self._is_stale = True
            self._changes = self._pages.changes_since(self._request, self._record, since)

    def _preview(self, form: CommandForm, envelope: dict[str, Any]) -> client.Preview | None:
        """Return the preview on the current state; None if the command isn't valid or is refused.

        ``form.errors`` says why, and ``envelope`` gets the version of that state.
        """
        command = self._command(form, envelope)
        if command is None:
            return None
        user = user_of(self._request)
        try:
            try:
                return client.preview(command, user=user)
            except client.VersionConflictError as conflict:
                # The rows of the record were behind the log.
                self._note_changes(since=conflict.expected)
                envelope["expected_version"] = conflict.current
                command = command.model_copy(update={"expected_version": conflict.current})
                return client.preview(command, user=user)
        except Exception as error:
            if not is_anticipated(error):
                raise
            form.add_refusal(error)
        return None

    def _page(
        self, form: CommandForm, envelope: dict[str, Any], preview: client.Preview | None
    ) -> HttpResponse:
        request, record = self._request, self._record
        label = command_label(self._command_type)
        events, changes, typed = None, None, None
        if preview is not None:
            counts = Counter(class_label(event.type) for event in preview.would_emit)
            events = [f"{count} × {text}" if count > 1 else text for text, count in counts.items()]
            changes = change_labels(preview.diff, self._context.name_of)
            typed = form.typed(besides={change.after for change in changes})
        return self._pages.page(
            request,
            "command.html",
            title=label if record is None else f"{label}: {record}",
            label=label,
            description=command_description(self._command_type),
            record=record,
            projection_gaps=gap_details([record], self._pages) if record else [],
            back_url=self._pages.back_url(record),
            form=form,
            envelope_form=EnvelopeForm(initial=envelope),
            signature=kept_forms.signature(user_of(request)),
            is_stale=self._is_stale,
            changes_since=self._changes,
            events=events,
            changes=changes,
            typed=typed,
        )
