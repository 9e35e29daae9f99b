"""Rebuilds a projection from the log: fills the next generation, which then takes over.

An interrupted rebuild resumes after its last batch: the progress is committed with the rows.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Now

from ordering_read.engine import control, fill, generations, live, parallel, replays, slices
from ordering_read.engine.fingerprint import code_fingerprint
from ordering_read.engine.table_diff import ComparedTable, TableDiff
from ordering_read.engine.verify import store_result
from ordering_read.models import ParkedEvent, Projection, parked_by
from ordering_read.projector import projector
from ordering_write import published

# Differences that are listed for each table, at most.
_LISTED = 20
# Tries to get both generations to one position while the workers move the live generation.
_TRIES = 50
# A live generation that lags further than this is still being filled: comparing is pointless.
_MAX_COMPARED_LAG = 10_000

_Status = Projection.Status

# Called with the number of events that were applied, and the number of all events.
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The result of a rebuild: the new generation, and how many events filled it.

    ``compared`` has each compared table, with the first rows that differ from the served ones.
    ``not_compared`` is the reason why a table wasn't compared; empty when all were.
    """

    generation: Projection
    events: int
    compared: list[ComparedTable]
    not_compared: str


def rebuild(
    name: str,
    *,
    workers: int = 1,
    batch: int = fill.BATCH,
    throttle: float | None = None,
    promote: bool = True,
    from_archive: bool = False,
    progress: Progress = lambda done, total: None,
) -> Rebuilt:
    """Fill the next generation of a projection from the log, follow the log to its end, compare the
    generation with the live one, and promote it.

    ``workers`` processes fill the generation where rows belong to streams, with ``batch`` events in
    a transaction. ``throttle`` is the number of events that all of them may apply in a second.
    With ``from_archive``, they read the archive as far as it reaches, and not the log; a rebuild
    that is resumed goes on where it has begun.
    Until the promotion, readers see the live rows, and the workers keep these up to date. The
    workers also keep the former generation up to date until it is discarded. Rows that differ
    don't prevent the promotion, because the new rows follow from the log.

    Raises UnknownProjectionError, BusyError, NotLevelError, IncompleteError, TooManyParkedError,
    RebuildCancelledError, FillFailedError, ArchiveError and LogUnavailableError; the live rows stay
    as they were.
    """
    with generations.exclusive(projector(name).name) as lock:
        live.PROJECTIONS.ensure_checkpoints()
        building = _building(name, workers, batch, from_archive)
        meter = _Meter(building, progress)
        try:
            for _ in parallel.fill(building, workers=workers, batch=batch, throttle=throttle):
                lock()
                meter.look()
                meter.wait_while_paused()
            _follow(building, meter, throttle)
            compared, not_compared = _compare_with_live(building)
            store_result(building, 0, _result(compared, not_compared))
            _follow(building, meter, throttle)
        except control.RebuildCancelledError:
            generations.discard(building)
            raise
        if promote:
            lock()
            _refuse_if_incomplete(building)
            _promote(building)
    # Catch up on events whose wake-up came while the rows were locked.
    _follow(building, meter)
    return Rebuilt(
        generation=building, events=meter.done, compared=compared, not_compared=not_compared
    )


class _Meter:
    """Records the progress of a rebuild on its row, and reports it to the caller."""

    def __init__(self, building: Projection, progress: Progress) -> None:
        self._building = building
        self._progress = progress
        self._began = time.monotonic()
        self.done = self._done_before = _events_done(building)
        self._record()

    def look(self) -> None:
        """Read the progress of the slices."""
        self.done = _events_done(self._building)
        self._record()

    def add(self, events: int) -> None:
        """Add events that were applied after the slices were filled."""
        self.done += events
        self._building.events_total = max(self._building.events_total, self.done)
        self._record()

    def wait_while_paused(self) -> None:
        """Wait while the rebuild is paused; the time of the pause doesn't lower the rate."""
        began = time.monotonic()
        control.wait_while_paused(self._building)
        self._began += time.monotonic() - began

    def _record(self) -> None:
        building = self._building
        building.events_done = self.done
        elapsed = time.monotonic() - self._began
        building.events_per_second = (self.done - self._done_before) / max(elapsed, 0.001)
        building.updated_at = Now()
        building.save(
            update_fields=["events_done", "events_total", "events_per_second", "updated_at"]
        )
        self._progress(self.done, building.events_total)


def _events_done(building: Projection) -> int:
    if building.position:
        return building.events_done
    return building.slices.aggregate(events=Sum("events"))["events"] or 0


