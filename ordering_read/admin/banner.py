"""The warnings above every admin page while its rows may be stale."""

from collections.abc import Callable, Iterator, Sequence

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest

from ordering_read.engine.status import ProjectionStatus, statuses

_CACHE_SECONDS = 5

# The warnings, and the status of each projection by its name.
_Look = tuple[list[str], dict[str, ProjectionStatus]]


def warnings(request: HttpRequest) -> dict[str, Callable[[], list[str]]]:
    """Add ``projection_warnings`` to templates. Only a template that uses them costs a query."""
    return {"projection_warnings": lambda: _cached_look()[0]}


def recent_statuses() -> dict[str, ProjectionStatus]:
    """Return the status of each projection, by name, as of the last few seconds."""
    return _cached_look()[1]


def _cached_look() -> _Look:
    look: _Look | None = cache.get_or_set("projection_warnings", _look, _CACHE_SECONDS)
    return look or ([], {})


def _look() -> _Look:
    try:
        found = statuses()
    except DatabaseError:
        return ["A database can't be reached: the rows may be old."], {}
    return list(_lines(found)), {status.name: status for status in found}


def _lines(found: Sequence[ProjectionStatus]) -> Iterator[str]:
    """Yield a line for all projections that have stopped, for the late ones, and for those that
    have parked events."""
    late_seconds = settings.PROJECTION_LAG_ALERT_SECONDS
    if stopped := [status for status in found if status.failed]:
        end = f" at event {stopped[0].position}" if len(stopped) == 1 else ""
        yield f"{_names(stopped)} {_have(stopped)} stopped{end}."
    if late := [status for status in found if status.lag_seconds > late_seconds]:
        events = max(status.lag_events for status in late)
        seconds = max(status.lag_seconds for status in late)
        yield (
            f"{_names(late)} {'is' if len(late) == 1 else 'are'} {events} events and "
            f"{seconds:.0f} seconds behind the log: newer changes aren't shown."
        )
    if parked := [status for status in found if status.parked_streams]:
        yield (
            f"{_names(parked)} {_have(parked)} parked events that can't be applied: pages mark the "
            "rows that lack them."
        )


def _names(found: Sequence[ProjectionStatus]) -> str:
    *others, last = [status.name for status in found]
    return f"Projections {', '.join(others)} and {last}" if others else f"Projection {last}"


def _have(found: Sequence[ProjectionStatus]) -> str:
    return "has" if len(found) == 1 else "have"
