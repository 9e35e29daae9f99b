"""Fills an empty generation from the log up to a position, one slice of streams after the other.

Where each row belongs to one stream, a slice reads stream by stream: a batch then usually holds all
events of a stream, so each row is written once. Where rows mix streams there is one slice, which
reads in the order of the log. The stream of a site can be read in its order only: its slices are
those of ``log.slicing``, each of which reads all messages.
"""

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import Sum

from ordering_read.engine import live, replays
from ordering_read.models import FillSlice, Projection
from ordering_read.projector import projector
from ordering_write import published
from ordering_write.published import DomainEvent

# Events in one batch: so many that the cost of its statements is small for each event.
BATCH = 5_000
# After so many lost starts on one batch, its events are applied one by one.
_LOST_STARTS = 2


def begin(generation: Projection, *, until: int, slices: int = 1, batch: int = BATCH) -> None:
    """Plan to fill ``generation`` from its ``fill_source`` up to the position ``until``, in at most
    ``slices`` slices and at most one for each ``batch`` events.

    ``until`` must be the end of a commit, such as the position of another generation. Counts the
    events that are needed, and raises LogGapError when one is missing.
    """
    projection = projector(generation.name)
    generation.filled_until = until
    replay = replays.module(generation.fill_source)
    generation.events_total = replay.count(projection.events, until=until)
    most = min(slices, math.ceil(generation.events_total / batch) or 1)
    ends = [""]
    if replays.is_by_stream(generation.fill_source, projection.sliced_by):
        ends = replay.slices(projection.events, of=most) or ends
    elif projection.sliced_by == "stream":
        ends *= max(count for count in published.COUNTS if count <= most)
    begins = [("", 0), *((end, published.replay.END_OF_STREAM) for end in ends)]
    # Stored at the start, so that a resumed rebuild notices a replaced log.
    generation.log_id, generation.event_id = published.site_source().fingerprint(until)
    with transaction.atomic(using="read"):
        generation.save(
            update_fields=["filled_until", "fill_source", "events_total", "log_id", "event_id"]
        )
        FillSlice.objects.bulk_create(
            FillSlice(
                projection=generation,
                number=number,
                stream=stream,
                version=version,
                last_stream=end,
            )
            for number, ((stream, version), end) in enumerate(zip(begins, ends, strict=False))
        )


def fill_slice(generation: Projection, number: int, *, batch: int = BATCH) -> Iterator[int]:
    """Fill the rest of one slice; yields the number of events of each batch.

    Rows and progress move in one transaction, so that a killed process repeats at most one batch.
    Events that can't be applied are parked, as are events that have killed three processes. Raises
    TooManyParkedError and LogUnavailableError.
    """
    while True:
        _count_start(generation, number, batch)
        try:
            applied = _apply_next_batch(generation, number, batch)
        except published.LogUnavailableError:
            # No process was lost.
            FillSlice.objects.filter(projection=generation, number=number).update(starts=0)
            raise
        if applied is None:
            return
        yield applied


def finish(generation: Projection) -> None:
    """Move ``generation`` to the end of its filled slices, from where it follows the log.

    Raises LogGapError when the slices had fewer events than were counted.
    """
    applied = generation.slices.aggregate(events=Sum("events"))["events"]
    if applied != generation.events_total:
        raise published.LogGapError(
            f"{generation} was filled with {applied} of {generation.events_total} events: "
            "the log lost events in the meantime."
        )
    generation.position = generation.filled_until
    with transaction.atomic(using="read"):
        generation.save(update_fields=["position"])
        generation.slices.all().delete()


def _apply_next_batch(generation: Projection, number: int, batch: int) -> int | None:
    """Apply the next batch of a slice; returns its number of events, None after the last batch."""
    with _without_garbage_collector(), transaction.atomic(using="read"):
        fill = _lock(generation, number)
        if fill.is_done:
            return None
        events, size = _read_next(generation, fill, 1 if fill.isolated else batch)
        subscriber = live.subscriber(projector(generation.name), filling=True)
        # ``generation`` may be stale; the row just read says whether streams are parked.
        checkpoint = fill.projection
        if fill.isolated and fill.starts > 1:
            for event in events:
                published.parking.park_crashed(checkpoint, event, subscriber)
        else:
            published.parking.apply(checkpoint, events, subscriber, bisect=True)
        fill.events += size
        fill.starts, fill.isolated = 0, max(0, fill.isolated - 1)
        fill.save()
        return size


def _count_start(generation: Projection, number: int, batch: int) -> None:
    """Count a start on a batch, so that a killed process is noticed.

    After ``_LOST_STARTS`` lost starts, the events of the batch are applied one by one to find the
    event that kills. Unlike in ``CrashSuspicion``, the first start counts too, because no other
    process would notice its loss.
    """
    with transaction.atomic(using="read"):
        fill = _lock(generation, number)
        fill.starts += 1
        if not fill.isolated and fill.starts > _LOST_STARTS:
            fill.starts, fill.isolated = 1, batch
        fill.save(update_fields=["starts", "isolated"])


def _lock(generation: Projection, number: int) -> FillSlice:
    slices = FillSlice.objects.select_for_update(of=("self",)).select_related("projection")
    return slices.get(projection=generation, number=number)


@contextmanager
def _without_garbage_collector() -> Iterator[None]:
    """Stop the garbage collector during a batch: all objects of the batch are in use until its end,
    so visiting them frees nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _read_next(
    generation: Projection, fill: FillSlice, batch: int
) -> tuple[list[DomainEvent], int]:
    """Return the next events of a slice, and how many of ``events_total`` they are; move the slice
    past them."""
    projection, source = projector(generation.name), generation.fill_source
    if not replays.is_by_stream(source, projection.sliced_by):
        until = min(fill.position + batch, generation.filled_until)
        streams = published.Slice(fill.number, generation.slices.count())
        part = replays.read(
            source, projection.events, after=fill.position, until=until, streams=streams
        )
        fill.position, fill.is_done = until, until == generation.filled_until
        return part
    events, (fill.stream, fill.version), fill.is_done = replays.module(source).read_streams(
        projection.events,
        after=(fill.stream, fill.version),
        last=fill.last_stream,
        until=generation.filled_until,
        limit=batch,
    )
    return events, len(events)