def _building(name: str, workers: int, batch: int, from_archive: bool) -> Projection:
    """Return the unfinished generation to resume, or begin a new generation."""
    for building in Projection.objects.filter(name=name, status=_Status.BUILDING):
        if _can_resume(building):
            building.rebuild_request = ""
            building.save(update_fields=["rebuild_request"])
            return building
        generations.discard(building)
    source = published.site_source()
    fill_source = Projection.FillSource.ARCHIVE if from_archive else replays.of_site()
    # The sequencer gives committed events their positions.
    source.sequence()
    is_from_archive = fill_source == Projection.FillSource.ARCHIVE
    until = published.archive.replay.last_position() if is_from_archive else source.last_position()
    building = generations.add(name, _Status.BUILDING)
    building.fill_source = fill_source
    fill.begin(building, until=until, slices=workers, batch=batch)
    return building


def _can_resume(building: Projection) -> bool:
    """Return True if the same code began ``building`` on this log, and nobody cancelled it."""
    position = building.position or building.filled_until
    log_fingerprint = published.site_source().fingerprint(position)
    return (
        building.code_fingerprint == code_fingerprint(building.name)
        and (building.log_id, building.event_id) == log_fingerprint
        and building.rebuild_request != Projection.RebuildRequest.CANCEL
    )


def _follow(building: Projection, meter: _Meter, throttle: float | None = None) -> None:
    batch = settings.PROJECTION_BATCH
    if throttle:
        batch = parallel.throttled(batch, throttle)
    began = time.monotonic()
    for events in generations.follow(building, batch=batch):
        meter.add(events)
        meter.wait_while_paused()
        if throttle:
            time.sleep(max(0.0, events / throttle - (time.monotonic() - began)))
            began = time.monotonic()
    building.refresh_from_db()


def _compare_with_live(building: Projection) -> tuple[list[ComparedTable], str]:
    """Compare the tables with the live ones; returns also why a table wasn't compared."""
    served = Projection.objects.get(name=building.name, status=_Status.LIVE)
    if not live.reads_this_log(served):
        return [], "the rows that are served were made from another log"
    behind = building.position - generations.position(served)
    if behind > _MAX_COMPARED_LAG:
        return [], f"the rows that are served are {behind:,} events behind"
    models = projector(building.name).models
    compared = [
        table
        for model in models
        if (table := _compare(TableDiff(model, stored=served, folded=building), served, building))
    ]
    is_complete = len(compared) == len(models)
    return compared, "" if is_complete else "the rows that are served moved on too fast"


def _result(compared: Sequence[ComparedTable], not_compared: str) -> str:
    """Return the result of the comparison as a sentence for people."""
    if not_compared:
        return f"Rebuilt, and not compared with the former rows: {not_compared}."
    rows = sum(table.folded_rows for table in compared)
    differing = sum(table.differing for table in compared)
    if not differing:
        return f"Rebuilt: {rows:,} rows, the same as before."
    return f"Rebuilt: {rows:,} rows; {differing:,} differ from the former ones."


def _compare(diff: TableDiff, served: Projection, building: Projection) -> ComparedTable | None:
    """Compare one table and list its first differences; None if the positions were never equal."""
    for _ in range(_TRIES):
        if not _are_level(served, building):
            continue
        if (table := diff.compare(limit=_LISTED)) is None:
            continue
        if (differences := diff.differences(table.keys)) is not None:
            return replace(table, differences=differences)
    return None


def _are_level(served: Projection, building: Projection) -> bool:
    """Return True if all positions are equal; if not, apply what the checkpoints behind lack."""
    building.refresh_from_db()
    checkpoints = [building, *served.checkpoints()]
    until = max(checkpoint.position for checkpoint in checkpoints)
    behind = [checkpoint for checkpoint in checkpoints if checkpoint.position < until]
    for checkpoint in behind:
        slices.follow_until(checkpoint, until)
    return not behind


def _refuse_if_incomplete(building: Projection) -> None:
    """Raise IncompleteError if ``building`` has a parked stream that the live generation hasn't."""
    served = Projection.objects.get(name=building.name, status=_Status.LIVE)
    parked_streams = parked_by(served).filter(skipped_at=None).values("stream")
    blocking = building.parked_events.filter(skipped_at=None).exclude(
        category=ParkedEvent.Category.WAITING
    )
    parked_event = blocking.exclude(stream__in=parked_streams).first()
    if parked_event is not None and live.reads_this_log(served):
        # Discarded, because the next rebuild must try all events again with the corrected code.
        generations.discard(building)
        raise generations.IncompleteError(building, parked_event)


def _promote(building: Projection) -> None:
    replaced = list(Projection.objects.filter(name=building.name, status=_Status.RETIRED))
    former = generations.promote(building)
    if not live.reads_this_log(former):
        # A generation of another log can't be brought up to date again.
        replaced.append(former)
    for generation in replaced:
        generations.discard(generation)
