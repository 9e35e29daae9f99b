"""The freshness of a response: the distance of its projections from the end of the log."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from config.fields.members import DetailedError
from ordering_read.engine.gaps import Incomplete, ProjectionGap, incomplete
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write import published
from ordering_write.published import subscriptions


class ProjectionBehindError(DetailedError):
    """The read models don't show yet what the request waits for."""

    class Members(TypedDict):
        required_position: Annotated[int, Field(ge=0)]
        projection_position: Annotated[int, Field(ge=0)]
        projection_gap: ProjectionGap | None

    def __init__(self, *, required: int, position: int, gap: ProjectionGap | None = None) -> None:
        super().__init__(
            f"The change was accepted. {gap.detail}"
            if gap
            else f"The read models show the log up to position {position}; the request needs "
            f"{required}. It was accepted and will be shown."
        )
        self.required = required
        self.position = position
        self.gap = gap

    def members(self) -> Members:
        return {
            "required_position": self.required,
            "projection_position": self.position,
            "projection_gap": self.gap,
        }


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The progress of some projections.

    ``position`` is the position of the slowest projection. ``lag_seconds`` is the longer of two
    times: the age of the oldest event that the slowest projection hasn't applied (0.0 if it is
    caught up), and the time for which any projection has been failing. ``incomplete`` lists the
    projections whose rows may lack events. ``state`` changes whenever the rows may have changed;
    None while there is an incomplete projection, because its gaps change without moving a position.
    """

    position: int
    lag_seconds: float
    state: tuple[Any, ...] | None
    incomplete: tuple[Incomplete, ...] = ()


def freshness(names: Collection[str]) -> Freshness:
    """Return the freshness of the projections ``names`` (all if empty), by one statement in each
    database.

    Call this function before reading rows: the rows are then at least as fresh as the result.
    """
    live = Projection.objects.filter(
        name__in=names or registered(), status=Projection.Status.LIVE
    ).order_by("pk")
    columns = ("pk", "name", "position", "parked_streams", "error", "failed_at")
    rows = list(live.values_list(*columns, subscriptions.FAILING, named=True))
    position = min((row.position for row in rows), default=0)
    lags = subscriptions.lag_seconds({position, *(row.position for row in rows)})
    gaps = (incomplete(row, lag_seconds=lags[row.position]) for row in rows)
    projections = tuple(filter(None, gaps))
    failing = [subscriptions.total_seconds(row[-1]) for row in rows]
    return Freshness(
        position=position,
        lag_seconds=max([lags[position], *failing]),
        state=None if projections else tuple((row.pk, row.position) for row in rows),
        incomplete=projections,
    )


def log_freshness() -> Freshness:
    """Return the freshness of the log itself, after all committed events have got positions."""
    published.sequence()
    return Freshness(position=published.last_position(), lag_seconds=0.0, state=None)
