"""The base class of pages that ask before they act."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse

from ordering_read.screens.base import Screen

# The most things that one question is about: a page of a list.
MOST = 50


class Thing(NamedTuple):
    """A thing that the question is about: its key, its name, and what will happen to it."""

    key: str
    name: str
    detail: str = ""


class Outcome(NamedTuple):
    """The outcome for a thing: a level of Django's messages, and a sentence."""

    level: int
    text: str


class ReasonForm(forms.Form):
    """The reason for an act that is recorded."""

    reason = forms.CharField(
        max_length=500,
        # One line, so that Enter sends the form.
        widget=forms.TextInput(attrs={"autofocus": True}),
        help_text="Recorded with the event, your name and the time.",
    )


class QuestionScreen(Screen):
    """A GET shows what will happen to the selected things, and a POST does it and leads back.

    The things are selected by the parameter ``selected_by``, which may stand several times.
    """

    template_name = "screens/question.html"
    selected_by: ClassVar[str]
    question: ClassVar[str]
    yes: ClassVar[str]
    no: ClassVar[str]
    back: ClassVar[str] = "screens:system"
    back_label: ClassVar[str] = "System"
    form_class: ClassVar[type[forms.Form]] = forms.Form

    def things(self, keys: Sequence[str]) -> Sequence[Thing]:
        """Return the things with these keys. Raises Http404 for an unknown key."""
        raise NotImplementedError

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        """Do to ``things`` what the question says; yield the outcome for each."""
        raise NotImplementedError

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        things = self._selected(request.GET.getlist(self.selected_by))
        return self._ask(things, self.form_class()) if things else self._go_back()

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        things = self._selected(request.POST.getlist(self.selected_by))
        if not things:
            return self._go_back()
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self._ask(things, form)
        for outcome in self.act(things, form):
            messages.add_message(request, outcome.level, outcome.text)
        return self._go_back()

    def _selected(self, keys: Sequence[str]) -> Sequence[Thing]:
        """Return the selected things; none, and a message, if there are none or too many."""
        keys = list(dict.fromkeys(keys))
        if len(keys) > MOST:
            messages.error(self.request, f"Select at most {MOST} at once.")
            return []
        things = self.things(keys) if keys else []
        if not things:
            messages.error(self.request, "Nothing is selected that this can be done to.")
        return things

    def _ask(self, things: Sequence[Thing], form: forms.Form) -> HttpResponse:
        return self.render_to_response(
            self.get_context_data(
                things=things,
                form=form,
                question=self.question,
                yes=self.yes,
                no=self.no,
                back_url=reverse(self.back),
                back_label=self.back_label,
                selected_by=self.selected_by,
            )
        )

    def _go_back(self) -> HttpResponseRedirect:
        return redirect(self.back)
