"""What a rebuild that runs, in whatever processes, is asked to do: wait, go on, end."""

import time
from collections.abc import Callable

from django.db.models import QuerySet

from ordering_read.engine import generations
from ordering_read.models import Projection
from ordering_read.projector import projector, registered

# Between two looks of a rebuild that waits.
_LOOK_SECONDS = 0.2

_Request = Projection.RebuildRequest


class NotRebuildingError(generations.GenerationError):
    """There is no rebuild to pause, resume or cancel."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} isn't being rebuilt.")


class RebuildCancelledError(generations.GenerationError):
    """A rebuild was cancelled: its rows are gone, the live ones stay."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The rebuild of {name} was cancelled; the rows that were served stay.")


def rebuilding() -> list[str]:
    """The projections of which a rebuild was begun that isn't done, by name."""
    building = Projection.objects.filter(name__in=registered(), status=Projection.Status.BUILDING)
    return list(building.order_by("name").values_list("name", flat=True))


def pause(name: str) -> None:
    """Let the rebuild of a projection wait after its batch.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    _ask(name, _Request.PAUSE)


def resume(name: str) -> None:
    """Let the rebuild of a projection that waits go on.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    _ask(name, "")


def cancel(name: str) -> None:
    """Let the rebuild of a projection end after its batch, and delete what it has made.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    ask_to_cancel(name)
    try:
        with generations.alone(name):
            for building in _building(name):
                generations.discard(building)
    except generations.BusyError:
        # It runs, and does so itself.
        return


def ask_to_cancel(name: str) -> None:
    """Let the process that rebuilds a projection end so; ``cancel`` does it for one that is gone.

    Raises UnknownProjectionError and NotRebuildingError.
    """
    _ask(name, _Request.CANCEL)


def obey(building: Projection, *, is_over: Callable[[], bool] = lambda: False) -> None:
    """Between two batches, wait as long as a rebuild is asked to, or until ``is_over``.

    Raises RebuildCancelledError when it is asked to end.
    """
    while wish := Projection.objects.values_list("rebuild_request", flat=True).get(pk=building.pk):
        if wish == _Request.CANCEL:
            raise RebuildCancelledError(building.name)
        if is_over():
            return
        time.sleep(_LOOK_SECONDS)


def _ask(name: str, wish: str) -> None:
    if not _building(projector(name).name).update(rebuild_request=wish):
        raise NotRebuildingError(name)


def _building(name: str) -> "QuerySet[Projection]":
    return Projection.objects.filter(name=name, status=Projection.Status.BUILDING)
