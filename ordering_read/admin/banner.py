"""What stands above every admin page while its rows can't be trusted to be new."""

from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest

from ordering_read.engine.status import ProjectionStatus, statuses

# How long what was found is shown without another look.
_SECONDS = 5


def warnings(request: HttpRequest) -> dict[str, Callable[[], list[str]]]:
    """A context processor: templates that use ``projection_warnings`` cause the look."""
    return {"projection_warnings": _remembered}


def _remembered() -> list[str]:
    found: list[str] | None = cache.get_or_set("projection_warnings", _look, _SECONDS)
    return found or []


def _look() -> list[str]:
    try:
        return [line for one in statuses() for line in _lines(one)]
    except DatabaseError:
        return ["How old the rows are can't be found out: a database can't be reached."]


def _lines(one: ProjectionStatus) -> list[str]:
    lines = []
    if one.failed:
        lines.append(f"Projection {one.name} has stopped at event {one.position}.")
    if one.lag_seconds > settings.PROJECTION_LAG_ALERT_SECONDS:
        lines.append(
            f"Projection {one.name} is {one.lag_events} events and {one.lag_seconds:.0f} seconds "
            "behind the log: newer changes aren't shown."
        )
    return lines
