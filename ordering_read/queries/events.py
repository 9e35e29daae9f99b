"""The questions for events themselves: those of one order, and those of the whole log."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from config.http.answers import pagination
from config.http.answers.pagination import COUNT_CAP
from ordering_read.fields import StreamName, Version
from ordering_read.queries.base import ListQuery, Page, Query, QueryHandler, View
from ordering_read.queries.orders import OrderNotFoundError
from ordering_write.published import feed

MAX_EVENTS = 1_000
_ORDERING = "events:version"


class EventView(View):
    """An event as it was stored.

    `version` is its place in its `stream` and `position` that in the log, null as long as it has
    none. `timestamp` is when it happened, `recorded_at` when we learnt it. `data` has the fields
    that its type has by `schema_version`; personal ones are left out for those who may not see
    them, and "[erased]" once they were erased. `hash` is made of its content and of the hash before
    it in its stream.
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

    @classmethod
    def of(cls, event: feed.StoredEvent, *, with_personal: bool) -> Self:
        fields = dict(event)
        personal = fields.pop("personal")
        return cls(**{**fields, "data": {**event.data, **(personal if with_personal else {})}})


class GetOrderEvents(ListQuery[EventView]):
    """What has happened to an order, as the log has it; not for one of its customers."""

    order_id: UUID


class GetOrderEventsHandler(QueryHandler[GetOrderEvents, Page[EventView]]):
    """Reads a page, in two statements."""

    def handle(self, query: GetOrderEvents) -> Page[EventView]:
        stream = f"order-{query.order_id}"
        count = feed.length(stream)
        if not count or query.customer_scope is not None:
            raise OrderNotFoundError
        after, size = _start(query), query.page_size
        events = feed.of_stream(stream, after=after, limit=size)
        # Versions are dense, and so what comes before an event is known.
        end = after + len(events)
        return Page(
            items=tuple(EventView.of(one, with_personal=query.with_personal) for one in events),
            count=min(count, COUNT_CAP) if query.cursor is None else None,
            capped=query.cursor is None and count > COUNT_CAP,
            page=query.page,
            page_size=size,
            cursor=query.cursor,
            next_cursor=pagination.make_cursor([str(end)], ordering=_ORDERING)
            if events and end < count
            else None,
        )


def _start(query: GetOrderEvents) -> int:
    """The version that comes before the page."""
    if query.cursor is None:
        return (query.page - 1) * query.page_size
    return int(pagination.read_cursor(query.cursor, ordering=_ORDERING)[0]) if query.cursor else 0


class FeedView(View):
    """Events in the order of the log. What comes next is asked for ``after`` `position`."""

    events: tuple[EventView, ...]
    position: int


class ReadFeed(Query[FeedView]):
    """The events behind the position ``after``, of these types or of all; not for customers.

    Where few of many events are of the ``types``, a part may be empty before the log ends.
    """

    after: Annotated[int, Field(ge=0)] = 0
    types: tuple[str, ...] = ()
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS)] = 100


class ReadFeedHandler(QueryHandler[ReadFeed, FeedView]):
    """Reads the log, in two statements."""

    def handle(self, query: ReadFeed) -> FeedView:
        found = feed.of_log(after=query.after, types=query.types, limit=query.limit)
        shown = found.events if query.customer_scope is None else []
        events = (EventView.of(one, with_personal=query.with_personal) for one in shown)
        return FeedView(events=tuple(events), position=found.position)
