"""Queries for the events that projections could not apply."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from django.db.models import Value
from django.db.models.functions import Coalesce
from pydantic import AfterValidator, AliasPath, Field, WithJsonSchema

from config.http.input.ids import PathId
from ordering_read.engine.live import PROJECTIONS
from ordering_read.fields import StreamName, Version
from ordering_read.models import ParkedEvent
from ordering_read.permissions import MASK
from ordering_read.projector import registered
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.lists import ListQuery
from ordering_read.queries.views import FORMER_NAME, Page, View
from ordering_write.published import DomainEvent, parked

_NEVER = datetime.max.replace(tzinfo=UTC)


def _registered(name: str) -> str:
    if name not in registered():
        raise ValueError(f"there are {', '.join(sorted(registered()))}")
    return name


class ParkedEventView(View):
    """An event that a projection has not applied.

    `category` is the cause: `unknown-type`, `undecodable`, `projection-error`, `crash`, or
    `waiting` if an earlier event of the stream is parked. `message` describes the cause. `id` is
    another name of `parked_event_id`, until version 2.
    """

    parked_event_id: UUID = Field(validation_alias="id")
    id: UUID = Field(json_schema_extra=FORMER_NAME)
    projection: str = Field(validation_alias=AliasPath("checkpoint", "name"))
    generation: int = Field(validation_alias=AliasPath("checkpoint", "generation"))
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
    """A parked event with the traceback of its failure."""

    traceback: str


def masked_message(type_name: str, category: str, message: str) -> str:
    """Return ``message`` without what the error of a projection may quote of personal fields.

    The class of the error stays. The messages of other categories quote no field.
    """
    event_type = DomainEvent.types.get(type_name)
    is_personal = event_type is None or bool(event_type.personal)
    if category != ParkedEvent.Category.PROJECTION_ERROR or not is_personal:
        return message
    error_class, _, text = message.partition(": ")
    return f"{error_class}: {MASK}" if text else message


class GetParkedEvent(Query[ParkedEventDetail]):
    """Get one parked or skipped event."""

    parked_event_id: PathId


class ListParkedEvents(ListQuery[ParkedEventView]):
    """List the parked events in the order in which they were parked, then the skipped ones."""

    projection: Annotated[
        str | None,
        AfterValidator(_registered),
        WithJsonSchema({"type": "string", "maxLength": 60}),
    ] = Field(None, description="Events of this projection only.")
    stream: str | None = Field(None, max_length=60, description="Events of this stream only.")


@handles(GetParkedEvent)
class GetParkedEventHandler(QueryHandler[GetParkedEvent, ParkedEventDetail]):
    """Reads one row."""

    def handle(self, query: GetParkedEvent) -> ParkedEventDetail:
        return ParkedEventDetail.of_row(parked.find(PROJECTIONS, query.parked_event_id))


@handles(ListParkedEvents)
class ListParkedEventsHandler(QueryHandler[ListParkedEvents, Page[ParkedEventView]]):
    """Reads a page, in one statement."""

    def handle(self, query: ListParkedEvents) -> Page[ParkedEventView]:
        name, stream = query.projection or "", query.stream or ""
        rows = parked.parked_events(PROJECTIONS, name=name, stream=stream)
        # Parked events come first, then the skipped events, the last skipped first.
        rows = rows.annotate(shelved_at=Coalesce("skipped_at", Value(_NEVER)))
        return query.page_of(rows.order_by("-shelved_at", "id"), ParkedEventView.of_row)
