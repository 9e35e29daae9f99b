"""Folds the log into a shadow generation, which readers are never served.

The shadow generation is compared with the live one. The live generation is locked only while the
last few events are applied to the shadow generation, and while rows are repaired; at all other
times the workers move it.
"""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from django.db import transaction

from config.databases.retry import is_transient
from ordering_read.engine import generations, replays, slices
from ordering_read.engine.fill import BATCH
from ordering_read.engine.table_diff import Keys, TableDiff
from ordering_read.models import Projection, parked_by
from ordering_read.projector import projector, writing
from ordering_write import published
from ordering_write.published import DomainEvent

# The number of streams that are folded in one batch.
_STREAMS_AT_ONCE = 100

_Source = Projection.FillSource

# Called with the number of events that were folded, and the number of all events to fold.
Progress = Callable[[int, int], object]


class CannotFoldError(generations.GenerationError):
    """This code can't apply an event that the live generation has applied."""

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(
            f"{name} can't apply now what it has applied before: {type(reason).__name__}: {reason}."
        )


class ShadowGeneration:
    """A generation that is folded from the log up to the position of the live generation.

    Events that are parked or skipped in the live generation are left out, since its rows lack them.
    """

    def __init__(self, live: Projection, shadow: Projection) -> None:
        self.name = live.name
        self._live = live
        self._shadow = shadow
        self._projector = projector(live.name)
        self._source = replays.of_site()
        # Where the events after those of the archive are.
        self._followed = _Source.STREAM if self._source == _Source.STREAM else _Source.LOG
        self._diffs = [
            TableDiff(model, stored=live, folded=shadow) for model in self._projector.models
        ]
        # The names of the folded streams; None for all streams.
        self._streams: frozenset[str] | None = None
        # Events that are parked or skipped in the live generation, with their positions.
        self._left_out: dict[UUID, int] = {}

    def fill(self, sample: int | None, progress: Progress) -> list[tuple[TableDiff, Keys | None]]:
        """Fold the log up to the position of the live generation.

        ``sample`` is the number of streams, or of rows where rows mix streams; None for all.
        Returns each table with the keys of the rows to compare, None for all rows.
        """
        until = generations.position(self._live)
        self._left_out = self._parked_or_skipped()
        if sample is not None and self._projector.sliced_by == "stream":
            self._fill_streams(sample, until)
            owners = {owner for diff in self._diffs for owner in diff.owners()}
            return [(diff, diff.keys_of_owners(owners)) for diff in self._diffs]
        self._fill_all(until, progress)
        return [(diff, None if sample is None else diff.sample(sample)) for diff in self._diffs]

    def _fill_streams(self, sample: int, until: int) -> None:
        event_types = self._projector.events
        streams = self._sample(sample, until)
        for start in range(0, len(streams), _STREAMS_AT_ONCE):
            events = replays.module(self._followed).read_whole_streams(
                event_types, streams=streams[start : start + _STREAMS_AT_ONCE], until=until
            )
            self._apply(events, filling=True)
        self._streams = frozenset(streams)
        self._move(until)

    def _sample(self, size: int, until: int) -> list[str]:
        event_types = self._projector.events
        replay = replays.module(self._followed)
        streams: list[str] = replay.sample_streams(event_types, until=until, limit=size)
        if self._source == _Source.ARCHIVE:
            # The database has only one event of most streams.
            replay = published.archive.replay
            streams += replay.sample_streams(event_types, until=until, limit=size)
            streams = random.sample(sorted({*streams}), min(size, len({*streams})))
        return streams

    def _fill_all(self, until: int, progress: Progress) -> None:
        if self._source == _Source.ARCHIVE:
            # The newer events follow in the order of the log.
            until = min(until, published.archive.replay.last_position())
        total = replays.module(self._source).count(self._projector.events, until=until)
        done = 0
        is_by_stream = replays.is_by_stream(self._source, self._projector.sliced_by)
        batches = self._by_stream(until) if is_by_stream else self._in_order(self._source, until)
        for events, size in batches:
            self._apply(events, filling=True)
            done += size
            progress(done, total)
        if done != total:
            raise published.LogGapError(
                f"{done} of {total} events were read: the log lost events in the meantime."
            )
        self._move(until)

    def _by_stream(self, until: int) -> Iterator[tuple[list[DomainEvent], int]]:
        event_types = self._projector.events
        after, is_last = ("", 0), False
        replay = replays.module(self._source)
        # ``slices`` is empty in an empty log.
        [last] = replay.slices(event_types, of=1) or [""]
        while not is_last:
            events, after, is_last = replay.read_streams(
                event_types, after=after, last=last, until=until, limit=BATCH
            )
            yield events, len(events)

    def _in_order(
        self, source: str, until: int, *, after: int = 0
    ) -> Iterator[tuple[list[DomainEvent], int]]:
        for start in range(after, until, BATCH):
            end = min(start + BATCH, until)
            yield replays.read(source, self._projector.events, after=start, until=end)

    def _apply(self, events: Sequence[DomainEvent], *, filling: bool) -> None:
        events = [event for event in events if self._includes(event)]
        for event in events:
            if isinstance(event, published.UndecodableEvent):
                raise published.UndecodableEventError(event)
        if not events:
            return
        try:
            with transaction.atomic(using="read"), writing(filling=filling):
                self._projector.apply(events, self._shadow.pk)
        except Exception as error:
            if is_transient(error):
                raise
            raise CannotFoldError(self.name, error) from error

    def _includes(self, event: DomainEvent) -> bool:
        envelope = event.recorded
        return envelope.event_id not in self._left_out and (
            self._streams is None or envelope.stream in self._streams
        )

    def _parked_or_skipped(self) -> dict[UUID, int]:
        return dict(parked_by(self._live).values_list("event_id", "position"))

    def _move(self, position: int) -> None:
        self._shadow.position = position
        self._shadow.save(update_fields=["position"])

    @contextlib.contextmanager
    def aligned(self) -> Iterator[None]:
        """Bring the shadow generation to the position of the live one, and keep both there.

        The block runs in a transaction that locks the live generation. Raises SliceBehindError.
        """
        # Most events are applied before the lock, so that the workers wait only briefly.
        self._follow(generations.position(self._live))
        with transaction.atomic(using="read"):
            self._live.lock_checkpoints()
            self._follow(slices.bring_level(self._live))
            yield

    def _follow(self, until: int) -> None:
        """Apply the events up to ``until``, a position that all slices of the live generation have
        reached."""
        # Read after the position, so that an event parked in between counts as left out.
        left_out = self._parked_or_skipped()
        retried_positions = sorted(
            position
            for event_id, position in self._left_out.items()
            if event_id not in left_out and position <= self._shadow.position
        )
        self._left_out = left_out
        for position in retried_positions:
            for events, _ in self._in_order(self._followed, position, after=position - 1):
                self._apply(events, filling=False)
        for events, _ in self._in_order(self._followed, until, after=self._shadow.position):
            self._apply(events, filling=False)
        if self._shadow.position != until:
            self._move(until)

    def parked_streams(self) -> list[str]:
        """Return the streams that wait for parked events in the live generation."""
        waiting = parked_by(self._live).filter(skipped_at=None)
        return list(waiting.order_by("stream").values_list("stream", flat=True).distinct())
