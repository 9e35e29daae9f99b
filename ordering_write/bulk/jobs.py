"""Bulk jobs as people see them: started, confirmed or discarded, looked at, and deleted."""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from config.accounts.models import User
from config.databases import retry
from ordering_write.bulk import running
from ordering_write.domain.commands import Command
from ordering_write.domain.errors import NotFoundError
from ordering_write.models import BulkItem, BulkJob

logger = logging.getLogger(__name__)

# The most orders of one job.
MOST_ITEMS = 500
# Up to so many items, the request of the user carries the job out; the workers do it beyond.
MOST_AT_ONCE = 50
# Seconds that a user's request waits until the read side shows the effects of a small job.
_WAIT_SECONDS = 2.0
# The time after which a job that nobody has confirmed is deleted, with the texts in its commands.
_UNCONFIRMED = timedelta(days=1)

_Outcome = BulkItem.Outcome

# A command: its type, and its payload. A command about a shipment that an earlier command of the
# same item makes has no shipment_id.
Step = tuple[type[Command], Mapping[str, Any]]


class BulkJobNotFoundError(NotFoundError):
    """You have no such bulk action."""


class ItemDraft(NamedTuple):
    """The commands of a new job about one order."""

    order_id: UUID
    order_number: str
    steps: Sequence[Step]


# --- Starting a job ------------------------------------------------------------------------------
def start(
    job_id: UUID, drafts: Sequence[ItemDraft], *, title: str, user: User, is_confirmed: bool = False
) -> UUID:
    """Store a job of ``user`` and return its id; a repeat with the same ``job_id`` stores nothing.

    The job is checked by dry runs, unless ``is_confirmed``. A small job is checked, or carried out,
    before this function returns.
    """
    job_id = _own_id(job_id, user)
    with transaction.atomic():
        fields: dict[str, Any] = {
            "user": user,
            "title": title,
            "created_at": Now(),
            "leased_until": Now(),
        }
        if is_confirmed:
            fields |= {"checked_at": Now(), "confirmed_at": Now()}
        _, is_new = BulkJob.objects.get_or_create(pk=job_id, defaults=fields)
        if is_new:
            outcome = _Outcome.READY if is_confirmed else _Outcome.UNCHECKED
            BulkItem.objects.bulk_create(
                _item(job_id, number, draft, outcome) for number, draft in enumerate(drafts)
            )
    return _go_on(job_id, len(drafts))


def started(job_id: UUID, *, user: User) -> UUID | None:
    """Return the id of the job that ``start`` stored for ``user`` with this ``job_id``, if any."""
    own_id = _own_id(job_id, user)
    return own_id if BulkJob.objects.filter(pk=own_id).exists() else None


def _own_id(job_id: UUID, user: User) -> UUID:
    # Nobody can use the id of another user's job.
    return uuid5(user.pk, f"bulk {job_id}")


def _item(job_id: UUID, number: int, draft: ItemDraft, outcome: str) -> BulkItem:
    steps = [[command_type.__name__, payload] for command_type, payload in draft.steps]
    return BulkItem(
        job_id=job_id,
        number=number,
        order_id=draft.order_id,
        order_number=draft.order_number,
        steps=steps,
        outcome=outcome,
    )


def confirm(job_id: UUID, *, user: User) -> UUID:
    """Give the commands of a checked job that can be given; a repeat does nothing.

    A small job is carried out before this function returns. Raises BulkJobNotFoundError.
    """
    job = job_of(job_id, user_id=user.pk)
    unconfirmed = BulkJob.objects.filter(pk=job_id, confirmed_at=None).exclude(checked_at=None)
    unconfirmed.update(confirmed_at=Now(), leased_until=Now())
    return _go_on(job_id, job.items.count())


def discard(job_id: UUID, *, user: User) -> bool:
    """Delete a job that isn't confirmed, and return True; False if its commands are given."""
    deleted, _ = BulkJob.objects.filter(pk=job_id, user=user, confirmed_at=None).delete()
    return bool(deleted)


def _go_on(job_id: UUID, items: int) -> UUID:
    """Go on with a job, and wait for the read side to show the effects of a small one."""
    if items > MOST_AT_ONCE:
        running.enqueue()
        return job_id
    try:
        last_event_id = running.run(job_id)
    except Exception as error:
        if not retry.is_transient(error):
            raise
        # The workers go on when the lease ends.
        logger.warning("The bulk job %s pauses: %s", job_id, error)
        return job_id
    if last_event_id:
        wait = import_string(settings.READ_SIDE_WAIT)
        wait(event_id=last_event_id, projections=(), timeout=_WAIT_SECONDS)
    return job_id


# --- Looking at jobs -----------------------------------------------------------------------------
def job_of(job_id: UUID, *, user_id: UUID) -> BulkJob:
    """Return a job of a user. Raises BulkJobNotFoundError."""
    job = BulkJob.objects.filter(pk=job_id, user_id=user_id).first()
    if job is None:
        raise BulkJobNotFoundError
    return job


def jobs_of(user_id: UUID) -> "QuerySet[BulkJob]":
    """Return the jobs of a user, the newest first."""
    return BulkJob.objects.filter(user_id=user_id).order_by("-created_at")


# --- Deleting jobs -------------------------------------------------------------------------------
def prune() -> int:
    """Delete jobs that are as old as command records get, and forgotten ones; return their number.

    A job whose commands are being given stays.
    """
    record_days = timedelta(days=settings.COMMAND_RECORD_DAYS)
    is_old = Q(finished_at__lte=Now() - record_days)
    is_forgotten = Q(confirmed_at=None, created_at__lte=Now() - _UNCONFIRMED)
    _, counts = BulkJob.objects.filter(is_old | is_forgotten).delete()
    return counts.get(BulkJob._meta.label, 0)
