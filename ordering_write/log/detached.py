"""Events that have left the database: readers of the log get them from the files of the archive.

The database is complete after the position ``until()``. Below it, an event may be missing whose
stream has a later one there, so that readers notice by a gap of positions or versions that they
must look here: they read the database first, since events leave after their files are marked.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

from django.db import connection
from django.utils.module_loading import import_string

from ordering_write.log.decoding import Row

_FILES = "ordering_write.archive.reading.read"
_SPAN = "SELECT min(first), max(last) FROM detached_span WHERE id = ANY(%s::uuid[])"
_PERSONAL = "SELECT id::text, fields, salt FROM personal_data WHERE id = ANY(%s::uuid[])"
# Events of a commit that are read at once after the last wanted one.
_REST = 100
# Ids of events have the time at which they were made, by the clock that records the events. They
# are looked up in the files of that time.
_TOLERANCE = timedelta(days=1)

# Columns of an event, as texts but for numbers, with ``previous_hash``, the hash of the event
# before in the stream.
Stored = dict[str, Any]


class DetachedEventsError(Exception):
    """Events that have left the database can't be read from the archive now."""


class Span(NamedTuple):
    """Positions from ``first`` to ``last``."""

    first: int
    last: int


class Files(Protocol):
    """Reads the files of the archive. Raises DetachedEventsError, also for a changed event."""

    def __call__(
        self,
        span: Span,
        column: str = "",
        values: Collection[str] = (),
        *,
        versions: tuple[int, int] | None = None,
        near: tuple[datetime, datetime] | None = None,
    ) -> list[Stored]:
        """Return the events of ``span`` in their order, those with one of ``values`` in a column.

        With ``versions``, only events of versions between two; with ``near``, only events that were
        recorded between two times (UTC).
        """
        ...


def until() -> int:
    """Return the position up to which events may have left the database; 0 for none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT detached_until()")
        return int(cursor.fetchone()[0])


def span_of(ids: Iterable[str]) -> Span | None:
    """Return the positions that the detached events of aggregates and commands lie between.

    ``ids`` are theirs; None without a detached event.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SPAN, [list(ids)])
        first, last = cursor.fetchone()
    return None if first is None else Span(first, last)


# --- Reading -----------------------------------------------------------------------------------
def read_range(after: int, last: int) -> list[Stored]:
    """Return all events after one position up to another, which is at most ``until()``."""
    return with_personal(_read(Span(after + 1, last))) if last > after else []


def read_commits(after: int, limit: int) -> list[Stored]:
    """Return the next ``limit`` events after a position, and the rest of their commit.

    Ends at ``until()``; empty after it.
    """
    end = until()
    last = min(after + limit, end)
    if last <= after:
        return []
    # Files end at the end of a commit.
    rows = _read(Span(after + 1, min(last + _REST, end)))
    commit_id = rows[last - after - 1]["commit_id"]
    while len(rows) < end - after and rows[-1]["commit_id"] == commit_id:
        begin = after + len(rows)
        rows += _read(Span(begin + 1, min(begin + _REST, end)))
    size = last - after
    while size < len(rows) and rows[size]["commit_id"] == commit_id:
        size += 1
    return with_personal(rows[:size])


def read_at(positions: Iterable[int]) -> list[Stored]:
    """Return the events at those of the ``positions`` that are at most ``until()``."""
    end = until()
    wanted = {position for position in positions if 0 < position <= end}
    if not wanted:
        return []
    span = Span(min(wanted), max(wanted))
    return with_personal(_read(span, "position", [str(position) for position in wanted]))


def read_streams(
    first_versions: Iterable[tuple[str, int]], *, after: int = 0, until: int | None = None
) -> list[Stored]:
    """Return the detached events of streams, stream by stream.

    ``first_versions`` are the names of the streams, and for each the version of the first event
    that the database has: the result ends before it. Leaves out events up to the version ``after``,
    and those after the version ``until``.
    """
    ends = dict(first_versions)
    # The name of a stream ends with the id of its aggregate.
    span = span_of(stream[-36:] for stream in ends)
    if span is None:
        return []
    last_version = max(ends.values()) - 1
    versions = after + 1, last_version if until is None else min(until, last_version)
    rows = [
        row
        for row in _read(span, "stream", ends, versions=versions)
        if row["version"] < ends[row["stream"]]
    ]
    return with_personal(sorted(rows, key=lambda row: (row["stream"], row["version"])))


def read_command(command_id: UUID) -> list[Stored]:
    """Return the events of a command of which one has left the database; empty for others."""
    span = span_of([str(command_id)])
    return _read(span, "command_id", [str(command_id)]) if span else []


def read_correlation(correlation_id: UUID, span: Span) -> list[Stored]:
    """Return the events of a correlation in its span."""
    return _read(span, "correlation_id", [str(correlation_id)])


def read_event(event_id: UUID, end: int) -> Stored | None:
    """Return an event at a position up to ``end``, which is ``until()``; None for any other id."""
    near = None
    if event_id.version == 7:
        # The time of such an id is its first 48 bits.
        moment = datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
        near = moment - _TOLERANCE, moment + _TOLERANCE
    rows = _read(Span(1, end), "event_id", [str(event_id)], near=near)
    return rows[0] if rows else None


def read_position(position: int) -> Stored | None:
    """Return the event at a position up to ``until()``, without its personal fields."""
    return _read(Span(position, position))[0] if 0 < position <= until() else None


def _read(
    span: Span,
    column: str = "",
    values: Collection[str] = (),
    **bounds: Any,
) -> list[Stored]:
    # The archive is in a layer above the log.
    read = cast(Files, import_string(_FILES))
    rows = read(span, column, values, **bounds)
    if not column and len(rows) != span.last - span.first + 1:
        raise DetachedEventsError(
            f"The archive lacks events from position {span.first} to {span.last}: "
            "manage.py verify_archive"
        )
    return rows


def with_personal(rows: list[Stored]) -> list[Stored]:
    """Add the personal fields to ``rows``, as texts, and their salts: None where they are erased.

    They are read from the database: the archive has none.
    """
    personal_ids = [row["personal_id"] for row in rows if row["personal_id"]]
    stored: dict[str, tuple[str | None, str | None]] = {}
    if personal_ids:
        with connection.cursor() as cursor:
            cursor.execute(_PERSONAL, [personal_ids])
            stored = {key: (fields, salt) for key, fields, salt in cursor.fetchall()}
    for row in rows:
        row["personal"], row["salt"] = stored.get(row["personal_id"] or "", (None, None))
    return rows


def typed(rows: Sequence[Stored]) -> list[Row]:
    """Return ``rows`` as the database returns them for ``reading.COLUMNS``."""
    return [Row._make(row[name] for name in Row._fields) for row in rows]
