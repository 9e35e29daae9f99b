"""The slices of a generation: bring them to one position, and change their number.

The events of a stream move the checkpoint of its slice, so that several workers keep one generation
up to date. All rows belong to the generation, whose own row is the checkpoint of the first slice.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from ordering_read.engine import generations, live
from ordering_read.models import Projection, parked_by
from ordering_read.projector import projector, registered
from ordering_write import published

logger = logging.getLogger(__name__)

# Columns that a further slice takes from the first one.
_COPIED = ("name", "generation", "version", "code_fingerprint", "position", "event_id", "log_id")

_Status = Projection.Status


class SliceBehindError(generations.GenerationError):
    """A slice of a generation can't be brought to the position of the others."""

    def __init__(self, checkpoint: Projection) -> None:
        reason = checkpoint.error or "another worker is trying the next event"
        super().__init__(f"{checkpoint}, is behind the other slices: {reason}.")


def wanted_count(name: str) -> int:
    """Return the number of slices that the settings want for the projection ``name``.

    Two runners must not change the same row, so a projection whose rows mix streams isn't cut.
    """
    return settings.PROJECTION_SLICES if projector(name).sliced_by == "stream" else 1


def bring_level(generation: Projection) -> int:
    """Bring all slices to the position of the furthest one; return this position.

    Call it with the checkpoints locked, so that the position stays. Raises SliceBehindError, and
    the errors of ``follow``.
    """
    rows = list(generation.checkpoints())
    until = max(row.position for row in rows)
    for row in rows:
        follow_until(row, until)
        if row.position < until:
            raise SliceBehindError(row)
    return until


def follow_until(checkpoint: Projection, until: int) -> None:
    """Follow the log from one checkpoint up to the position ``until``, the end of a commit.

    A checkpoint that another runner holds stays where it is.
    """
    if checkpoint.position >= until:
        return
    following = published.follow(
        Projection.objects.filter(pk=checkpoint.pk),
        live.subscriber(projector(checkpoint.name)),
        batch=settings.PROJECTION_BATCH,
        until=until,
    )
    for _ in following:
        pass
    checkpoint.refresh_from_db()


def share_out_all() -> bool:
    """Cut the generations that the workers follow into as many slices as the settings want.

    Returns False if one must be tried again: it is being rebuilt, or a slice is behind.
    """
    is_done = True
    followed = Projection.objects.filter(
        name__in=registered(), status__in=[_Status.LIVE, _Status.RETIRED]
    )
    for generation in followed:
        if generation.slice_count == wanted_count(generation.name):
            continue
        try:
            with generations.exclusive(generation.name):
                share_out(generation)
        except (generations.GenerationError, published.LogReplacedError) as error:
            logger.warning("%s, isn't cut into other slices yet: %s", generation, error)
            is_done = False
    return is_done


def share_out(generation: Projection) -> None:
    """Cut ``generation`` into as many slices as the settings want.

    Brings all slices to one position, from which the new ones go on; their workers wait meanwhile.
    Raises SliceBehindError, and the errors of ``follow``.
    """
    count = wanted_count(generation.name)
    with transaction.atomic(using="read"):
        rows = generation.lock_checkpoints()
        if len(rows) == count:
            return
        for row in rows:
            # A runner that was lost has yet to show which event kills.
            if row.error or row.crash_suspicion:
                raise SliceBehindError(row)
        bring_level(generation)
        first, *others = generation.checkpoints()
        first.slice_count, first.leased_until = count, None
        first.isolate_until = max(row.isolate_until for row in rows)
        first.batches += sum(row.batches for row in others)
        first.batch_seconds += sum(row.batch_seconds for row in others)
        first.save()
        parked_by(first).update(checkpoint=first)
        first.further_slices.all().delete()
        further = Projection.objects.bulk_create(
            Projection(
                owner=first,
                status=_Status.SLICE,
                slice_number=number,
                slice_count=count,
                isolate_until=first.isolate_until,
                **{column: getattr(first, column) for column in _COPIED},
            )
            for number in range(1, count)
        )
        _share_out_parked(first, [first, *further])


def _share_out_parked(first: Projection, rows: Sequence[Projection]) -> None:
    """Give each of ``rows`` the parked events of its slice, which all belong to ``first``."""
    is_waiting: dict[str, bool] = defaultdict(bool)
    for stream, skipped_at in first.parked_events.values_list("stream", "skipped_at"):
        is_waiting[stream] |= skipped_at is None
    for row in rows:
        streams = [stream for stream in is_waiting if row.streams.has(stream)]
        if row is not first and streams:
            first.parked_events.filter(stream__in=streams).update(checkpoint=row)
        row.parked_streams = sum(is_waiting[stream] for stream in streams)
        row.save(update_fields=["parked_streams"])
