"""Queries for the events of one order and of the whole log."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema

from config.http.answers import pagination
from config.http.answers.pagination import COUNT_CAP
from config.http.input.ids import PathId
from config.http.input.query import number
from ordering_read.fields import StreamName, Version
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import Several
from ordering_read.queries.lists import ListQuery
from ordering_read.queries.orders import OrderNotFoundError
from ordering_read.queries.views import Page, View
from ordering_write.published import DomainEvent, feed

_MAX_EVENTS = 1_000
_ORDERING = "events:version"


def _existing_type(name: str) -> str:
    if name not in DomainEvent.types:
        raise ValueError(f"there is no event type {name!r}")
    return name


EventType = Annotated[
    str,
    AfterValidator(_existing_type),
    WithJsonSchema({"type": "string", "enum": sorted(DomainEvent.types)}),
]


class EventView(View):
    """An event as it is stored.

    `version` is the number of the event in its `stream`. `position` is its position in the log,
    null until the sequencer assigns it. `timestamp` is the time when the event happened, and
    `recorded_at` the time when the service recorded it. `data` has the fields of the event's type
    at `schema_version`. Personal fields are left out for users without the permission to see them;
    erased fields read "[erased]". `hash` covers the content of the event and the hash of the
    previous event of the stream.
    """

    event_id: UUID
    stream: StreamName
    version: Version
    position: int | None
    type: str
    schema_version: int
    timestamp: datetime
    recorded_at: datetime
    actor: dict[str, str]
    channel: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    commit_id: UUID
    hash: str
    data: dict[str, Any]


class GetOrderEvents(ListQuery[EventView]):
    """List the events of an order as the log stores them; none for a customer."""

    order_id: PathId


class FeedView(View):
    """Events in the order of the log. For the next events, ask for those after ``position``."""

    events: tuple[EventView, ...]
    position: int


class ReadFeed(Query[FeedView]):
    """Read the events after a position, of some types or of all; none for a customer.

    The result may be empty before the end of the log, where few events are of the ``types``.
    """

    after: number(ge=0, le=10**18) = Field(  # type: ignore[valid-type]
        0, description="The position before the first event; 0 is the beginning of the log."
    )
    types: Several[EventType] = Field(
        (), description="Events of these types only; by default of all types."
    )
    limit: number(ge=1, le=_MAX_EVENTS) = Field(  # type: ignore[valid-type]
        100, description="The largest number of events in the answer."
    )


@handles(GetOrderEvents)
class GetOrderEventsHandler(QueryHandler[GetOrderEvents, Page[EventView]]):
    """Reads a page, in two statements."""

    def handle(self, query: GetOrderEvents) -> Page[EventView]:
        stream = f"order-{query.order_id}"
        count = feed.count_stream(stream)
        if not count or query.customer_scope is not None:
            raise OrderNotFoundError
        after = _version_before(query)
        events = feed.read_stream(stream, after=after, limit=query.page_size)
        # Versions have no gaps, so the version of the last event follows from the first.
        end = after + len(events)
        return Page(
            items=tuple(_event_view(query, event) for event in events),
            count=min(count, COUNT_CAP) if query.cursor is None else None,
            capped=query.cursor is None and count > COUNT_CAP,
            page=query.page,
            page_size=query.page_size,
            cursor=query.cursor,
            next_cursor=pagination.make_cursor([str(end)], ordering=_ORDERING)
            if events and end < count
            else None,
        )


@handles(ReadFeed)
class ReadFeedHandler(QueryHandler[ReadFeed, FeedView]):
    """Reads the log, in two statements."""

    def handle(self, query: ReadFeed) -> FeedView:
        batch = feed.read_log(after=query.after, types=query.types, limit=query.limit)
        visible = batch.events if query.customer_scope is None else []
        events = tuple(_event_view(query, event) for event in visible)
        return FeedView(events=events, position=batch.position)


def _version_before(query: GetOrderEvents) -> int:
    """Return the version of the last event before the page; 0 for the first page."""
    if query.cursor is None:
        return (query.page - 1) * query.page_size
    return int(pagination.read_cursor(query.cursor, ordering=_ORDERING)[0]) if query.cursor else 0


def _event_view(query: Query[Any], event: feed.StoredEvent) -> EventView:
    personal = event.personal if query.with_personal else {}
    return EventView.of_row(event, data={**event.data, **personal})
