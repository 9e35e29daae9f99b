"""Reads the events of one correlation, which are those that follow from one request."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import OuterRef, Subquery

from ordering_write.log import decoding, detached
from ordering_write.models.archived_file import DetachedSpan
from ordering_write.models.command_record import CommandRecord
from ordering_write.models.outbox import OutboxEvent


class CorrelatedEvent(NamedTuple):
    """An event without its content; ``id`` is its row in the log, ``recorded_at`` in UTC.

    ``causation_id`` is the id of its command, or of the event to which a policy reacted by that
    command. ``command_type`` is None for a command whose record was deleted.
    """

    id: int
    event_id: UUID
    stream: str
    version: int
    type: str
    recorded_at: datetime
    actor: Mapping[str, str]
    channel: str
    command_id: UUID
    causation_id: UUID
    command_type: str | None


def read_correlation(correlation_id: UUID, *, limit: int) -> list[CorrelatedEvent]:
    """Return the first ``limit`` events of a correlation, of all streams, by one statement.

    The events aren't decoded, so that one that this code can't read is returned like the others.
    Commands of events that have left the database have no records.
    """
    record = CommandRecord.objects.filter(pk=OuterRef("command_id"))
    span = DetachedSpan.objects.filter(pk=correlation_id)
    rows = OutboxEvent.objects.filter(correlation_id=correlation_id).order_by("id")
    rows = rows.annotate(command_type=Subquery(record.values("type")))
    rows = rows.annotate(first=Subquery(span.values("first")), last=Subquery(span.values("last")))
    found = list(rows.values_list(*CorrelatedEvent._fields, "first", "last")[:limit])
    events = [CorrelatedEvent(*row[:-2]) for row in found]
    bounds = found[0][-2:] if found else span.values_list("first", "last").first()
    if bounds is None or bounds[0] is None:
        return events
    stored = detached.read_correlation(correlation_id, detached.Span(*bounds))
    by_id = {event.id: event for event in [*map(_event, stored), *events]}
    return [by_id[row_id] for row_id in sorted(by_id)[:limit]]


def _event(row: detached.Stored) -> CorrelatedEvent:
    parsed = decoding.parse({**row, "personal": None, "command_type": None})
    return CorrelatedEvent(*(parsed[name] for name in CorrelatedEvent._fields))
