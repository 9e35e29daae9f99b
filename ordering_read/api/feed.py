"""The address /feed: the events of the log after a position, in the order of the log."""

from time import monotonic
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.http.answers.pagination import address_with, link_header
from config.http.errors import ParameterError
from config.http.input import preferences
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.event_bodies import (
    FEED_EXAMPLES,
    CloudEvent,
    CloudEvents,
    CloudEventsRenderer,
    FeedBody,
)
from ordering_read.api.headers import NEXT
from ordering_read.api.parameters import parameters_of
from ordering_read.engine import waiting
from ordering_read.queries.events import FeedView, ReadFeed
from ordering_write import published


class FeedViewSet(QueryViewSet):
    """The events of the shop in one sequence, for programs that follow it."""

    titles = ("Feed", "Event")
    renderer_classes = (*QueryViewSet.renderer_classes, CloudEventsRenderer)
    needed_permissions = {"list": permissions.READ_FEED}
    log_actions = frozenset({"list"})

    def get_view_name(self) -> str:
        return "Feed"

    @extend_schema(
        operation_id="feed_read",
        summary="Follow the log",
        parameters=[*parameters_of(ReadFeed), NEXT],
        responses={
            (200, "application/json"): FeedBody,
            (200, CloudEventsRenderer.media_type): CloudEvents,
        },
        examples=FEED_EXAMPLES,
    )
    def list(self, request: Request) -> Response:
        """Lists the events after a position, in the order of the log, which never changes.

        `Link` leads to the next events. At the end of the log, `Prefer: wait=N` waits N seconds for
        more. A client that follows the links gets each event at least once; the event's id tells
        repeats apart. With `Accept: application/cloudevents-batch+json` the answer is a batch of
        CloudEvents. Users who may not see personal fields don't get them.
        """
        query = self.query(ReadFeed)
        if query.after > self.freshness.position:
            end = self.freshness.position
            raise ParameterError("after", f"after: The log ends at the position {end}.")
        feed = self._read(query)
        next_address = address_with(request, after=feed.position)
        self.headers["Link"] = link_header({"next": next_address})
        if request.accepted_renderer.format == CloudEventsRenderer.format:
            source = reverse("api", request=request)
            return Response([CloudEvent.of(event, source=source) for event in feed.events])
        return self.answer(FeedBody(**vars(feed), next=next_address))

    def shows(self, event_id: UUID, *, timeout: float) -> waiting.Visibility:
        """Return SHOWN if the event has a position; if not, another process is assigning it."""
        published.sequence()
        is_shown = published.position_of(event_id) is not None
        return waiting.SHOWN if is_shown else waiting.BEHIND

    def _read(self, query: ReadFeed) -> FeedView:
        """Return the next events; waits for the first one as long as the client prefers."""
        feed, seconds = self.ask(query), preferences.wait_seconds(self.request)
        if seconds is None:
            return feed
        deadline = monotonic() + seconds
        while not feed.events and (timeout := deadline - monotonic()) > 0:
            if not waiting.wait_for_log(after=feed.position, timeout=timeout):
                break
            feed = self.ask(query.model_copy(update={"after": feed.position}))
        if feed.events or monotonic() >= deadline:
            self.headers[preferences.APPLIED] = "wait"
        return feed
