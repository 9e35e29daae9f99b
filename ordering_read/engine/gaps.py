"""Gaps: the events that rows lack, because a projection has parked them, has stopped or is late."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from django.conf import settings
from django.db import connections
from django.utils import timezone
from django.utils.text import capfirst
from pydantic import BaseModel, ConfigDict, Field

from ordering_read.projector import labels, projector
from ordering_write import published
from ordering_write.published import DomainEvent

# The streams that a row shows, by the name of the projection that made the row.
Streams = Mapping[str, Collection[str]]

# The most events of a stream that are counted, so that a gap costs the same however long it is.
_COUNTED = 50

_PARKED = """
SELECT wanted.checkpoint, wanted.stream, count(*), min(parked.parked_at)
FROM unnest(%s::bigint[], %s::text[]) AS wanted (checkpoint, stream), LATERAL (
    SELECT parked_at FROM parked_event
    WHERE checkpoint_id = wanted.checkpoint AND stream = wanted.stream AND skipped_at IS NULL
    ORDER BY version LIMIT %s
) parked
GROUP BY wanted.checkpoint, wanted.stream
"""


class GapReason(StrEnum):
    """The reason why rows lack events."""

    PARKED = "parked"
    STOPPED = "stopped"
    LATE = "late"


_CAUSES = {
    GapReason.PARKED: "an error holds up changes of {}",
    GapReason.STOPPED: "{} aren't updated any more",
    GapReason.LATE: "{} are updated late",
}


def _cause(reason: GapReason, projections: Collection[str]) -> str:
    return _CAUSES[reason].format(labels(projections))


def _amount(events: int | None, since: datetime | None) -> str:
    """Return the number of missing changes and their time, in the store's days."""
    amount = {None: "changes", 1: "1 change"}.get(events, f"{events} changes")
    if since is None:
        return amount
    day, today = timezone.localdate(since), timezone.localdate()
    if day == today:
        return f"{amount} of today"
    is_yesterday = day == today - timedelta(days=1)
    return f"{amount} since {'yesterday' if is_yesterday else f'{day:%-d %b}'}"


