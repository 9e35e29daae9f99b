"""Reads the log again, fast: only the wanted events, in large batches.

A runner that follows the log reads every event and sees that none is missing. A replay leaves out
the types that nobody wants, so it proves the same by counting: ``count`` looks at every position
and says how many events the batches must bring in all. Where events have left the database, only
``read`` and ``read_whole_streams`` go on: ``archive.replay`` has the other functions.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection, transaction

from ordering_write.domain.events import DomainEvent
from ordering_write.log import decoding, detached, reading

# Excludes the known types that aren't wanted, so that an event of an unknown type is read.
_COUNT = """
SELECT count(*), count(*) FILTER (WHERE event.type <> ALL(%s))
FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event_position.position <= %s
"""
# A sample is enough for slices of nearly equal size.
_BOUNDS = """
SELECT percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY stream)
FROM event TABLESAMPLE SYSTEM (%s) WHERE type <> ALL(%s)
"""
_SAMPLE_SIZE = 10_000
_IN_ORDER = f"""{reading.BY_POSITION}
WHERE event_position.position > %s AND event_position.position <= %s AND event.type <> ALL(%s)
ORDER BY event_position.position
"""
# The index gives the end of every batch, which is then read by its bounds. A filter beside a LIMIT,
# or a join, would let the planner guess, and read the whole log for each batch.
_END_OF_BATCH = """
SELECT stream, version FROM event WHERE (stream, version) > (%s, %s) AND stream <= %s
ORDER BY stream, version OFFSET %s LIMIT 1
"""
_POSITION = "(SELECT position FROM event_position WHERE event_id = event.id) AS position"
_PERSONAL = "(SELECT fields FROM personal_data WHERE id = event.personal_id) AS personal"
_COLUMNS = f"SELECT {_POSITION}, {reading.EVENT_COLUMNS}, {_PERSONAL}"
_BY_STREAM = f"""{_COLUMNS}
FROM event
WHERE event.stream >= %s AND event.stream <= %s AND (event.stream, event.version) > (%s, %s)
  AND (event.stream, event.version) <= (%s, %s) AND event.type <> ALL(%s)
ORDER BY event.stream, event.version
"""
_SAMPLE_OF_STREAMS = """
SELECT event.stream FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event_position.position <= %s AND event.type <> ALL(%s)
GROUP BY event.stream ORDER BY random() LIMIT %s
"""

# Higher than the version of any event.
END_OF_STREAM = 2**31 - 1


class ReplayBatch(NamedTuple):
    """Wanted events, the stream and version where the batch ends, and True for the last batch."""

    events: list[DomainEvent]
    end: tuple[str, int]
    is_last: bool


def count(wanted: Sequence[type[DomainEvent]], *, until: int) -> int:
    """Return the number of events of the types ``wanted`` up to the position ``until``.

    Raises LogGapError when a position up to there is missing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # This statement takes longer as the log grows.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(_COUNT, [unwanted(wanted), until])
        positions, events = cursor.fetchone()
    if positions != until:
        raise reading.LogGapError(
            f"{until - positions} of the {until} events up to position {until} are missing."
        )
    return int(events)


def slices(wanted: Sequence[type[DomainEvent]], *, of: int) -> list[str]:
    """Cut the streams, by name, into at most ``of`` slices of about as many wanted events.

    Returns the last stream of each slice; an empty list for an empty log.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(stream), max(id) - min(id) + 1 FROM event")
        last, size = cursor.fetchone()
        if last is None:
            return []
        shares = [number / of for number in range(1, of)]
        percent = min(100.0, 100.0 * _SAMPLE_SIZE / size)
        cursor.execute(_BOUNDS, [shares, percent, unwanted(wanted)])
        bounds = cursor.fetchone()[0] or []
    return [*sorted({*bounds} - {None, last}, key=bounds.index), last]


def read(wanted: Sequence[type[DomainEvent]], *, after: int, until: int) -> list[DomainEvent]:
    """Return the wanted events after one position and up to another, in order.

    An event that this code can't read, or of an unknown type, comes as an UndecodableEvent.
    """
    excluded = unwanted(wanted)
    events = reading.read(_IN_ORDER, [after, until, excluded])
    # Read afterwards: events may leave meanwhile.
    if (end := min(detached.until(), until)) > after:
        rows = detached.typed(detached.read_range(after, end))
        older = [decoding.event_of(row) for row in rows if row.type not in excluded]
        events = [*older, *(event for event in events if (event.recorded.position or 0) > end)]
    return events


def read_streams(
    wanted: Sequence[type[DomainEvent]],
    *,
    after: tuple[str, int],
    last: str,
    until: int,
    limit: int,
) -> ReplayBatch:
    """Return the wanted among the next ``limit`` events, stream by stream up to ``last``.

    ``after`` is the stream and version where the batch before ended, ("", 0) for the first batch.
    Events past the position ``until`` are left out. UndecodableEvent as in ``read``.
    """
    with connection.cursor() as cursor:
        cursor.execute(_END_OF_BATCH, [*after, last, limit - 1])
        end_row = cursor.fetchone()
    end = end_row or (last, END_OF_STREAM)
    events = reading.read(_BY_STREAM, [after[0], end[0], *after, *end, unwanted(wanted)])
    # An event without a position is newer than all that have one.
    positioned = [event for event in events if 0 < (event.recorded.position or 0) <= until]
    return ReplayBatch(positioned, end, end_row is None)


def read_whole_streams(
    wanted: Sequence[type[DomainEvent]], *, streams: Sequence[str], until: int
) -> list[DomainEvent]:
    """Return the wanted events of ``streams`` up to the position ``until``, stream by stream.

    UndecodableEvent as in ``read``.
    """
    excluded = unwanted(wanted)
    return [
        event
        for event in reading.read_streams(streams)
        if event.type not in excluded and 0 < (event.recorded.position or 0) <= until
    ]


def sample_streams(wanted: Sequence[type[DomainEvent]], *, until: int, limit: int) -> list[str]:
    """Return at most ``limit`` random streams with wanted events up to the position ``until``."""
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLE_OF_STREAMS, [until, unwanted(wanted), limit])
        return [stream for (stream,) in cursor.fetchall()]


def unwanted(wanted: Sequence[type[DomainEvent]]) -> list[str]:
    """Return the known types of events that aren't ``wanted``."""
    return [
        name
        for name, event_type in DomainEvent.types.items()
        if not issubclass(event_type, tuple(wanted))
    ]
