"""Reads the events of one correlation, which are those that follow from one request."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import OuterRef, Subquery

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
    """
    record = CommandRecord.objects.filter(pk=OuterRef("command_id"))
    events = OutboxEvent.objects.filter(correlation_id=correlation_id).order_by("id")
    events = events.annotate(command_type=Subquery(record.values("type")))
    return [CorrelatedEvent(*row) for row in events.values_list(*CorrelatedEvent._fields)[:limit]]
