"""The warning above every admin page while its rows may be stale."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.text import capfirst

from ordering_read.engine.status import ProjectionStatus, measured_generations
from ordering_read.projector import labels
from ordering_read.queries.work import counts_of_work, work_view
from ordering_write.published import policies

_CACHE_KEY, _CACHE_SECONDS = "projection_warnings", 5
# The key of a WorkView as of the last few seconds.
WORK_KEY = "work"
# Units of an age in seconds. An age is shown in the largest unit of which it has two.
_UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}


class _Look(NamedTuple):
    """The warnings, one at most; the status of each projection by its name; what policies have
    given up, None if a database can't be reached."""

    warnings: list[str]
    statuses: dict[str, ProjectionStatus]
    given_up: policies.given_up.Count | None


def warnings(request: HttpRequest) -> dict[str, Callable[[], list[str]]]:
    """Add ``projection_warnings`` to templates. Only a template that uses them costs a query."""
    return {"projection_warnings": lambda: _cached_look().warnings}


def recent_statuses() -> dict[str, ProjectionStatus]:
    """Return the status of each projection, by name, as of the last few seconds."""
    return _cached_look().statuses


def recently_given_up() -> policies.given_up.Count | None:
    """Return what policies have given up, as of the last few seconds, if it is known."""
    return _cached_look().given_up


def note(statuses: Sequence[ProjectionStatus], given_up: policies.given_up.Count) -> list[str]:
    """Let the pages of the next seconds show what a page has just measured; return the warnings."""
    look = _look_at(statuses, given_up)
    cache.set(_CACHE_KEY, look, _CACHE_SECONDS)
    return look.warnings


def _cached_look() -> _Look:
    look: _Look | None = cache.get_or_set(_CACHE_KEY, _look, _CACHE_SECONDS)
    return look or _Look([], {}, None)


def _look() -> _Look:
    try:
        measured = measured_generations(extra=counts_of_work())
    except DatabaseError:
        return _Look(["A database can't be reached: what you see may be old."], {}, None)
    # Counted by the same statement: each page shows it in the navigation.
    if measured.extra is not None:
        cache.set(WORK_KEY, work_view(measured.extra, measured.given_up), _CACHE_SECONDS)
    return _look_at(measured.statuses, measured.given_up)


def _look_at(statuses: Sequence[ProjectionStatus], given_up: policies.given_up.Count) -> _Look:
    warning = " ".join(_sentences(statuses))
    by_name = {status.name: status for status in statuses}
    return _Look([warning] if warning else [], by_name, given_up)


def _sentences(found: Sequence[ProjectionStatus]) -> Iterator[str]:
    """Yield a sentence for all projections that have stopped, for the late ones, and for those that
    have parked events."""
    if stopped := [status for status in found if status.failed]:
        yield f"{_labels(stopped)} aren't updated any more: newer changes aren't shown."
    late_seconds = settings.PROJECTION_LAG_ALERT_SECONDS
    late = [status for status in found if status.lag_seconds > late_seconds and not status.failed]
    if late:
        age = _age(max(status.lag_seconds for status in late))
        yield f"{_labels(late)} are {age} old: newer changes aren't shown."
    if parked := [status for status in found if status.parked_streams]:
        names = labels([status.name for status in parked])
        yield f"An error holds up changes of {names}: pages mark the rows that lack them."


def _labels(found: Sequence[ProjectionStatus]) -> str:
    return capfirst(labels([status.name for status in found]))


def _age(seconds: float) -> str:
    unit = next((unit for unit, size in _UNITS.items() if seconds >= 2 * size), "second")
    count = int(seconds // _UNITS[unit])
    return f"{count} {unit}{'' if count == 1 else 's'}"
