"""Rebuild control: requests to pause, resume or cancel a rebuild that runs in any process."""

import time
from collections.abc import Callable

from django.db.models import QuerySet

from ordering_read.engine import generations
from ordering_read.models import Projection
from ordering_read.projector import projector, registered

# The interval at which a paused rebuild reads its row for a request.
_SECONDS_BETWEEN_LOOKS = 0.2

_Request = Projection.RebuildRequest


class NotRebuildingError(generations.GenerationError):
    """There is no rebuild to pause, resume or cancel."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} isn't being rebuilt.")


class RebuildCancelledError(generations.GenerationError):
    """A rebuild was cancelled: its rows are deleted, the live rows stay."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The rebuild of {name} was cancelled; the rows that were served stay.")


def rebuilding() -> list[str]:
    """Return the names of the projections with an unfinished rebuild."""
    building = Projection.objects.filter(name__in=registered(), status=Projection.Status.BUILDING)
    return list(building.order_by("name").values_list("name", flat=True))


def pause(name: str) -> None:
    """Pause the rebuild of a projection after its batch.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    _request(name, _Request.PAUSE)


def resume(name: str) -> None:
    """Resume the paused rebuild of a projection.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    _request(name, "")


def cancel(name: str) -> None:
    """End the rebuild of a projection after its batch, and delete the rows of the rebuild.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    request_cancel(name)
    try:
        with generations.exclusive(name):
            for generation in _building(name):
                generations.discard(generation)
    except generations.BusyError:
        # Another process runs the rebuild and deletes its rows.
        return


def request_cancel(name: str) -> None:
    """Ask the process that rebuilds a projection to cancel the rebuild.

    Without such a process the rows stay; ``cancel`` deletes them in any case.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    _request(name, _Request.CANCEL)


def wait_while_paused(building: Projection, *, is_over: Callable[[], bool] = lambda: False) -> None:
    """Wait between two batches while the rebuild is paused, or until ``is_over``.

    Raises RebuildCancelledError after a request to cancel.
    """
    requests = Projection.objects.filter(pk=building.pk).values_list("rebuild_request", flat=True)
    while request := requests.get():
        if request == _Request.CANCEL:
            raise RebuildCancelledError(building.name)
        if is_over():
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _request(name: str, request: str) -> None:
    if not _building(projector(name).name).update(rebuild_request=request):
        raise NotRebuildingError(name)


def _building(name: str) -> "QuerySet[Projection]":
    return Projection.objects.filter(name=name, status=Projection.Status.BUILDING)
