"""Rebuilding a projection from the log: the next generation is filled, then takes over.

Whatever ends a rebuild before it is done, the next one goes on where it was: progress stands in
the tables, beside the rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from django.conf import settings
from django.db.models import Model, Sum
from django.db.models.functions import Now

from ordering_read.engine import control, fill, generations, live, parallel
from ordering_read.engine.compare import Comparison, compare
from ordering_read.engine.fingerprint import definition
from ordering_read.models import ParkedEvent, Projection
from ordering_read.projector import projector
from ordering_write import published

# Differences between old and new rows that are listed, for each table.
_LISTED = 20
# Tries to find both generations at one position while the workers move the live one on.
_COMPARISONS = 50
# A live generation that is further behind is being filled itself: there is nothing to compare.
_NEAR = 10_000

_Status = Projection.Status

# Called with the number of events that were applied, and of those that there are.
Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild has made: the new generation, how many events filled it, how its tables
    differ from those that were served, and why some weren't compared, empty when all were."""

    generation: Projection
    events: int
    comparisons: list[Comparison]
    not_compared: str


def rebuild(
    name: str,
    *,
    workers: int = 1,
    batch: int = fill.BATCH,
    throttle: float | None = None,
    promote: bool = True,
    progress: Progress = lambda done, total: None,
) -> Rebuilt:
    """Fill the next generation of a projection from the log, follow until level, compare it with
    the live one, and promote it.

    ``workers`` processes fill it, where rows belong to streams, with ``batch`` events in a
    transaction; ``throttle`` is how many events a second may be applied in all. Readers are
    served the live rows until then, and the workers go on with them. The former generation is
    kept, and kept up to date, until it is discarded. The new rows take over even where they differ:
    they are what the log says.

    Raises UnknownProjectionError, BusyError, NotLevelError, IncompleteError, TooManyParkedError,
    RebuildCancelledError and FillFailedError; the live rows are then as if nothing had been tried.
    """
    with generations.alone(projector(name).name) as hold:
        live.keep_checkpoints()
        building = _building(name, workers, batch)
        meter = _Meter(building, progress)
        try:
            for _ in parallel.fill(building, workers=workers, batch=batch, throttle=throttle):
                hold()
                meter.look()
                meter.obey()
            _follow(building, meter, throttle)
            comparisons, not_compared = _compared(building)
            _follow(building, meter, throttle)
        except control.RebuildCancelledError:
            generations.discard(building)
            raise
        if promote:
            hold()
            _refuse_if_incomplete(building)
            _promote(building)
    # For the events whose wake-up found the rows locked.
    _follow(building, meter)
    return Rebuilt(
        generation=building,
        events=meter.done,
        comparisons=comparisons,
        not_compared=not_compared,
    )


class _Meter:
    """Notes how far a rebuild has come, on its row and for whoever watches."""

    def __init__(self, building: Projection, progress: Progress) -> None:
        self._building = building
        self._progress = progress
        self._began = time.monotonic()
        self.done = self._before = _filled(building)
        self._note()

    def look(self) -> None:
        """While it is filled: see what the slices have done."""
        self.done = _filled(self._building)
        self._note()

    def add(self, events: int) -> None:
        """After that: events that have come meanwhile."""
        self.done += events
        self._building.events_total = max(self._building.events_total, self.done)
        self._note()

    def obey(self) -> None:
        """Do what the rebuild is asked to; the time that it waits says nothing of its rate."""
        began = time.monotonic()
        control.obey(self._building)
        self._began += time.monotonic() - began

    def _note(self) -> None:
        building = self._building
        building.events_done = self.done
        elapsed = time.monotonic() - self._began
        building.events_per_second = (self.done - self._before) / max(elapsed, 0.001)
        building.updated_at = Now()
        building.save(
            update_fields=["events_done", "events_total", "events_per_second", "updated_at"]
        )
        self._progress(self.done, building.events_total)


def _filled(building: Projection) -> int:
    if building.position:
        return building.events_done
    return building.slices.aggregate(events=Sum("events"))["events"] or 0


def _building(name: str, workers: int, batch: int) -> Projection:
    """The generation to go on with: one that was begun by the same code on this log, or a new
    one."""
    for begun in Projection.objects.filter(name=name, status=_Status.BUILDING):
        same_log = (begun.log_id, begun.event_id) == published.mark(
            begun.position or begun.filled_until
        )
        if (
            begun.definition == definition(name)
            and same_log
            and begun.asked_to != Projection.Wish.CANCEL
        ):
            begun.asked_to = ""
            begun.save(update_fields=["asked_to"])
            return begun
        generations.discard(begun)
    building = generations.add(name, _Status.BUILDING)
    fill.begin(building, until=_end(), slices=workers, batch=batch)
    return building


def _end() -> int:
    """The last position that the log has given."""
    published.sequence()
    return published.last_position()


def _follow(building: Projection, meter: _Meter, throttle: float | None = None) -> None:
    batch = settings.PROJECTION_BATCH
    if throttle:
        batch = parallel.throttled(batch, throttle)
    began = time.monotonic()
    for events in generations.follow(building, batch=batch):
        meter.add(events)
        meter.obey()
        if throttle:
            time.sleep(max(0.0, events / throttle - (time.monotonic() - began)))
            began = time.monotonic()
    building.refresh_from_db()


def _compared(building: Projection) -> tuple[list[Comparison], str]:
    """The tables beside those that are served, and why some are not compared."""
    former = Projection.objects.get(name=building.name, status=_Status.LIVE)
    if not published.reads_this_log(former):
        return [], "the rows that are served were made from another log"
    behind = building.position - former.position
    if behind > _NEAR:
        return [], f"the rows that are served are {behind:,} events behind"
    comparisons = [
        _comparison(model, former, building) for model in projector(building.name).models
    ]
    missing = None in comparisons
    return [one for one in comparisons if one is not None], (
        "the rows that are served moved on too fast" if missing else ""
    )


def _comparison(model: type[Model], former: Projection, building: Projection) -> Comparison | None:
    for _ in range(_COMPARISONS):
        if _are_level(former, building):
            comparison = compare(model, former, building, limit=_LISTED)
            if comparison:
                return comparison
    return None


def _are_level(one: Projection, other: Projection) -> bool:
    """Whether both stand at one position; if not, the one behind is moved on by a batch."""
    one.refresh_from_db()
    other.refresh_from_db()
    behind, ahead = sorted((one, other), key=attrgetter("position"))
    missing = ahead.position - behind.position
    if missing:
        # Not past the other, whose position is the end of a commit.
        next(generations.follow(behind, batch=min(missing, settings.PROJECTION_BATCH)), None)
    return not missing


def _refuse_if_incomplete(building: Projection) -> None:
    """What is parked in the new rows must be parked in those that are served too."""
    served = Projection.objects.get(name=building.name, status=_Status.LIVE)
    parked_there = served.parked_events.filter(skipped_at=None).values("stream")
    held_up = building.parked_events.filter(skipped_at=None).exclude(
        category=ParkedEvent.Category.WAITING
    )
    parked = held_up.exclude(stream__in=parked_there).first()
    if parked is not None and published.reads_this_log(served):
        # What is parked is to be tried afresh, which may be after a change elsewhere in the code.
        generations.discard(building)
        raise generations.IncompleteError(building, parked)


def _promote(building: Projection) -> None:
    older = Projection.objects.filter(name=building.name, status=_Status.RETIRED)
    replaced = list(older)
    former = generations.promote(building)
    if not published.reads_this_log(former):
        # Nothing brings it up to date again.
        replaced.append(former)
    for generation in replaced:
        generations.discard(generation)