class ProjectionGap(BaseModel):
    """The events that an answer or a row lacks.

    `reason` is `parked` when an event can't be applied, `stopped` when a projection can't go on,
    and `late` when it lags by more than the service allows. `events` is the number of events that
    the row lacks, null where it isn't known. `since` is the time (UTC) from which they are missing,
    null where it isn't known. `detail` is a sentence for people.
    """

    model_config = ConfigDict(frozen=True)

    reason: GapReason
    projections: tuple[str, ...] = Field(examples=[["order_view"]])
    events: int | None
    since: datetime | None
    detail: str

    @classmethod
    def of_row(
        cls,
        reason: GapReason,
        projections: Iterable[str],
        *,
        events: int | None,
        since: datetime | None,
    ) -> Self:
        """Return the gap of one row."""
        subject = capfirst(_amount(events, since))
        return cls._of(
            f"{subject} {'isn' if events == 1 else 'aren'}'t",
            reason,
            projections,
            events=events,
            since=since,
        )

    @classmethod
    def of_answer(
        cls, reason: GapReason, projections: Iterable[str], *, since: datetime | None = None
    ) -> Self:
        """Return the gap of an answer that is made from many streams."""
        return cls._of("Some changes aren't", reason, projections, events=None, since=since)

    @classmethod
    def _of(
        cls, subject: str, reason: GapReason, projections: Iterable[str], **fields: Any
    ) -> Self:
        names = tuple(sorted(set(projections)))
        detail = f"{subject} shown yet: {_cause(reason, names)}."
        return cls(reason=reason, projections=names, detail=detail, **fields)

    @property
    def amount(self) -> str:
        """The number of missing changes and their time, as in "2 changes of today"."""
        return _amount(self.events, self.since)

    @property
    def cause(self) -> str:
        """The reason as it follows the word "because"."""
        return _cause(self.reason, self.projections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """A live generation whose rows may lack events of ``streams``, all streams or a slice of them.

    ``has_parked`` says that streams are parked. ``behind`` is STOPPED or LATE when the projection
    doesn't follow the log, since the time ``since``.
    """

    key: int
    name: str
    streams: published.Slice
    position: int
    has_parked: bool
    behind: GapReason | None
    since: datetime | None

    @property
    def is_only_late(self) -> bool:
        """True if the rows show the log up to ``position``, and nothing else is wrong."""
        return self.behind == GapReason.LATE and not self.has_parked

    @property
    def reason(self) -> GapReason:
        """The reason that concerns most rows."""
        return self.behind or GapReason.PARKED


def incomplete(checkpoint: Any, *, lag_seconds: float) -> Incomplete | None:
    """Return ``checkpoint``, a Projection, as an Incomplete; None if its rows lack no event.

    A lag of up to PROJECTION_LAG_ALERT_SECONDS is no gap.
    """
    behind, since = None, None
    if checkpoint.error:
        behind, since = GapReason.STOPPED, checkpoint.failed_at
    elif lag_seconds > settings.PROJECTION_LAG_ALERT_SECONDS:
        behind = GapReason.LATE
        since = timezone.now() - timedelta(seconds=lag_seconds)
    if behind is None and not checkpoint.parked_streams:
        return None
    return Incomplete(
        key=checkpoint.pk,
        name=checkpoint.name,
        streams=checkpoint.streams,
        position=checkpoint.position,
        has_parked=bool(checkpoint.parked_streams),
        behind=behind,
        since=since,
    )


def answer_gap(projections: Collection[Incomplete]) -> ProjectionGap | None:
    """Return the gap of an answer that is made from all streams of ``projections``."""
    if not projections:
        return None
    by_weight = (GapReason.STOPPED, GapReason.PARKED, GapReason.LATE)
    reason = min((projection.reason for projection in projections), key=by_weight.index)
    times = [projection.since for projection in projections if projection.since]
    return ProjectionGap.of_answer(
        reason, (projection.name for projection in projections), since=min(times, default=None)
    )


def row_gaps(
    projections: Collection[Incomplete], rows: Sequence[Streams]
) -> list[ProjectionGap | None]:
    """Return the gap of each row, None where it lacks no event.

    Takes at most one statement in each database, and none without ``projections``.
    """
    pairs = {
        (projection, stream)
        for projection in projections
        for row in rows
        for stream in row.get(projection.name, ())
        if projection.streams.has(stream)
    }
    gaps = {**_events_after(pairs), **_parked(pairs)}
    return [_merged(row, gaps) for row in rows]


_Gaps = dict[tuple[str, str], ProjectionGap]


def _parked(pairs: Collection[tuple[Incomplete, str]]) -> _Gaps:
    parked = [(projection, stream) for projection, stream in pairs if projection.has_parked]
    if not parked:
        return {}
    names = {projection.key: projection.name for projection, _ in parked}
    keys, streams = [projection.key for projection, _ in parked], [stream for _, stream in parked]
    with connections["read"].cursor() as cursor:
        cursor.execute(_PARKED, [keys, streams, _COUNTED])
        return {
            (names[key], stream): ProjectionGap.of_row(
                GapReason.PARKED,
                [names[key]],
                events=count if count < _COUNTED else None,
                since=since,
            )
            for key, stream, count, since in cursor.fetchall()
        }


def _events_after(pairs: Collection[tuple[Incomplete, str]]) -> _Gaps:
    behind = [
        (projection, stream, projection.behind) for projection, stream in pairs if projection.behind
    ]
    if not behind:
        return {}
    points = [(stream, projection.position) for projection, stream, _ in behind]
    gaps: _Gaps = {}
    newer = published.events_after(points, limit=_COUNTED)
    for (projection, stream, reason), events in zip(behind, newer, strict=True):
        is_counted = len(events) < _COUNTED
        times = [time for event_type, time in events if _wants(projection.name, event_type)]
        # A long gap is read from its newest events only: the row may lack older ones too.
        if times or not is_counted:
            gaps[projection.name, stream] = ProjectionGap.of_row(
                reason,
                [projection.name],
                events=len(times) if is_counted else None,
                since=min(times, default=None) if is_counted else projection.since,
            )
    return gaps


def _wants(name: str, event_type: str) -> bool:
    known_type = DomainEvent.types.get(event_type)
    return known_type is None or issubclass(known_type, projector(name).events)


def _merged(row: Streams, gaps: _Gaps) -> ProjectionGap | None:
    """Return one gap for all streams of ``row``: an event is missing once, in many projections."""
    of_row = [
        (stream, gaps[name, stream])
        for name, streams in row.items()
        for stream in streams
        if (name, stream) in gaps
    ]
    if not of_row:
        return None
    counts: dict[str, list[int | None]] = defaultdict(list)
    for stream, gap in of_row:
        counts[stream].append(gap.events)
    is_counted = all(gap.events is not None for _, gap in of_row)
    events = sum(max(count or 0 for count in of_stream) for of_stream in counts.values())
    times = [gap.since for _, gap in of_row if gap.since]
    return ProjectionGap.of_row(
        min((gap.reason for _, gap in of_row), key=list(GapReason).index),
        (name for _, gap in of_row for name in gap.projections),
        events=events if is_counted else None,
        since=min(times, default=None),
    )
