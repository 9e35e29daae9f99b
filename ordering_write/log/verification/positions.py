"""Checks that positions are dense and that each of them has its event."""

from collections.abc import Iterator

from django.db import connection

from ordering_write.log import detached
from ordering_write.log.verification import finding
from ordering_write.log.verification.finding import Finding
from ordering_write.models import ArchivedFile

_POSITIONS = """
SELECT event_position.position, event.id IS NULL
FROM event_position LEFT JOIN event ON event.id = event_position.event_id
WHERE event_position.position > %s ORDER BY event_position.position LIMIT %s
"""


def check() -> Iterator[Finding]:
    """Yield the positions that are missing, and those whose event is missing.

    Where events have left the database, the files of the archive must have them.
    """
    last = 0
    if end := detached.until():
        for file in ArchivedFile.objects.filter(last__lte=end):
            if file.first != last + 1:
                yield Finding("", None, f"no file has the positions {last + 1} to {file.first - 1}")
            last = file.last
    while page := _positions_after(last):
        for position, event_is_missing in page:
            if position != last + 1:
                yield Finding("", None, f"positions {last + 1} to {position - 1} are missing")
            if event_is_missing:
                yield Finding("", None, f"the event at position {position} is missing")
            last = position


def _positions_after(position: int) -> list[tuple[int, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(_POSITIONS, [position, finding.PAGE])
        return list(cursor.fetchall())
