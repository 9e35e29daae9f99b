"""The timeline on the page of an order: the newest events, with links to the older ones."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from config.http.errors import ParameterError
from ordering_read.admin.histories import sentence
from ordering_read.admin.labels import CHANNELS
from ordering_read.models.order_timeline import TimelineEntry

# The parameter with the version of the event below which the timeline begins.
_BEFORE = "before"
# The events on one page.
_ENTRIES = 50


def timeline_context(
    request: HttpRequest, order_id: UUID, *, with_personal: bool
) -> dict[str, Any]:
    """Return the context of the timeline, in one statement. Raises ParameterError."""
    before = _before(request)
    rows = TimelineEntry.live.filter(order_id=order_id)
    if before is not None:
        rows = rows.filter(version__lt=before)
    entries = list(rows.order_by("-version")[: _ENTRIES + 1])
    shown = entries[:_ENTRIES]
    return {
        "entries": [
            (
                entry,
                sentence(entry, with_personal=with_personal),
                CHANNELS.get(entry.channel, entry.channel),
            )
            for entry in shown
        ],
        "older_before": shown[-1].version if len(entries) > _ENTRIES else None,
        "is_newest": before is None,
    }


def _before(request: HttpRequest) -> int | None:
    text = request.GET.get(_BEFORE)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ParameterError(_BEFORE, "The timeline begins before the number of an event.")
    return int(text)
