"""The query for the progress of the projections."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from ordering_read.engine.status import statuses
from ordering_read.queries.base import Query, QueryHandler, handles
from ordering_read.queries.views import View


class RebuildView(View):
    """The progress of a rebuild; `seconds_left` is null while it can't be estimated."""

    generation: int
    events_done: int
    events_total: int
    events_per_second: float
    seconds_left: float | None


class ProjectionView(View):
    """The progress of a projection.

    `status` is `live`; `failed` while the projection can't go on; `outdated` when other code made
    its rows; `building` while a rebuild runs; `paused` while a rebuild waits. `lag_seconds` is the
    age of the oldest event that is not applied, or the time since the projection failed, if that is
    longer. `parked_streams` is the number of streams with an event that can't be applied.
    `rebuild` is null without a rebuild.
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
    """List all projections with their running rebuilds, by name."""


@handles(GetProjectionStatus)
class GetProjectionStatusHandler(QueryHandler[GetProjectionStatus, tuple[ProjectionView, ...]]):
    """Reads the status of each projection from the engine."""

    def handle(self, query: GetProjectionStatus) -> tuple[ProjectionView, ...]:
        return tuple(map(ProjectionView.of_row, statuses()))
