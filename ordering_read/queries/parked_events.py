"""The questions about the events that projections couldn't apply."""

from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Value
from django.db.models.functions import Coalesce

from ordering_read.engine.live import PROJECTIONS
from ordering_read.fields import StreamName, Version
from ordering_read.models import ParkedEvent
from ordering_read.queries.base import ListQuery, Page, Query, QueryHandler, View
from ordering_write.published import parked

_NEVER = datetime.max.replace(tzinfo=UTC)


class ParkedEventView(View):
    """An event that a projection lacks.

    `category` says what it is held up by: `unknown-type`, `undecodable`, `projection-error`,
    `crash`, or `waiting` for an earlier event of its stream. `message` says more.
    """

    id: UUID
    projection: str
    generation: int
    event_id: UUID
    type: str
    stream: StreamName
    version: Version
    position: int
    category: str
    message: str
    tries: int
    parked_at: datetime
    tried_at: datetime | None
    skipped_at: datetime | None
    skipped_by: str
    skip_reason: str


class ParkedEventDetail(ParkedEventView):
    """Also where in the code it failed."""

    traceback: str


class GetParkedEvent(Query[ParkedEventDetail]):
    """One parked or skipped event."""

    parked_event_id: UUID


class ListParkedEvents(ListQuery[ParkedEventView]):
    """Parked events, in the order in which they were parked, and after them the skipped ones."""

    projection: str = ""
    stream: str = ""


class GetParkedEventHandler(QueryHandler[GetParkedEvent, ParkedEventDetail]):
    """Reads one row."""

    def handle(self, query: GetParkedEvent) -> ParkedEventDetail:
        row = parked.find(PROJECTIONS, query.parked_event_id)
        return ParkedEventDetail(**dict(parked_event_view(row)), traceback=row.traceback)


class ListParkedEventsHandler(QueryHandler[ListParkedEvents, Page[ParkedEventView]]):
    """Reads a page, in one statement."""

    def handle(self, query: ListParkedEvents) -> Page[ParkedEventView]:
        rows = parked.parked_events(PROJECTIONS, name=query.projection, stream=query.stream)
        # Those that aren't skipped come before all that are, the newest of these first.
        shelved = rows.annotate(shelved_at=Coalesce("skipped_at", Value(_NEVER)))
        return query.page_of(shelved.order_by("-shelved_at", "id"), parked_event_view)


def parked_event_view(row: ParkedEvent) -> ParkedEventView:
    """How a parked event is shown."""
    return ParkedEventView(
        id=row.pk,
        projection=row.checkpoint.name,
        generation=row.checkpoint.generation,
        event_id=row.event_id,
        type=row.type,
        stream=row.stream,
        version=row.version,
        position=row.position,
        category=row.category,
        message=row.message,
        tries=row.tries,
        parked_at=row.parked_at,
        tried_at=row.tried_at,
        skipped_at=row.skipped_at,
        skipped_by=row.skipped_by,
        skip_reason=row.skip_reason,
    )
