"""The query for the versions of an order, and its state at two of them."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from pydantic import Field, model_validator

from config.http.input.ids import PathId
from config.http.input.query import number
from ordering_read.models.order_timeline import TimelineEntry
from ordering_read.projections.actor_names import actor_name
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.filters import Moment
from ordering_read.queries.orders import (
    MAX_VERSION,
    AnyEvent,
    NotThenError,
    OrderDetail,
    events_of,
    orders_after,
    version_at,
)
from ordering_read.queries.sentences import SentenceView, sentences_of
from ordering_read.queries.views import View
from ordering_write.published import UndecodableEvent, feed

_LOCAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?")


class VersionView(View):
    """An event of an order, and so the version of the order after it.

    `sentence` and `icon` are null while the timeline lacks the event. Times are in UTC: `at` is
    when the event happened, `recorded_at` when the service recorded it.
    """

    version: int
    at: datetime
    recorded_at: datetime
    type: str
    sentence: str | None
    icon: TimelineEntry.Icon | None
    actor: str
    channel: str
    event_id: UUID
    correlation_id: UUID


class OrderHistoryView(View):
    """An order at two of its versions, and the versions around the later choice.

    `order_number` is "" if the first event can't be read. `newest` is the number of versions.
    `before` is the order at version `compared`, null at version 0, before the order was placed;
    `after` is the order at `version`. `unreadable` is the version whose event can't be read, for
    `unreadable_reason`, if a state can't be shown because of it; then both states are null.
    """

    order_number: str
    newest: int
    version: int
    compared: int
    before: OrderDetail | None
    after: OrderDetail | None
    unreadable: int | None
    unreadable_reason: str
    versions: tuple[VersionView, ...]


class GetOrderHistory(Query[OrderHistoryView]):
    """Get an order at a version, or as it was recorded at a moment, beside another version.

    By default the newest version, beside the version before. Lists the ``page_size`` versions among
    which the version is.
    """

    order_id: PathId
    version: number(ge=1, le=MAX_VERSION) | None = None  # type: ignore[valid-type]
    compared: number(ge=0, le=MAX_VERSION) | None = None  # type: ignore[valid-type]
    as_of: Moment | None = None
    page_size: int = Field(25, ge=1)

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.version is not None and self.as_of is not None:
            raise ValueError("choose a version or a moment, not both")
        return self


@handles(GetOrderHistory)
class GetOrderHistoryHandler(QueryHandler[GetOrderHistory, OrderHistoryView]):
    """Reads the events of the order in one statement, and their sentences in another one.

    Reads no later events than an earlier version needs, and counts all by a third statement.
    """

    def handle(self, query: GetOrderHistory) -> OrderHistoryView:
        events, newest = _events(query)
        version = query.version or version_at(events, query.as_of)
        compared = version - 1 if query.compared is None else query.compared
        if max(version, compared) > newest:
            raise NotThenError(
                f"The order has no version {max(version, compared)}; its newest is {newest}."
            )
        needed = events[: max(version, compared)]
        bad = next((event for event in needed if isinstance(event, UndecodableEvent)), None)
        # There is no state at version 0.
        shown = {version, compared} - {0}
        states = {} if bad else orders_after(query, events, versions=shown)
        start = _page_start(query, version)
        return OrderHistoryView(
            order_number=getattr(events[0], "order_number", ""),
            newest=newest,
            version=version,
            compared=compared,
            before=states.get(compared),
            after=states.get(version),
            unreadable=bad and bad.recorded.version,
            unreadable_reason=bad.reason if bad else "",
            versions=_versions(query, events[start : start + query.page_size]),
        )


def store_moment(text: str) -> str:
    """Return a moment that is written without a time zone in the time zone of the store.

    Any other text is returned as it is. A time that the clocks skip or repeat counts as the earlier
    one of both.
    """
    if not _LOCAL_TIME.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.replace(tzinfo=ZoneInfo(settings.STORE_TIME_ZONE)).isoformat()


def _events(query: GetOrderHistory) -> tuple[list[AnyEvent], int]:
    """Return the events that the page of ``query`` shows or folds, and the number of all."""
    if query.version is None:
        events = events_of(query, query.order_id)
        return events, len(events)
    page_end = _page_start(query, query.version) + query.page_size
    until = max(page_end, query.compared or 0)
    events = events_of(query, query.order_id, until=until)
    if len(events) < until:
        return events, len(events)
    return events, feed.count_stream(f"order-{query.order_id}")


def _page_start(query: GetOrderHistory, version: int) -> int:
    """Return the number of versions before the page of the list that has ``version``."""
    return (version - 1) // query.page_size * query.page_size


def _versions(query: GetOrderHistory, events: Sequence[AnyEvent]) -> tuple[VersionView, ...]:
    keys = [(query.order_id, event.recorded.version) for event in events]
    sentences = sentences_of(query, keys)
    return tuple(
        _version_view(event, sentences.get(key)) for event, key in zip(events, keys, strict=True)
    )


def _version_view(event: AnyEvent, words: SentenceView | None) -> VersionView:
    envelope = event.recorded
    return VersionView(
        version=envelope.version,
        at=event.timestamp,
        recorded_at=envelope.recorded_at,
        type=event.type,
        sentence=words and words.sentence,
        icon=words and words.icon,
        actor=actor_name(envelope.actor),
        channel=envelope.channel,
        event_id=envelope.event_id,
        correlation_id=envelope.correlation_id,
    )
