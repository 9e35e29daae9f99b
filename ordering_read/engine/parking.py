"""Parked events: which there are, trying them again, and skipping them."""

from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

from django.db.models import QuerySet

from ordering_read.engine import live
from ordering_read.models import ParkedEvent, Projection
from ordering_read.projector import projector, registered
from ordering_write import published

# What a rebuild fills is tried afresh anyway, and nobody else may write it meanwhile.
_KEPT = (Projection.Status.LIVE, Projection.Status.RETIRED)
Reason = published.parking.Reason


class ParkedEventNotFoundError(published.NotFoundError):
    """Parked event not found"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What became of a stream that was tried again: how many of its events were applied, and
    which one holds it up, None when it is no longer parked."""

    generation: Projection
    stream: str
    applied: int
    held_by: ParkedEvent | None

    def __str__(self) -> str:
        events = f"{self.applied:,} event{'' if self.applied == 1 else 's'} applied"
        end = f"still held up by {self.held_by}: {self.held_by.message}" if self.held_by else "done"
        return f"{self.generation}, {self.stream}: {events}, {end}"


def parked(*, projection: str = "", stream: str = "") -> QuerySet[ParkedEvent]:
    """The parked and skipped events, of one projection or stream where one is named, in the order
    in which they were parked.

    Raises UnknownProjectionError.
    """
    rows = ParkedEvent.objects.select_related("checkpoint").filter(
        checkpoint__name__in=registered(), checkpoint__status__in=_KEPT
    )
    if projection:
        rows = rows.filter(checkpoint__name=projector(projection).name)
    if stream:
        rows = rows.filter(stream=stream)
    return rows


def find(parked_event_id: UUID) -> ParkedEvent:
    """One parked or skipped event. Raises ParkedEventNotFoundError."""
    row = parked().filter(pk=parked_event_id).first()
    if row is None:
        raise ParkedEventNotFoundError
    return row


def held_up(*, projection: str = "", stream: str = "") -> QuerySet[ParkedEvent]:
    """Of these, the events that hold up their streams. Raises UnknownProjectionError."""
    rows = parked(projection=projection, stream=stream).filter(skipped_at=None)
    return rows.exclude(category=ParkedEvent.Category.WAITING)


def waiting_behind(row: ParkedEvent) -> int:
    """How many later events of its stream wait behind a parked event."""
    rows = row.checkpoint.parked_events.filter(stream=row.stream, version__gt=row.version)
    return rows.filter(skipped_at=None).count()


def retry(rows: QuerySet[ParkedEvent]) -> list[Retried]:
    """Try again the streams that the parked events ``rows`` belong to, each in a transaction.

    Works beside a live runner, which waits. An event that killed its process may kill this one.
    """
    first_ones = rows.filter(skipped_at=None).order_by("checkpoint_id", "stream", "version")
    streams = first_ones.distinct("checkpoint_id", "stream")
    # In the order of the log, which where rows mix streams is the likeliest to be right.
    return [
        _retry(row.checkpoint, row.stream) for row in sorted(streams, key=attrgetter("position"))
    ]


def retry_stream(row: ParkedEvent) -> Retried:
    """Try again the stream that a parked event belongs to; nothing happens when it isn't parked."""
    return _retry(row.checkpoint, row.stream)


def skip(row: ParkedEvent, *, reason: str, by: str) -> Retried:
    """Let a projection go without the event that holds up a stream, and apply what waits behind it.

    The row stays, with the ``reason`` and ``by`` whom. Raises ParkedEventNotFoundError,
    EventWaitsError and EventSkippedError.
    """
    generation = row.checkpoint
    try:
        applied = published.parking.skip(
            _kept(generation),
            row,
            live.subscriber(projector(generation.name)),
            reason=reason,
            by=by,
        )
    except ParkedEvent.DoesNotExist:
        raise ParkedEventNotFoundError from None
    return _retried(generation, row.stream, applied)


def skip_everywhere(event_id: UUID, *, reason: str, by: str) -> list[Retried]:
    """``skip`` an event in every projection in which it holds up its stream.

    Raises ParkedEventNotFoundError, EventSkippedError, and EventWaitsError when it holds up none.
    """
    known = list(parked().filter(event_id=event_id))
    if not known:
        raise ParkedEventNotFoundError
    rows = [row for row in known if row.skipped_at is None]
    if not rows:
        raise published.EventSkippedError
    holding = [row for row in rows if row.category != ParkedEvent.Category.WAITING]
    if not holding:
        raise published.EventWaitsError
    return [skip(row, reason=reason, by=by) for row in holding]


def _kept(generation: Projection) -> QuerySet[Projection]:
    return Projection.objects.filter(pk=generation.pk, status__in=_KEPT)


def _retry(generation: Projection, stream: str) -> Retried:
    subscriber = live.subscriber(projector(generation.name))
    applied = published.parking.retry(_kept(generation), stream, subscriber)
    return _retried(generation, stream, applied)


def _retried(generation: Projection, stream: str, applied: int) -> Retried:
    holding = held_up(stream=stream).filter(checkpoint=generation)
    return Retried(generation=generation, stream=stream, applied=applied, held_by=holding.first())
