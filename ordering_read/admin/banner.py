"""The warnings above every admin page while its rows may be stale."""

from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest

from ordering_read.engine.status import ProjectionStatus, statuses

_CACHE_SECONDS = 5


def warnings(request: HttpRequest) -> dict[str, Callable[[], list[str]]]:
    """Add ``projection_warnings`` to templates. Only a template that uses them costs a query."""
    return {"projection_warnings": _cached_warnings}


def _cached_warnings() -> list[str]:
    lines: list[str] | None = cache.get_or_set("projection_warnings", _warnings, _CACHE_SECONDS)
    return lines or []


def _warnings() -> list[str]:
    try:
        return [line for status in statuses() for line in _lines(status)]
    except DatabaseError:
        return ["A database can't be reached: the rows may be old."]


def _lines(status: ProjectionStatus) -> list[str]:
    lines = []
    if status.failed:
        lines.append(f"Projection {status.name} has stopped at event {status.position}.")
    if status.lag_seconds > settings.PROJECTION_LAG_ALERT_SECONDS:
        lines.append(
            f"Projection {status.name} is {status.lag_events} events and "
            f"{status.lag_seconds:.0f} seconds behind the log: newer changes aren't shown."
        )
    return lines
