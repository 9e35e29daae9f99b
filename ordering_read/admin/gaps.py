"""The gaps of the rows on admin pages."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from django.db.models import Model

from ordering_read.admin import banner
from ordering_read.engine import gaps
from ordering_read.engine.gaps import Incomplete, ProjectionGap
from ordering_read.engine.status import ProjectionStatus
from ordering_read.models import Projection


class RowPages(Protocol):
    """An admin page, with the prefix of the streams of its rows and the field with the id."""

    stream_prefix: ClassVar[str]
    stream_field: ClassVar[str]


def incomplete_of(rows: Sequence[Any], model: type[Any]) -> list[Incomplete]:
    """Return the projections that made ``rows`` of ``model``, if the rows may lack events.

    The rows must have been read with their projection: then only an empty list takes a statement.
    """
    checkpoints = {row.projection_id: row.projection for row in rows}
    if not checkpoints:
        live = Projection.objects.filter(name=model.projection_name, status=Projection.Status.LIVE)
        checkpoints = {checkpoint.pk: checkpoint for checkpoint in live}
    recent = banner.recent_statuses()
    lags = {name: status.lag_seconds for name, status in recent.items()}
    found = (
        gaps.incomplete(checkpoint, lag_seconds=lags.get(checkpoint.name, 0.0))
        for checkpoint in checkpoints.values()
    )
    return [projection for projection in found if projection]


def incomplete_search() -> list[Incomplete]:
    """Return the projection of the search, if it may lack events, as of the last few seconds."""
    status = banner.recent_statuses().get("search")
    found = status and gaps.incomplete(_Recent(status), lag_seconds=status.lag_seconds)
    return [found] if found else []


class _Recent:
    """A status as a checkpoint; the failing time is unknown."""

    pk, failed_at = 0, None

    def __init__(self, status: ProjectionStatus) -> None:
        self.name, self.position = status.name, status.position
        self.parked_streams, self.error = status.parked_streams, status.last_error


def gaps_of(rows: Sequence[Any], page: RowPages) -> list[ProjectionGap | None]:
    """Return the gap of each row of ``page``, all of one model and read with their projection."""
    if not rows:
        return []
    model: type[Any] = type(rows[0])
    streams = [f"{page.stream_prefix}-{getattr(row, page.stream_field)}" for row in rows]
    return gaps.row_gaps(
        incomplete_of(rows, model), [{model.projection_name: [stream]} for stream in streams]
    )


def gap_details(rows: Sequence[Model], page: RowPages) -> list[str]:
    """Return a sentence for each of ``rows`` that lacks events."""
    if rows and not page.stream_prefix:
        # Each row mixes streams: it may lack any event that the projection lacks.
        gap = gaps.answer_gap(incomplete_of(rows, type(rows[0])))
        return [gap.detail] if gap else []
    return [gap.detail for gap in gaps_of(rows, page) if gap]
