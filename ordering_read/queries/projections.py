"""The question how far the projections have come."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from ordering_read.engine.status import RebuildProgress, statuses
from ordering_read.queries.base import Query, QueryHandler, View


class RebuildView(View):
    """How far a rebuild has come; `seconds_left` is null while nobody can say."""

    generation: int
    events_done: int
    events_total: int
    events_per_second: float
    seconds_left: float | None


class ProjectionView(View):
    """Where a projection stands.

    `status` is `live`, or `failed` while it can't go on, or `outdated` when its rows were made by
    other code; `building` is a rebuild at work, `paused` one that waits. `lag_seconds` is the age
    of the oldest event that it has not applied, or for how long it can't go on, if that is more,
    and `parked_streams` how many streams wait for one that can't be applied. `rebuild` is null
    without one.
    """

    name: Annotated[str, Field(examples=["order_view"])]
    generation: int
    status: str
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    last_error: str
    updated_at: datetime
    parked_streams: int
    rebuild: RebuildView | None


class GetProjectionStatus(Query[tuple[ProjectionView, ...]]):
    """Every projection, and every rebuild at work, by name."""


class GetProjectionStatusHandler(QueryHandler[GetProjectionStatus, tuple[ProjectionView, ...]]):
    """Asks the engine."""

    def handle(self, query: GetProjectionStatus) -> tuple[ProjectionView, ...]:
        return tuple(
            ProjectionView(
                name=one.name,
                generation=one.generation,
                status=one.status,
                position=one.position,
                head=one.head,
                lag_events=one.lag_events,
                lag_seconds=one.lag_seconds,
                last_error=one.last_error,
                updated_at=one.updated_at,
                parked_streams=one.parked_streams,
                rebuild=one.rebuild and _rebuild_view(one.rebuild),
            )
            for one in statuses()
        )


def _rebuild_view(progress: RebuildProgress) -> RebuildView:
    return RebuildView(
        generation=progress.generation,
        events_done=progress.events_done,
        events_total=progress.events_total,
        events_per_second=progress.events_per_second,
        seconds_left=progress.seconds_left,
    )
