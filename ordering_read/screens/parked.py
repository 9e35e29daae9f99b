"""The questions before somebody retries or skips parked events."""

from collections.abc import Iterable, Sequence

from django import forms
from django.contrib import messages
from django.http import Http404

from config.http.admin import parse_uuid
from config.http.answers.problems import detail_of, is_anticipated
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.admin.parked_events import change_name, reason_of
from ordering_read.admin.streams import stream_label
from ordering_read.engine.live import PROJECTIONS
from ordering_read.models import ParkedEvent
from ordering_read.projector import labels
from ordering_read.screens.questions import Outcome, QuestionScreen, ReasonForm, Thing
from ordering_write.published import parked, stream_names


class _ParkedQuestion(QuestionScreen):
    """A question about parked events."""

    needed_permission = permissions.MANAGE_PARKED_EVENTS
    selected_by = "id"
    back = "admin:ordering_read_parkedevent_changelist"
    back_label = "Parked events"

    def events(self, keys: Sequence[str]) -> Sequence[ParkedEvent]:
        """Return the events with these keys that aren't skipped, in the order of the log."""
        for key in keys:
            if parse_uuid(key) is None:
                raise Http404(f"{key} isn't the id of a parked event.")
        rows = parked.parked_events(PROJECTIONS).filter(pk__in=keys, skipped_at=None)
        return list(rows.order_by("position", "checkpoint_id"))

    def things(self, keys: Sequence[str]) -> Sequence[Thing]:
        events = self.events(keys)
        names = stream_names({event.stream for event in events})
        with_personal = self.may(permissions.VIEW_PII)
        return [
            Thing(
                str(event.pk),
                change_name(event, names),
                reason_of(event, with_personal=with_personal),
            )
            for event in events
        ]


class RetryParkedScreen(_ParkedQuestion):
    title = "Retry parked changes"
    question = (
        "These changes are applied again, each with all later changes of the same order, product "
        "or customer, in order. A change that still fails stays parked. A change that killed its "
        "worker may kill this page's process: correct the cause first."
    )
    yes, no = "Retry", "Leave them parked"

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        rows = parked.parked_events(PROJECTIONS).filter(pk__in=[thing.key for thing in things])
        results = parked.retry(PROJECTIONS, rows)
        names = stream_names({retried.stream for retried in results})
        for retried in results:
            subject = stream_label(retried.stream, names.get(retried.stream, ""))
            changes = f"{retried.applied:,} change{'' if retried.applied == 1 else 's'}"
            text = f"{subject}, in {labels([retried.checkpoint.name])}: {changes} applied."
            if (blocking := retried.blocked_by) is None:
                yield Outcome(messages.SUCCESS, text)
                continue
            reason = reason_of(blocking, with_personal=self.may(permissions.VIEW_PII))
            yield Outcome(messages.ERROR, f"{text} The next one still fails. {reason}")


class SkipParkedScreen(_ParkedQuestion):
    title = "Skip parked changes"
    question = (
        "The lists named below never show these changes, also after a rebuild, unless the changes "
        "can be applied by then. The log keeps them. Changes that wait behind them are applied."
    )
    yes, no = "Skip", "Leave them parked"
    form_class = ReasonForm

    def act(self, things: Sequence[Thing], form: forms.Form) -> Iterable[Outcome]:
        reason, by = form.cleaned_data["reason"], permissions.actor_label(user_of(self.request))
        names = {thing.key: thing.name for thing in things}
        for event in self.events(list(names)):
            name = names[str(event.pk)]
            try:
                parked.skip(PROJECTIONS, event, reason=reason, by=by)
            except parked.ParkedEventNotFoundError:
                # It waited behind a change that was skipped just now.
                yield Outcome(messages.INFO, f"{name}: applied, so it isn't skipped.")
            except Exception as error:
                if not is_anticipated(error):
                    raise
                yield Outcome(messages.ERROR, f"{name}: {detail_of(error)}")
            else:
                yield Outcome(messages.SUCCESS, f"{name}: skipped.")
