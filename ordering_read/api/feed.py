"""Following the log: the events in their order, from a place on."""

from time import monotonic
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from config.http.answers.pagination import link_header
from config.http.errors import ParameterError
from config.http.input import preferences
from config.http.input.query import parse_query
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
from ordering_read.api.parameters import FeedParameters, documented
from ordering_read.engine import waiting
from ordering_read.queries import FeedView, ReadFeed
from ordering_write import published


class FeedViewSet(QueryViewSet):
    """GET /feed."""

    titles = ("Feed", "Event")
    renderer_classes = (*QueryViewSet.renderer_classes, CloudEventsRenderer)
    needed_permissions = {"list": permissions.READ_FEED}
    of_log = frozenset({"list"})

    def get_view_name(self) -> str:
        return "Feed"

    @extend_schema(
        operation_id="feed_read",
        summary="Follow the log",
        parameters=[*documented(FeedParameters), NEXT],
        responses={
            (200, "application/json"): FeedBody,
            (200, CloudEventsRenderer.media_type): CloudEvents,
        },
        examples=FEED_EXAMPLES,
    )
    def list(self, request: Request) -> Response:
        """The events behind a position, in the order of the log, in which none is ever put later.

        `Link` leads on. At the end of the log, `Prefer: wait=N` waits so many seconds for more.
        Each event comes at least once to who goes on where the last answer has ended; its id tells
        whether it has come before. With `Accept: application/cloudevents-batch+json` the answer is
        a batch of CloudEvents. Personal fields are left out for those who may not see them.
        """
        asked = parse_query(request, FeedParameters)
        if asked.after > self.freshness.position:
            end = self.freshness.position
            raise ParameterError("after", f"after: The log ends at the position {end}.")
        found = self._found(ReadFeed(**dict(asked)))
        address = self._next(found.position)
        self.headers["Link"] = link_header({"next": address})
        if request.accepted_renderer.format == CloudEventsRenderer.format:
            source = reverse("api", request=request)
            return Response([CloudEvent.of(event, source=source) for event in found.events])
        return self.answer(FeedBody(**dict(found), next=address))

    def shows(self, event_id: UUID, *, timeout: float) -> bool:
        """Whether an event has its place in the log: if not, the sequencer is at it just now."""
        published.sequence()
        return published.position_of(event_id) is not None

    def _found(self, query: ReadFeed) -> FeedView:
        """What is behind the position, once there is something or the client would wait no more."""
        found, seconds = self.ask(query), preferences.wait_seconds(self.request)
        if seconds is None:
            return found
        ends_at = monotonic() + seconds
        while not found.events and (left := ends_at - monotonic()) > 0:
            if not waiting.wait_for_log(after=found.position, timeout=left):
                break
            found = self.ask(query.model_copy(update={"after": found.position}))
        if found.events or monotonic() >= ends_at:
            self.headers[preferences.APPLIED] = "wait"
        return found

    def _next(self, position: int) -> str:
        parameters = self.request.GET.copy()
        parameters["after"] = str(position)
        return str(self.request.build_absolute_uri(f"{self.request.path}?{parameters.urlencode()}"))
