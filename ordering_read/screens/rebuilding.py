"""The questions before somebody rebuilds, compares, rolls back or discards rows of projections."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.timezone import localtime
from django_q.tasks import async_task

from ordering_read import permissions
from ordering_read.engine import control, generations
from ordering_read.models import Projection
from ordering_read.projector import labels, registered
from ordering_read.screens.questions import Outcome, QuestionScreen, Thing
from ordering_write import published

# Seconds that a click waits for a rebuild, so that the next page can show the end of a quick one.
_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.05
# A rebuild from a long log takes hours.
_TASK_TIMEOUT_SECONDS = 24 * 3600

_Status = Projection.Status


class _ProjectionQuestion(QuestionScreen):
    """A question about projections, which ``task`` of the workers carries out, if any."""

    needed_permission = permissions.REBUILD_PROJECTIONS
    selected_by = "projection"
    # The state that ``detail`` describes.
    status: _Status = _Status.LIVE
    task = ""
    done = ""

    def things(self, keys: Sequence[str]) -> Sequence[Thing]:
        for name in set(keys) - registered().keys():
            raise Http404(f"There is no projection {name}.")
        rows = Projection.objects.filter(name__in=keys, status=self.status)
        generation_of = {row.name: row for row in rows}
        return [Thing(name, _label(name), self.detail(generation_of.get(name))) for name in keys]

    def detail(self, generation: Projection | None) -> str:
        """Return what will happen to the rows of ``generation``, None if there is none."""
        return ""

    def begin(self, name: str) -> None:
        """Do what the question says, or check that the task can; raises GenerationError
        and LogUnavailableError."""

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        for thing in things:
            try:
                self.begin(thing.key)
            except (generations.GenerationError, published.LogUnavailableError) as error:
                yield Outcome(messages.ERROR, f"{thing.name}: {error}")
            else:
                level = messages.SUCCESS
                if self.task:
                    _enqueue(self.task, thing.key)
                    level = messages.INFO
                yield Outcome(level, f"{thing.name}: {self.done}")


class RebuildForm(forms.Form):
    """The choice whether new rows are shown as soon as they are complete."""

    take_over = forms.BooleanField(
        label="Show the new rows as soon as they are complete",
        label_suffix="",
        initial=True,
        required=False,
        help_text="Otherwise they wait until you let them take over.",
    )


class RebuildScreen(_ProjectionQuestion):
    title = "Rebuild"
    question = (
        "A worker makes new rows from the log. Meanwhile all pages show the present rows, which "
        "stay up to date and are kept afterwards, so that you can roll back."
    )
    yes, no = "Rebuild", "Keep the present rows only"
    form_class = RebuildForm

    def detail(self, generation: Projection | None) -> str:
        return f"About {generation.position:,} events are read." if generation else ""

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        names = [thing.key for thing in things]
        before = _newest(names)
        is_promoted = form.cleaned_data["take_over"]
        _enqueue("rebuild", *names, promote=is_promoted)
        for name, newest in _wait_for_rebuilds(names, before).items():
            yield _rebuild_outcome(newest, is_begun=newest.generation > before[name].generation)


class VerifyScreen(_ProjectionQuestion):
    title = "Compare with the log"
    question = (
        "A worker folds the log again and compares the result with the rows that are shown. "
        "Nothing is changed. It takes as long as a rebuild; the page System shows the result."
    )
    yes, no = "Compare", "Don't compare"
    task = "verify"
    done = "the comparison begins when a worker is free."

    def detail(self, generation: Projection | None) -> str:
        if generation is None or generation.verified_at is None:
            return "These rows haven't been compared yet."
        return f"Last result: {generation.verification}"


class PromoteScreen(_ProjectionQuestion):
    title = "Let the new rows take over"
    question = (
        "The rows of the complete rebuild are brought up to date and shown from then on. The "
        "present rows are kept, so that you can roll back."
    )
    yes, no = "Take over", "Keep showing the present rows"
    status = _Status.BUILDING
    task = "take_over"
    done = "the new rows take over when a worker has brought them up to date."

    def detail(self, generation: Projection | None) -> str:
        return generation.verification if generation else "There are no new rows."

    def begin(self, name: str) -> None:
        if name not in control.rebuilding():
            raise control.NotRebuildingError(name)


class RollBackScreen(_ProjectionQuestion):
    title = "Roll back to the former rows"
    question = (
        "The rows from before the last rebuild, which were kept up to date, are shown again. The "
        "present rows are kept in their place."
    )
    yes, no = "Roll back", "Keep showing the present rows"
    status = _Status.RETIRED
    done = "the former generation is live again."

    def detail(self, generation: Projection | None) -> str:
        return _former(generation)

    def begin(self, name: str) -> None:
        generations.roll_back(name)


class DiscardScreen(_ProjectionQuestion):
    title = "Discard the former generation"
    question = (
        "The rows from before the last rebuild are deleted. You can't roll back to them "
        "afterwards. The live rows stay."
    )
    yes, no = "Delete the former rows", "Keep the former rows"
    status = _Status.RETIRED
    task = "discard_former"
    done = "the former generation is being deleted."

    def detail(self, generation: Projection | None) -> str:
        return _former(generation)

    def begin(self, name: str) -> None:
        generations.former(name)


class PauseScreen(_ProjectionQuestion):
    title = "Pause the rebuild"
    question = "The rebuild waits after its current batch, and keeps a worker, until you resume it."
    yes, no = "Pause the rebuild", "Go on"
    status = _Status.BUILDING
    done = "the rebuild pauses after its current batch."

    def detail(self, generation: Projection | None) -> str:
        return _progress(generation)

    def begin(self, name: str) -> None:
        control.pause(name)


class ResumeScreen(_ProjectionQuestion):
    title = "Resume the rebuild"
    question = "The rebuild goes on after its last batch, and its rows take over at the end."
    yes, no = "Resume the rebuild", "Leave it"
    status = _Status.BUILDING
    # Starts a rebuild, in case its process was killed. If it still runs, this is refused.
    task = "rebuild"
    done = "the rebuild resumes."

    def detail(self, generation: Projection | None) -> str:
        return _progress(generation)

    def begin(self, name: str) -> None:
        control.resume(name)


class CancelScreen(_ProjectionQuestion):
    title = "Cancel the rebuild"
    question = "The rows of the unfinished rebuild are deleted. The live rows stay."
    yes, no = "Cancel the rebuild", "Continue the rebuild"
    status = _Status.BUILDING
    # Deletes the rows unless a process that still rebuilds deletes them.
    task = "cancel_rebuild"
    done = "the rebuild ends after its current batch, and its rows are deleted."

    def detail(self, generation: Projection | None) -> str:
        return _progress(generation)

    def begin(self, name: str) -> None:
        control.request_cancel(name)


# By the name of the URL and its route.
PROJECTION_SCREENS: Mapping[str, type[_ProjectionQuestion]] = {
    "rebuild": RebuildScreen,
    "verify": VerifyScreen,
    "promote": PromoteScreen,
    "roll-back": RollBackScreen,
    "discard": DiscardScreen,
    "pause": PauseScreen,
    "resume": ResumeScreen,
    "cancel": CancelScreen,
}


def _label(name: str) -> str:
    return capfirst(labels([name]))


def _progress(generation: Projection | None) -> str:
    if generation is None:
        return "No rebuild is running."
    done, total = generation.events_done, generation.events_total
    return f"{done:,} of {total:,} events are applied."


def _former(generation: Projection | None) -> str:
    if generation is None or generation.retired_at is None:
        return "There is no former generation."
    replaced = date_format(localtime(generation.retired_at), "j M Y, H:i")
    return f"Number {generation.generation}, which was replaced on {replaced}."


def _rebuild_outcome(newest: Projection, *, is_begun: bool) -> Outcome:
    label = _label(newest.name)
    if not is_begun:
        return Outcome(messages.WARNING, f"{label}: the rebuild is queued until a worker is free.")
    number = newest.generation
    if newest.status == _Status.LIVE:
        return Outcome(messages.SUCCESS, f"{label}: rebuilt; generation {number} is live.")
    return Outcome(messages.INFO, f"{label}: generation {number} is being built.")


def _enqueue(task: str, *names: str, **options: Any) -> None:
    path = f"{settings.WORKER_TASKS}.{task}"
    async_task(path, *names, save=False, timeout=_TASK_TIMEOUT_SECONDS, **options)


def _newest(names: Collection[str]) -> dict[str, Projection]:
    """Return the newest generation of each projection, by name."""
    rows = Projection.objects.filter(name__in=names, owner=None).order_by("name", "generation")
    return {row.name: row for row in rows}


def _wait_for_rebuilds(
    names: Collection[str], before: Mapping[str, Projection]
) -> dict[str, Projection]:
    """Wait until newer generations than ``before`` are live, or _WAIT_SECONDS have passed.

    Returns the newest generation of each projection, by name.
    """
    ends_at = time.monotonic() + _WAIT_SECONDS
    while True:
        newest = _newest(names)
        rebuilt = [
            row.generation > before[name].generation and row.status == _Status.LIVE
            for name, row in newest.items()
        ]
        if all(rebuilt) or time.monotonic() > ends_at:
            return newest
        time.sleep(_POLL_SECONDS)
