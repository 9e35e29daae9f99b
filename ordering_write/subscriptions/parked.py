"""Parked events for operators: list them, retry their streams, skip them; for any subscription."""

import logging
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from config.databases.retry import on_transient_errors
from config.fields.text import Text
from ordering_write.domain.errors import DomainError, NotFoundError
from ordering_write.subscriptions import parking
from ordering_write.subscriptions.checkpoint import ParkedEvent
from ordering_write.subscriptions.registry import Subscription

logger = logging.getLogger(__name__)

# The reason for a skip.
Reason = Annotated[str, Text(max_length=500, lines=True)]


class ParkedEventNotFoundError(NotFoundError):
    """Parked event not found"""


class EventWaitsError(DomainError):
    """The event waits for an earlier one of its stream: retry or skip that one."""


class EventSkippedError(DomainError):
    """The event was skipped already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """The result of a retry: how many events of a stream were applied, and which event still
    blocks the stream, None if it is no longer parked."""

    checkpoint: Any
    stream: str
    applied: int
    blocked_by: Any

    def __str__(self) -> str:
        events = f"{self.applied:,} event{'' if self.applied == 1 else 's'} applied"
        end = "done"
        if self.blocked_by:
            end = f"still blocked by {self.blocked_by}: {self.blocked_by.message}"
        return f"{self.checkpoint}, {self.stream}: {events}, {end}"


def parked_events(
    subscription: Subscription, *, name: str = "", stream: str = ""
) -> "QuerySet[Any]":
    """Return parked and skipped events, in the order in which they were parked.

    ``name`` and ``stream`` restrict them to one subscriber and one stream. Raises
    UnknownSubscriberError.
    """
    checkpoints = subscription.checkpoints()
    if name:
        subscription.require(name)
        checkpoints = checkpoints.filter(name=name)
    rows = subscription.parked_event_model._default_manager.filter(checkpoint__in=checkpoints)
    return (rows.filter(stream=stream) if stream else rows).select_related("checkpoint")


def blocking_events(
    subscription: Subscription, *, name: str = "", stream: str = ""
) -> "QuerySet[Any]":
    """Return the events that block their streams. Raises UnknownSubscriberError."""
    rows = parked_events(subscription, name=name, stream=stream).filter(skipped_at=None)
    return rows.exclude(category=ParkedEvent.Category.WAITING)


def find(subscription: Subscription, parked_event_id: UUID) -> Any:
    """Return one parked or skipped event. Raises ParkedEventNotFoundError."""
    row = parked_events(subscription).filter(pk=parked_event_id).first()
    if row is None:
        raise ParkedEventNotFoundError
    return row


def count_waiting(row: Any) -> int:
    """Return how many later events of its stream wait behind a parked event."""
    rows = row.checkpoint.parked_events.filter(stream=row.stream, version__gt=row.version)
    return int(rows.filter(skipped_at=None).count())


def retry(subscription: Subscription, rows: "QuerySet[Any]") -> list[Retried]:
    """Apply the parked streams of the events in ``rows``, each in a transaction of its own.

    Works beside a live runner, which waits. An event that killed its process may kill this one.
    """
    first_rows = rows.filter(skipped_at=None).order_by("checkpoint_id", "stream", "version")
    streams = first_rows.distinct("checkpoint_id", "stream")
    # In the order of the log, which is the safest where effects of different streams meet.
    return [retry_stream(subscription, row) for row in sorted(streams, key=attrgetter("position"))]


def retry_stream(subscription: Subscription, row: Any) -> Retried:
    """Apply the parked events of the stream of ``row``, in order; none if it isn't parked.

    An event that still can't be applied stays parked, with the events behind it.
    """

    def act() -> int:
        with transaction.atomic(using=row._state.db):
            checkpoint = _lock_checkpoint(subscription, row)
            rows = parking.parked_rows(checkpoint, row.stream) if checkpoint else []
            if not rows:
                return 0
            return parking.apply_parked(checkpoint, rows, subscription.subscriber(checkpoint))

    return _retry_result(subscription, row, applied=on_transient_errors(act))


def skip(subscription: Subscription, row: Any, *, reason: str, by: str) -> Retried:
    """Never apply the event that blocks a stream, and apply the events behind it.

    The row stays, with the ``reason`` and the name of the operator, ``by``. Raises
    ParkedEventNotFoundError, EventWaitsError and EventSkippedError.
    """

    def act() -> int:
        with transaction.atomic(using=row._state.db):
            checkpoint = _lock_checkpoint(subscription, row)
            parked = checkpoint and checkpoint.parked_events.filter(pk=row.pk).first()
            if parked is None:
                raise ParkedEventNotFoundError
            if parked.skipped_at is not None:
                raise EventSkippedError
            if parked.category == ParkedEvent.Category.WAITING:
                raise EventWaitsError
            parked.skipped_at, parked.skipped_by, parked.skip_reason = Now(), by, reason
            parked.save(update_fields=["skipped_at", "skipped_by", "skip_reason"])
            logger.warning("%s: %s is skipped by %s: %s", checkpoint, parked, by, reason)
            rows = parking.parked_rows(checkpoint, parked.stream)
            return parking.apply_parked(checkpoint, rows, subscription.subscriber(checkpoint))

    return _retry_result(subscription, row, applied=on_transient_errors(act))


def skip_event(
    subscription: Subscription, event_id: UUID, *, reason: str, by: str
) -> list[Retried]:
    """Skip an event for every subscriber of ``subscription`` whose stream it blocks.

    Raises ParkedEventNotFoundError, EventSkippedError, and EventWaitsError if it blocks none.
    """
    rows = list(parked_events(subscription).filter(event_id=event_id))
    if not rows:
        raise ParkedEventNotFoundError
    parked = [row for row in rows if row.skipped_at is None]
    if not parked:
        raise EventSkippedError
    blocking = [row for row in parked if row.category != ParkedEvent.Category.WAITING]
    if not blocking:
        raise EventWaitsError
    return [skip(subscription, row, reason=reason, by=by) for row in blocking]


def _lock_checkpoint(subscription: Subscription, row: Any) -> Any:
    # Waits for the runner that holds the checkpoint; None if its generation was discarded.
    return subscription.checkpoints().select_for_update().filter(pk=row.checkpoint_id).first()


def _retry_result(subscription: Subscription, row: Any, *, applied: int) -> Retried:
    blocking = blocking_events(subscription, stream=row.stream)
    return Retried(
        checkpoint=row.checkpoint,
        stream=row.stream,
        applied=applied,
        blocked_by=blocking.filter(checkpoint=row.checkpoint).first(),
    )
