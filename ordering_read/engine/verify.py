"""Proving that the rows that readers are served are what the log says, and mending those that
aren't.

The log is folded again into a scratch generation, which nobody is served. Then both generations
are brought to one position and compared. The workers are kept from the live one only while the
last few events are applied to the scratch one, and while rows are mended, never while tables are
compared.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from ordering_read.engine import generations, live
from ordering_read.engine.fill import BATCH
from ordering_read.engine.rows import Finding, Names, Rows, named
from ordering_read.models import Projection
from ordering_read.projector import projector, writing
from ordering_write import published
from ordering_write.published import DomainEvent

logger = logging.getLogger(__name__)

# Findings that are read at once, and streams that are folded at once.
_ROWS_AT_ONCE = 1_000
_STREAMS_AT_ONCE = 100
# Tries to compare before the workers have moved the live generation on, which takes them longer
# than it takes us to begin.
_TRIES = 100

# Called with the number of events that were folded, and of all that are to be.
Progress = Callable[[int, int], object]
# Called with each row that isn't what the log says.
Tell = Callable[[Finding], object]


class NeverLevelError(generations.GenerationError):
    """The live generation moves on too fast to be compared."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} moves on too fast to be compared; try again when there is less to do."
        )


class CannotFoldError(generations.GenerationError):
    """An event can't be applied that isn't parked: the code has changed since it was."""

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(
            f"{name} can't apply now what it has applied before: {type(reason).__name__}: {reason}."
        )


