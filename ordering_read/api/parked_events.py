"""Addresses below /parked-events: the events that projections could not apply."""

from typing import Annotated, Any, Self, cast

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.http.input.ids import path_id
from config.http.input.query import Parameters, parse_query
from ordering_read import permissions
from ordering_read.api.base import QueryViewSet
from ordering_read.api.bodies import Linked, Links, LinkTo, PageBody
from ordering_read.api.idempotency import idempotent
from ordering_read.api.parameters import parameters_of
from ordering_read.engine.live import PROJECTIONS
from ordering_read.fields import StreamName
from ordering_read.models import ParkedEvent
from ordering_read.queries import View
from ordering_read.queries.parked_events import (
    GetParkedEvent,
    ListParkedEvents,
    ParkedEventDetail,
    ParkedEventView,
    masked_message,
)
from ordering_write.published import parked


class ParkedEventLinks(Links):
    """Addresses of the parked event and of its commands."""

    self: Annotated[str, LinkTo("parked-event-detail", "id")]
    retry: Annotated[str, LinkTo("parked-event-retry", "id")]
    skip: Annotated[str, LinkTo("parked-event-skip", "id")]


class ParkedEventBody(Linked, ParkedEventView):
    """An event that a projection has not applied."""

    links: ParkedEventLinks


class ParkedEventDetailBody(Linked, ParkedEventDetail):
    """An event that a projection has not applied, with the traceback of its failure."""

    links: ParkedEventLinks


def _masks(event: ParkedEventView, request: Request) -> dict[str, str]:
    if request.user.has_perm(permissions.VIEW_PII):
        return {}
    return {"message": masked_message(event.type, event.category, event.message)}


def _body(event: ParkedEventView, request: Request) -> ParkedEventBody:
    return ParkedEventBody.of(event, request, **_masks(event, request))


class RetryBody(BaseModel):
    """The request has no fields."""

    model_config = ConfigDict(extra="forbid")


class SkipBody(BaseModel):
    """The reason why the projection can do without the event."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[parked.Reason, Field(examples=["It was a test"])]


class RetriedBody(View):
    """The result for the stream: `applied` is the number of its events that were applied, `held_by`
    the event that blocks the stream now, null when the stream is no longer parked."""

    projection: str
    generation: int
    stream: StreamName
    applied: int
    held_by: ParkedEventBody | None

    @classmethod
    def of(cls, retried: parked.Retried, request: Request) -> Self:
        blocker = retried.blocked_by
        return cls(
            projection=retried.checkpoint.name,
            generation=retried.checkpoint.generation,
            stream=retried.stream,
            applied=retried.applied,
            held_by=blocker and _body(ParkedEventView.of_row(blocker), request),
        )


class ParkedEventViewSet(QueryViewSet):
    """Events that a projection could not apply: retry them, or skip them."""

    id_name = "parked_event_id"
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
        parameters=parameters_of(ListParkedEvents),
        responses=PageBody[ParkedEventBody],
    )
    def list(self, request: Request) -> Response:
        """Lists the events that projections could not apply, and those that wait behind them.

        They are in the order in which they were parked; skipped events come last. Users who may not
        see personal data get `***` for an error message that may quote some.
        """
        return self.answer_list(self.query(ListParkedEvents), _body)

    @extend_schema(
        operation_id="parked_event_get",
        summary="Show a parked event",
        responses=ParkedEventDetailBody,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Shows a parked or skipped event, with the traceback of its failure."""
        event = self.ask(self.query(GetParkedEvent, parked_event_id=pk))
        return self.answer(ParkedEventDetailBody.of(event, request, **_masks(event, request)))

    @extend_schema(
        operation_id="parked_event_retry",
        summary="Retry a parked stream",
        request=RetryBody,
        responses=RetriedBody,
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Applies the stream of this event in order, from its blocking event as far as possible."""
        parse_query(request, Parameters)
        RetryBody.model_validate(request.data)

        def retry() -> RetriedBody:
            return RetriedBody.of(parked.retry_stream(PROJECTIONS, _row(pk)), request)

        return idempotent(request, retry)

    @extend_schema(
        operation_id="parked_event_skip",
        summary="Skip a parked event",
        request=SkipBody,
        responses={200: RetriedBody, 409: None},
    )
    @action(detail=True, methods=["post"])
    def skip(self, request: Request, pk: str) -> Response:
        """Skips this event for good, and applies the events of its stream behind it.

        The list keeps the event, with the user, the time and the reason.
        """
        parse_query(request, Parameters)
        body = SkipBody.model_validate(request.data)
        # The permission check has refused anonymous users.
        by = permissions.actor_label(cast(User, request.user))

        def skip() -> RetriedBody:
            skipped = parked.skip(PROJECTIONS, _row(pk), reason=body.reason, by=by)
            return RetriedBody.of(skipped, request)

        return idempotent(request, skip)

    def command_examples(self, request: Request) -> dict[str, dict[str, Any]]:
        """Return the initial JSON of the forms on browsable pages."""
        return {"retry": {}, "skip": {"reason": "It was a test"}}


def _row(pk: str) -> ParkedEvent:
    row: ParkedEvent = parked.find(PROJECTIONS, path_id(pk, parked.ParkedEventNotFoundError))
    return row
