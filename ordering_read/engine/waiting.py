"""Waiting until projections have passed an event: reading one's own write."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from django.db import DatabaseError

from ordering_read.engine.base import projector, registered
from ordering_read.models import Projection
from ordering_write import published

logger = logging.getLogger(__name__)

# Between two looks; a look is two small queries, one once the event's position is known.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.05


def wait(*, event_id: UUID, projections: Sequence[str], timeout: float) -> bool:
    """Wait until the live rows of ``projections`` (none named: all) show the event.

    Returns whether they do after at most ``timeout`` seconds. An unreachable database counts as
    not yet: what was commanded has happened, so that waiting for it must not fail. Raises
    UnknownProjectionError.
    """
    names = {projector(name).name for name in projections} or set(registered())
    ends_at = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    position = None
    try:
        while True:
            position = position or published.position_of(event_id)
            if position is not None and _passed(position, names):
                return True
            left = ends_at - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
    except DatabaseError as error:
        logger.warning("Can't see whether the read models show event %s: %s", event_id, error)
        return False


def _passed(position: int, names: set[str]) -> bool:
    there = Projection.objects.filter(
        name__in=names, status=Projection.Status.LIVE, position__gte=position
    )
    return there.count() == len(names)
