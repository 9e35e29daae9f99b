"""The freshness of a response: the distance of its projections from the end of the log."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from typing_extensions import TypedDict

from config.databases import prepared
from config.fields.members import DetailedError
from ordering_read.engine.gaps import Incomplete, ProjectionGap, incomplete
from ordering_read.projector import registered
from ordering_write import published
from ordering_write.published import subscriptions

# The ORM would take longer to put this frequent statement together than all that a read does.
_LIVE = """
SELECT id, name, position, parked_streams, error, failed_at,
       coalesce(extract(epoch FROM statement_timestamp() - failed_at), 0)::float8,
       slice_number, slice_count
FROM projection WHERE name = ANY(%s) AND (
    status = 'live' OR owner_id IN (SELECT id FROM projection WHERE status = 'live')
) ORDER BY id
"""


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

    ``position`` is the position of the slowest projection, whose slowest slice counts.
    ``lag_seconds`` is the longer of two times: the age of the oldest event that the slowest
    projection hasn't applied (0.0 if it is caught up), and the time for which any projection has
    been failing. ``incomplete`` lists the
    projections whose rows may lack events. ``state`` changes whenever the rows may have changed;
    None while there is an incomplete projection, because its gaps change without moving a position.
    """

    position: int
    lag_seconds: float
    state: tuple[Any, ...] | None
    incomplete: tuple[Incomplete, ...] = ()


class _LiveCheckpoint(NamedTuple):
    """A checkpoint of a live generation, with the seconds for which it has been failing."""

    pk: int
    name: str
    position: int
    parked_streams: int
    error: str
    failed_at: datetime | None
    failing_seconds: float
    slice_number: int
    slice_count: int

    @property
    def streams(self) -> published.Slice:
        return published.Slice(self.slice_number, self.slice_count)


def freshness(names: Collection[str], *, log_end: int | None = None) -> Freshness:
    """Return the freshness of the projections ``names`` (all if empty).

    Call this function before reading rows: the rows are then at least as fresh as the result.
    ``log_end`` is the position of the last event when the request began, if it is known. The
    function takes a statement in the read database, and one for the lag in the write database
    unless the projections have reached ``log_end``.
    """
    rows = _live_checkpoints(names)
    position = min((row.position for row in rows), default=0)
    lags = _lags({position, *(row.position for row in rows)}, log_end)
    gaps = (incomplete(row, lag_seconds=lags[row.position]) for row in rows)
    projections = tuple(filter(None, gaps))
    return Freshness(
        position=position,
        lag_seconds=max([lags[position], *(row.failing_seconds for row in rows)]),
        state=None if projections else tuple((row.pk, row.position) for row in rows),
        incomplete=projections,
    )


def _live_checkpoints(names: Collection[str]) -> list[_LiveCheckpoint]:
    rows = prepared.fetch("read", _LIVE, [list(names or registered())])
    return [_LiveCheckpoint(*row) for row in rows]


def _lags(positions: Collection[int], log_end: int | None) -> dict[int, float]:
    """Return the seconds of lag at each of ``positions``."""
    if log_end is not None and min(positions) >= log_end:
        return dict.fromkeys(positions, 0.0)
    return subscriptions.lag_seconds(positions)


def log_freshness() -> Freshness:
    """Return the freshness of the log itself, after all committed events have got positions."""
    published.sequence()
    return Freshness(position=published.last_position(), lag_seconds=0.0, state=None)
