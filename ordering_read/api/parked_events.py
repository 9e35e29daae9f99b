"""Seeing the events that projections couldn't apply, trying them again, skipping them."""

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import (
    ParkedEventBody,
    ParkedEventDetailBody,
    ParkedEventPageBody,
    RetriedBody,
    RetryBody,
    SkipBody,
)
from ordering_read.api.idempotency import idempotent
from ordering_read.api.parameters import ID, PAGE, PROJECTION, STREAM, ParkedEventParameters
from ordering_read.engine.live import PROJECTIONS
from ordering_read.models import ParkedEvent
from ordering_read.queries import GetParkedEvent, ListParkedEvents
from ordering_write.published import parked


class ParkedEventViewSet(QueryViewSet):
    """/parked-events, whose commands change nothing but what a projection has applied."""

    titles = ("Parked events", "Parked event")
    needed_permissions = {
        "list": permissions.VIEW_PROJECTIONS,
        "retrieve": permissions.VIEW_PROJECTIONS,
        "retry": permissions.MANAGE_PARKED_EVENTS,
        "skip": permissions.MANAGE_PARKED_EVENTS,
    }

    @extend_schema(
        operation_id="parked_event_list",
        summary="List parked events",
        parameters=[PROJECTION, STREAM, *PAGE],
        responses=ParkedEventPageBody,
    )
    def list(self, request: Request) -> Response:
        """The events that projections couldn't apply, and those that wait behind them.

        In the order in which they were parked; after them those that were skipped.
        """
        page = self.ask(ListParkedEvents(**dict(parse_query(request, ParkedEventParameters))))
        shown = [ParkedEventBody.of(item, request) for item in page.items]
        return self.answer_page(page, shown)

    @extend_schema(
        operation_id="parked_event_get",
        summary="Show a parked event",
        parameters=[ID],
        responses=ParkedEventDetailBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """A parked or skipped event, with the place in the code where it failed."""
        parse_query(request, Parameters)
        query = GetParkedEvent(parked_event_id=path_id(pk, parked.ParkedEventNotFoundError))
        return self.answer(ParkedEventDetailBody.of(self.ask(query), request))

    @extend_schema(
        operation_id="parked_event_retry",
        summary="Retry a parked stream",
        parameters=[ID],
        request=RetryBody,
        responses=RetriedBody,
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Apply the stream of this event from the one on that holds it up, as far as it goes."""
        parse_query(request, Parameters)
        RetryBody.model_validate(request.data)

        def retry() -> RetriedBody:
            return RetriedBody.of(parked.retry_stream(PROJECTIONS, _row(pk)), request)

        return idempotent(request, retry)

    @extend_schema(
        operation_id="parked_event_skip",
        summary="Skip a parked event",
        parameters=[ID],
        request=SkipBody,
        responses={200: RetriedBody, 409: None},
    )
    @action(detail=True, methods=["post"])
    def skip(self, request: Request, pk: str) -> Response:
        """Let the projection go without this event, and apply the stream's events behind it.

        Who did so, when and why, stays in the list.
        """
        parse_query(request, Parameters)
        body = SkipBody.model_validate(request.data)
        # Only users with the permission get here, and they are logged in.
        by = permissions.named(cast(User, request.user))

        def skip() -> RetriedBody:
            skipped = parked.skip(PROJECTIONS, _row(pk), reason=body.reason, by=by)
            return RetriedBody.of(skipped, request)

        return idempotent(request, skip)

    def command_examples(self, request: Request) -> dict[str, dict[str, Any]]:
        """What stands in the forms of the browsable pages at first."""
        return {"retry": {}, "skip": {"reason": "It was a test"}}


def _row(pk: str) -> ParkedEvent:
    row: ParkedEvent = parked.find(PROJECTIONS, path_id(pk, parked.ParkedEventNotFoundError))
    return row
