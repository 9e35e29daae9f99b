"""The gaps of the rows on admin pages."""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Protocol

from django.db.models import Model

from ordering_read.admin import banner
from ordering_read.engine import gaps
from ordering_read.engine.gaps import Incomplete, ProjectionGap, Streams
from ordering_read.engine.status import ProjectionStatus
from ordering_read.models import Projection, of_live_generations
from ordering_write import published


class RowPages(Protocol):
    """An admin page, with the prefix of the streams of its rows and the field with the id.

    ``also_reads`` names the projections, apart from that of the rows, from which rows are made.
    """

    stream_prefix: ClassVar[str]
    stream_field: ClassVar[str]
    also_reads: ClassVar[tuple[str, ...]]

    def streams(self, row: Any) -> Streams: ...


def incomplete_of(rows: Sequence[Any], model: type[Any]) -> list[Incomplete]:
    """Return the projections that made ``rows`` of ``model``, if the rows may lack events.

    The rows must have been read with their projection: then only an empty list, or a projection
    that is cut into slices, takes a statement.
    """
    generations = {row.projection_id: row.projection for row in rows}
    is_cut = any(generation.slice_count > 1 for generation in generations.values())
    if is_cut or not generations:
        return _incomplete(_live([model.projection_name]))
    return _incomplete(generations.values())


def incomplete_named(names: Collection[str]) -> list[Incomplete]:
    """Return the projections of these names that may lack events, as of the last few seconds.

    Takes no statement while none of them lacks events.
    """
    doubtful = [projection.name for name in names for projection in _recently_incomplete(name)]
    return _incomplete(_live(doubtful)) if doubtful else []


def incomplete_search() -> list[Incomplete]:
    """Return the projection of the search, if it may lack events, as of the last few seconds."""
    return _recently_incomplete("search")


def _recently_incomplete(name: str) -> list[Incomplete]:
    status = banner.recent_statuses().get(name)
    found = status and gaps.incomplete(_Recent(status), lag_seconds=status.lag_seconds)
    return [found] if found else []


def _live(names: Collection[str]) -> list[Projection]:
    return list(Projection.objects.filter(of_live_generations(), name__in=names))


def _incomplete(checkpoints: Collection[Projection]) -> list[Incomplete]:
    recent = banner.recent_statuses()
    lags = {name: status.lag_seconds for name, status in recent.items()}
    found = (
        gaps.incomplete(checkpoint, lag_seconds=lags.get(checkpoint.name, 0.0))
        for checkpoint in checkpoints
    )
    return [projection for projection in found if projection]


class _Recent:
    """A status as a checkpoint of all streams; the failing time is unknown."""

    pk, failed_at, streams = 0, None, published.ALL_STREAMS

    def __init__(self, status: ProjectionStatus) -> None:
        self.name, self.position = status.name, status.position
        self.parked_streams, self.error = status.parked_streams, status.last_error


def gaps_of(rows: Sequence[Any], page: RowPages) -> list[ProjectionGap | None]:
    """Return the gap of each row of ``page``, all of one model and read with their projection."""
    if not rows:
        return []
    projections = [*incomplete_of(rows, type(rows[0])), *incomplete_named(page.also_reads)]
    return gaps.row_gaps(projections, [page.streams(row) for row in rows])


def gap_of_stream(stream: str, *names: str) -> ProjectionGap | None:
    """Return the events of ``stream`` that the projections ``names`` lack, in rows or as rows."""
    [gap] = gaps.row_gaps(incomplete_named(names), [{name: [stream] for name in names}])
    return gap


def gap_of_page(row: Any, stream: str, *names: str) -> ProjectionGap | None:
    """Return the events of ``stream`` that ``row`` or the rows of projections ``names`` lack."""
    projections = [*incomplete_of([row], type(row)), *incomplete_named(names)]
    [gap] = gaps.row_gaps(projections, [{name: [stream] for name in (row.projection_name, *names)}])
    return gap


def gap_details(rows: Sequence[Model], page: RowPages) -> list[str]:
    """Return a sentence for each of ``rows`` that lacks events."""
    if rows and not page.stream_prefix:
        # Each row mixes streams: it may lack any event that the projection lacks.
        gap = gaps.answer_gap(incomplete_of(rows, type(rows[0])))
        return [gap.detail] if gap else []
    return [gap.detail for gap in gaps_of(rows, page) if gap]
