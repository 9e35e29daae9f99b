"""Carrying out bulk jobs: dry runs of their commands, or the commands themselves, one by one.

A job goes on after a crash: each outcome is stored as soon as it is known, and the id of a command
follows from its job and its item, so that a command that is given again takes effect once.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django_q.tasks import async_task
from pydantic import ValidationError

from config import logs
from config.accounts.models import User
from config.databases import retry
from ordering_write.bus import get_command_bus, refusals
from ordering_write.bus.permissions import authorize, envelope
from ordering_write.domain import commands
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import DomainError, NotPermittedError
from ordering_write.domain.events import DomainEvent
from ordering_write.models import BulkItem, BulkJob

logger = logging.getLogger(__name__)

# The time for which a job belongs to a process: the delay if the process is killed. A command
# waits at most 5 s for a lock.
LEASE = timedelta(seconds=30)
_RENEWAL_SECONDS = 5.0
# An item whose process was killed so often has failed.
_TRIES = 3

_Outcome = BulkItem.Outcome


def enqueue() -> None:
    """Ask the workers to go on with the jobs."""
    async_task(f"{settings.WORKER_TASKS}.run_bulk_jobs", save=False)


def run_waiting(*, seconds: float) -> bool:
    """Go on with the jobs, the oldest first, for about ``seconds``; return True if work is left.

    A job that belongs to another process is left to it.
    """
    ends_at = time.monotonic() + seconds
    for job_id in list(_waiting().values_list("pk", flat=True)):
        if time.monotonic() >= ends_at:
            break
        run(job_id, seconds=ends_at - time.monotonic())
    return _waiting().exists()


def _waiting() -> "QuerySet[BulkJob]":
    has_work = Q(checked_at=None) | ~Q(confirmed_at=None)
    return BulkJob.objects.filter(has_work, _free(), finished_at=None).order_by("created_at")


def _free() -> Q:
    return Q(leased_until__lte=Now())


def run(job_id: UUID, *, seconds: float = math.inf) -> UUID | None:
    """Check the items of a job, or give their commands, for about ``seconds``.

    Returns the id of the last event, if any. Does nothing if there is nothing to do or another
    process is at the job. Raises transient errors of the database; the job goes on when its lease
    ends.
    """
    jobs = BulkJob.objects.filter(pk=job_id)
    if not jobs.filter(_free(), finished_at=None).update(leased_until=Now() + LEASE):
        return None
    job = jobs.select_related("user").get()
    act, outcome = (_give, _Outcome.READY) if job.confirmed_at else (_check, _Outcome.UNCHECKED)
    ends_at, renewed_at = time.monotonic() + seconds, time.monotonic()
    last_event_id = None
    for item in job.items.filter(outcome=outcome):
        if time.monotonic() >= ends_at:
            break
        if time.monotonic() > renewed_at + _RENEWAL_SECONDS:
            jobs.update(leased_until=Now() + LEASE)
            renewed_at = time.monotonic()
        with logs.bound_ids(correlation_id=job.pk):
            end = _end_of(act, job, item)
            _store(item, end)
        last_event_id = end.event_id or last_event_id
    is_over = not job.items.filter(outcome=outcome).exists()
    column = "finished_at" if job.confirmed_at else "checked_at"
    jobs.update(leased_until=Now(), **({column: Now()} if is_over else {}))
    return last_event_id


class _End(NamedTuple):
    """The outcome of an item, why it was refused or failed, and the id of its last event."""

    outcome: str
    reason: str = ""
    event_id: UUID | None = None


def _store(item: BulkItem, end: _End) -> None:
    fields: dict[str, Any] = {"outcome": end.outcome, "reason": end.reason, "tries": 0}
    if end.outcome != _Outcome.READY:
        # The texts of commands that are no longer needed are deleted.
        fields["steps"] = []
    BulkItem.objects.filter(pk=item.pk).update(**fields)


def _end_of(act: Callable[[BulkJob, BulkItem], _End], job: BulkJob, item: BulkItem) -> _End:
    if item.tries >= _TRIES:
        return _End(_Outcome.FAILED, "Each process that tried it was killed.")
    # A try is counted before it begins, since a try that kills the process can't be counted after.
    BulkItem.objects.filter(pk=item.pk).update(tries=F("tries") + 1)
    try:
        return act(job, item)
    except (DomainError, ValidationError) as refusal:
        return _End(_Outcome.REFUSED, _text(refusal))
    except Exception as error:
        if retry.is_transient(error):
            raise
        logger.exception("An item of the bulk job %s failed.", job.pk)
        return _End(_Outcome.FAILED, "Something went wrong on our side. It has been logged.")


def _text(refusal: DomainError | ValidationError) -> str:
    if isinstance(refusal, ValidationError):
        return "; ".join(error["msg"] for error in refusal.errors())
    return str(refusal)


def _check(job: BulkJob, item: BulkItem) -> _End:
    """Return the end of a dry run of the first command; later ones depend on its effect."""
    command = _command(job, item, 0, ())
    authorize(job.user, command)
    preview = get_command_bus().preview(command)
    return _End(_Outcome.READY if preview.would_emit else _Outcome.UNCHANGED)


def _give(job: BulkJob, item: BulkItem) -> _End:
    """Give the commands of an item one after the other, and return the end."""
    events: list[DomainEvent] = []
    for number in range(len(item.steps)):
        command = _command(job, item, number, events)
        try:
            _authorize(job.user, command)
            events += get_command_bus().dispatch(command)
        except DomainError as refusal:
            if not events:
                raise
            # Only a parcel has a second command.
            text = f"Packed, but not dispatched: {refusal}"
            return _End(_Outcome.REFUSED, text, events[-1].recorded.event_id)
    if not events:
        return _End(_Outcome.UNCHANGED)
    return _End(_Outcome.DONE, event_id=events[-1].recorded.event_id)


def _authorize(user: User, command: Command) -> None:
    """Keep the attempt of a user who may no longer give the command. Raises NotPermittedError."""
    try:
        authorize(user, command)
    except NotPermittedError as error:
        refusals.keep(refusals.Attempt.of(command), error)
        raise


def _command(job: BulkJob, item: BulkItem, number: int, events: Sequence[DomainEvent]) -> Command:
    """Return a command of an item; ``events`` are those of the commands before."""
    name, payload = item.steps[number]
    command_type: type[Command] = getattr(commands, name)
    shipments = [event.shipment_id for event in events if hasattr(event, "shipment_id")]
    if "shipment_id" in command_type.model_fields and shipments:
        payload = {"shipment_id": shipments[-1], **payload}
    fields = {
        "order_id": item.order_id,
        "command_id": uuid5(job.pk, f"{item.number} {number}"),
        "correlation_id": job.pk,
    }
    own = envelope(job.user, channel="admin")
    return command_type.model_validate({**payload, **own, **fields})
