"""The freshness of a response: the distance of its projections from the end of the log."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from config.fields.members import DetailedError
from ordering_read.models import Projection
from ordering_read.projector import registered
from ordering_write import published
from ordering_write.published import subscriptions


class ProjectionBehindError(DetailedError):
    """The read models don't show yet what the request waits for."""

    class Members(TypedDict):
        required_position: Annotated[int, Field(ge=0)]
        projection_position: Annotated[int, Field(ge=0)]

    def __init__(self, *, required: int, position: int) -> None:
        super().__init__(
            f"The read models show the log up to position {position}; the request needs "
            f"{required}. It was accepted and will be shown."
        )
        self.required = required
        self.position = position

    def members(self) -> Members:
        return {"required_position": self.required, "projection_position": self.position}


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The progress of some projections.

    ``position`` is the position of the slowest projection. ``lag_seconds`` is the longer of two
    times: the age of the oldest event that the slowest projection hasn't applied (0.0 if it is
    caught up), and the time for which any projection has been failing. ``state`` changes whenever
    the rows may have changed; None while events are parked, because a retry changes rows without
    moving a position.
    """

    position: int
    lag_seconds: float
    state: tuple[Any, ...] | None


def freshness(names: Collection[str]) -> Freshness:
    """Return the freshness of the projections ``names`` (all if empty), by one statement in each
    database.

    Call this function before reading rows: the rows are then at least as fresh as the result.
    """
    live = Projection.objects.filter(
        name__in=names or registered(), status=Projection.Status.LIVE
    ).order_by("pk")
    rows = list(live.values_list("pk", "position", "parked_streams", subscriptions.FAILING))
    position = min((position for _, position, *_ in rows), default=0)
    lag = subscriptions.lag_seconds([position])[position]
    return Freshness(
        position=position,
        lag_seconds=max([lag, *(subscriptions.total_seconds(failing) for *_, failing in rows)]),
        state=(
            None
            if any(parked for _, _, parked, _ in rows)
            else tuple((pk, position) for pk, position, *_ in rows)
        ),
    )


def log_freshness() -> Freshness:
    """Return the freshness of the log itself, after all committed events have got positions."""
    published.sequence()
    return Freshness(position=published.last_position(), lag_seconds=0.0, state=None)
