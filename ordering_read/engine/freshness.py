"""The freshness of an answer: how far the projections behind it are behind the log."""

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
            f"The read models show the log up to position {position}; what you wait for is at "
            f"{required}. It was accepted and will be shown."
        )
        self.required = required
        self.position = position

    def members(self) -> Members:
        return {"required_position": self.required, "projection_position": self.position}


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """The progress of some projections.

    ``position`` is the position of the slowest projection. ``lag_seconds`` is the age of the oldest
    event that it hasn't applied, 0.0 without one, or the time since a projection has failed, if
    that is longer. ``state`` stays equal while the rows stay the same; None when parked events may
    change the rows at any time.
    """

    position: int
    lag_seconds: float
    state: tuple[Any, ...] | None


def freshness(names: Collection[str]) -> Freshness:
    """Return the freshness of these projections (all when none is named), by one statement in each
    database.

    Call it before the rows are read: they are then as fresh as that, or fresher.
    """
    live = Projection.objects.filter(
        name__in=names or registered(), status=Projection.Status.LIVE
    ).order_by("pk")
    rows = list(live.values_list("pk", "position", "parked_streams", subscriptions.FAILING))
    position = min((position for _, position, *_ in rows), default=0)
    late = subscriptions.lag_seconds([position])[position]
    return Freshness(
        position=position,
        lag_seconds=max([late, *(subscriptions.total_seconds(failing) for *_, failing in rows)]),
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