class RowInTheWayError(generations.GenerationError):
    """A row can't be mended, because one that wasn't compared has what must be unique."""

    def __init__(self, name: str, reason: IntegrityError) -> None:
        super().__init__(
            f"{name} wasn't mended, since a row that isn't in the sample is in the way: "
            f"{' '.join(str(reason).split())}. Mend without --sample."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTable:
    """How many rows a table should have, or the sample of it, and the keys of those that are
    missing, surplus or different."""

    table: str
    rows: int
    wrong: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of verifying a projection: its tables, and the streams that are parked, whose rows
    are behind and may be."""

    tables: list[VerifiedTable]
    parked: list[str]


def verify(
    name: str,
    *,
    sample: int | None = None,
    mended_by: str | None = None,
    tell: Tell = lambda finding: None,
    progress: Progress = lambda done, total: None,
) -> Verified:
    """Compare the live rows of a projection with what the log says.

    Events that are parked or were skipped are left out, since the rows lack them.

    With ``sample``, where each row belongs to one stream, that many streams are folded, chosen by
    chance, and their rows compared; where rows mix streams, the whole log is folded, and that many
    rows of each table are compared. ``mended_by`` says in whose name the rows that are wrong are
    mended; None leaves them as they are. Workers and commands go on meanwhile.

    Raises UnknownProjectionError, BusyError while the projection is rebuilt, NeverLevelError,
    CannotFoldError, RowInTheWayError, LogReplacedError, LogGapError and UndecodableEventError.
    """
    with generations.alone(projector(name).name):
        live.keep_checkpoints()
        stored = Projection.objects.get(name=name, status=Projection.Status.LIVE)
        if not published.reads_this_log(stored):
            raise published.LogReplacedError(stored)
        # Nobody else is at it: whatever is there was left by one who was killed.
        for left in Projection.objects.filter(name=name, status=Projection.Status.SCRATCH):
            generations.discard(left)
        scratch = generations.add(name, Projection.Status.SCRATCH)
        try:
            twins = _Twins(stored, scratch)
            chosen = twins.fill(sample, progress)
            compared = [(rows, _compare(twins, rows, names, tell)) for rows, names in chosen]
            if mended_by is not None:
                _mend(twins, compared, mended_by)
            return Verified(tables=[table for _, table in compared], parked=twins.parked())
        finally:
            generations.discard(scratch)


class _Twins:
    """The live generation, and a scratch one that is brought to its position."""

    def __init__(self, stored: Projection, scratch: Projection) -> None:
        self.name = stored.name
        self._stored = stored
        self._scratch = scratch
        self._kind = projector(stored.name)
        self._tables = [Rows(model, stored, scratch) for model in self._kind.models]
        # Those that are folded; None for all.
        self._streams: frozenset[str] | None = None
        # What the live rows lack: events that are parked or skipped, with their positions.
        self._lacking: dict[UUID, int] = {}

    def fill(self, sample: int | None, progress: Progress) -> list[tuple[Rows, Names | None]]:
        """Fold the log up to where the live generation stands; returns the tables, each with the
        names of the rows to compare, None for all."""
        until = self._stored.position
        self._lacking = self._live_lacks()
        if sample is not None and self._kind.sliced_by == "stream":
            self._fill_streams(sample, until)
            owners = {owner for rows in self._tables for owner in rows.owners()}
            return [(rows, rows.owned_by(owners)) for rows in self._tables]
        self._fill_all(until, progress)
        return [(rows, None if sample is None else rows.some(sample)) for rows in self._tables]

    def _fill_streams(self, sample: int, until: int) -> None:
        wanted = self._kind.events
        streams = published.replay.some_streams(wanted, until=until, limit=sample)
        for start in range(0, len(streams), _STREAMS_AT_ONCE):
            some = streams[start : start + _STREAMS_AT_ONCE]
            events = published.replay.read_whole_streams(wanted, streams=some, until=until)
            self._apply(events, filling=True)
        self._streams = frozenset(streams)
        self._move(until)

    def _fill_all(self, until: int, progress: Progress) -> None:
        total, done = published.replay.count(self._kind.events, until=until), 0
        sliced = self._kind.sliced_by == "stream"
        for events in self._by_stream(until) if sliced else self._in_order(0, until):
            self._apply(events, filling=True)
            done += len(events)
            progress(done, total)
        if done != total:
            raise published.LogGapError(
                f"{done} of {total} events were read: some have gone from the log meanwhile."
            )
        self._move(until)

    def _by_stream(self, until: int) -> Iterator[list[DomainEvent]]:
        wanted = self._kind.events
        after, is_last = ("", 0), False
        # None in an empty log.
        [last] = published.replay.slices(wanted, of=1) or [""]
        while not is_last:
            events, after, is_last = published.replay.read_streams(
                wanted, after=after, last=last, until=until, limit=BATCH
            )
            yield events

    def _in_order(self, after: int, until: int) -> Iterator[list[DomainEvent]]:
        for start in range(after, until, BATCH):
            end = min(start + BATCH, until)
            yield published.replay.read(self._kind.events, after=start, until=end)

    def _apply(self, events: Sequence[DomainEvent], *, filling: bool) -> None:
        wanted = [event for event in events if self._folds(event)]
        for event in wanted:
            if isinstance(event, published.UndecodableEvent):
                raise published.UndecodableEventError(event)
        if not wanted:
            return
        try:
            with transaction.atomic(using="read"), writing(filling=filling):
                self._kind.apply(wanted, self._scratch.pk)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            raise CannotFoldError(self.name, error) from error

    def _folds(self, event: DomainEvent) -> bool:
        known = event.recorded
        return known.event_id not in self._lacking and (
            self._streams is None or known.stream in self._streams
        )

    def _live_lacks(self) -> dict[UUID, int]:
        return dict(self._stored.parked_events.values_list("event_id", "position"))

    def _move(self, position: int) -> None:
        self._scratch.position = position
        self._scratch.save(update_fields=["position"])

    @contextlib.contextmanager
    def level(self) -> Iterator[None]:
        """Inside it both stand at one position, in a transaction in which nobody moves them on."""
        # Most of the way while the workers go on.
        self._follow()
        with transaction.atomic(using="read"):
            Projection.objects.select_for_update().get(pk=self._stored.pk)
            self._follow()
            yield

    def _follow(self) -> None:
        """Bring the scratch generation to where the live one stands."""
        self._stored.refresh_from_db()
        # Only after its position, so that nothing is taken for applied that it has parked.
        lacking = self._live_lacks()
        retried = [place for event, place in self._lacking.items() if event not in lacking]
        self._lacking = lacking
        for place in sorted(retried):
            if place <= self._scratch.position:
                for events in self._in_order(place - 1, place):
                    self._apply(events, filling=False)
        for events in self._in_order(self._scratch.position, self._stored.position):
            self._apply(events, filling=False)
        self._move(self._stored.position)

    def parked(self) -> list[str]:
        """The streams of which the live rows lack events that wait."""
        waiting = self._stored.parked_events.filter(skipped_at=None)
        return list(waiting.order_by("stream").values_list("stream", flat=True).distinct())


def _compare(twins: _Twins, rows: Rows, chosen: Names | None, tell: Tell) -> VerifiedTable:
    expected, suspects = _suspects(twins, rows, chosen)
    wrong: list[dict[str, Any]] = []
    # Some at a time, and their columns only now: all rows may be wrong.
    for start in range(0, len(suspects), _ROWS_AT_ONCE):
        with twins.level():
            findings = rows.find(suspects[start : start + _ROWS_AT_ONCE])
        for finding in findings:
            tell(finding)
            wrong.append(finding.key)
    return VerifiedTable(table=rows.table, rows=expected, wrong=wrong)


def _suspects(twins: _Twins, rows: Rows, chosen: Names | None) -> tuple[int, Names]:
    for _ in range(_TRIES):
        with twins.level():
            pass
        # Not inside it: this takes its time, and the workers go on.
        compared = rows.compare(chosen)
        if compared:
            return compared
    raise NeverLevelError(twins.name)


def _mend(twins: _Twins, compared: Sequence[tuple[Rows, VerifiedTable]], mended_by: str) -> None:
    try:
        with twins.level():
            for rows, table in compared:
                rows.mend(table.wrong)
    except IntegrityError as error:
        raise RowInTheWayError(twins.name, error) from error
    for _, table in compared:
        for key in table.wrong:
            logger.warning("%s was mended by %s.", named(table.table, key), mended_by)
