"""Filling an empty generation from the log, up to a position; a slice of streams at a time.

Where each row belongs to one stream, a slice reads stream by stream: the rows of a stream are
then mostly complete when they are first written, however long it took the stream to grow. Where
rows mix streams there is one slice, which reads in the order of the log.
"""

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import Sum

from ordering_read.engine import live
from ordering_read.models import FillSlice, Projection
from ordering_read.projector import projector
from ordering_write import published
from ordering_write.published import DomainEvent

# Events in one batch: enough that the statements of a batch cost little.
BATCH = 5_000
# Starts on the events of one batch, together.
_STARTS_TOGETHER = 2


def fill(generation: Projection, *, until: int, batch: int = BATCH) -> Iterator[int]:
    """Fill an empty generation with what the log says up to the position ``until``, in this
    process; yields the number of events of each batch.

    ``until`` must be the end of a commit, such as the position of another generation. Raises what
    ``begin``, ``fill_slice`` and ``finish`` raise.
    """
    begin(generation, until=until)
    yield from fill_slice(generation, 0, batch=batch)
    finish(generation)


def begin(generation: Projection, *, until: int, slices: int = 1, batch: int = BATCH) -> None:
    """Plan to fill ``generation`` up to the position ``until``, in so many slices at most, and no
    more than there are batches of ``batch`` events.

    Counts the events that are needed, and raises LogGapError when one is missing.
    """
    kind = projector(generation.name)
    generation.filled_until = until
    generation.events_total = published.replay.count(kind.events, until=until)
    batches = math.ceil(generation.events_total / batch) or 1
    ends = [""]
    if kind.sliced_by == "stream":
        ends = published.replay.slices(kind.events, of=min(slices, batches)) or ends
    starts = [("", 0), *((end, published.replay.END_OF_STREAM) for end in ends)]
    # Kept from the beginning, so that whoever resumes sees whether it still is the same log.
    generation.log_id, generation.event_id = published.log_fingerprint(until)
    with transaction.atomic(using="read"):
        generation.save(update_fields=["filled_until", "events_total", "log_id", "event_id"])
        FillSlice.objects.bulk_create(
            FillSlice(
                projection=generation,
                number=number,
                stream=stream,
                version=version,
                last_stream=end,
            )
            for number, ((stream, version), end) in enumerate(zip(starts, ends, strict=False))
        )


def fill_slice(generation: Projection, number: int, *, batch: int = BATCH) -> Iterator[int]:
    """Go on with one slice until it is done; yields the number of events of each batch.

    Rows and progress move in one transaction, so that whoever is killed repeats one batch at most.
    What can't be applied is parked, and so is what has killed three processes that tried. Raises
    TooManyParkedError.
    """
    while (applied := _step(generation, number, batch)) is not None:
        yield applied


def finish(generation: Projection) -> None:
    """Let ``generation`` follow the log from where its slices, which are done, have brought it.

    Raises LogGapError when they had fewer events than were counted.
    """
    applied = generation.slices.aggregate(events=Sum("events"))["events"]
    if applied != generation.events_total:
        raise published.LogGapError(
            f"{generation} was filled with {applied} of {generation.events_total} events: "
            "some have gone from the log meanwhile."
        )
    generation.position = generation.filled_until
    with transaction.atomic(using="read"):
        generation.save(update_fields=["position"])
        generation.slices.all().delete()


def _step(generation: Projection, number: int, batch: int) -> int | None:
    _count_start(generation, number, batch)
    with _no_garbage(), transaction.atomic(using="read"):
        part = _locked(generation, number)
        if part.is_done:
            return None
        events = _next(generation, part, 1 if part.isolated else batch)
        subscriber = live.subscriber(projector(generation.name), filling=True)
        # As it stands in the table: it says whether anything is parked.
        checkpoint = part.projection
        if part.isolated and part.starts > 1:
            for event in events:
                published.parking.park_crashed(checkpoint, event, subscriber)
        else:
            published.parking.apply(checkpoint, events, subscriber, bisect=True)
        part.events += len(events)
        part.starts, part.isolated = 0, max(0, part.isolated - 1)
        part.save()
        return len(events)


def _count_start(generation: Projection, number: int, batch: int) -> None:
    """Write down that we start on a batch, so that it is known if we don't come back.

    When two starts on it were lost, its events are tried one by one, until the one is found that
    kills: as in ``CrashSuspicion``, but that here the first start is counted too, since
    nobody else could see it lost.
    """
    with transaction.atomic(using="read"):
        part = _locked(generation, number)
        part.starts += 1
        if not part.isolated and part.starts > _STARTS_TOGETHER:
            part.starts, part.isolated = 1, batch
        part.save(update_fields=["starts", "isolated"])


def _locked(generation: Projection, number: int) -> FillSlice:
    parts = FillSlice.objects.select_for_update(of=("self",)).select_related("projection")
    return parts.get(projection=generation, number=number)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Without the collector, which would look again and again at the many objects of a batch: all
    of them are in use until its end."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _next(generation: Projection, part: FillSlice, batch: int) -> list[DomainEvent]:
    """The events that come next in a slice, which is moved past them."""
    kind = projector(generation.name)
    if kind.sliced_by is None:
        until = min(part.position + batch, generation.filled_until)
        events = published.replay.read(kind.events, after=part.position, until=until)
        part.position, part.is_done = until, until == generation.filled_until
        return events
    events, (part.stream, part.version), part.is_done = published.replay.read_streams(
        kind.events,
        after=(part.stream, part.version),
        last=part.last_stream,
        until=generation.filled_until,
        limit=batch,
    )
    return events
