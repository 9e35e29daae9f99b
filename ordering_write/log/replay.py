"""Reading the log again, fast: only the events that are wanted, in large batches.

Whoever follows the log reads every event and sees that none is missing. Whoever replays it leaves
out the types that nobody wants, so the same is proved by counting: ``count`` looks at every
position, and says how many events the batches must have brought in the end.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection, transaction

from ordering_write.domain.events import DomainEvent
from ordering_write.log import reading

# What is known and not wanted is left out, so that an event of an unknown type is seen.
_COUNT = """
SELECT count(*), count(*) FILTER (WHERE event.type <> ALL(%s))
FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event_position.position <= %s
"""
# Of a sample, which is enough for slices that are nearly equal.
_BOUNDS = """
SELECT percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY stream)
FROM event TABLESAMPLE SYSTEM (%s) WHERE type <> ALL(%s)
"""
_SAMPLE_SIZE = 10_000
_IN_ORDER = f"""{reading.BY_POSITION}
WHERE event_position.position > %s AND event_position.position <= %s AND event.type <> ALL(%s)
ORDER BY event_position.position
"""
# Every batch ends where the index says, and is then read by its bounds: a filter beside a LIMIT, or
# a join, would have the planner guess, and read the whole log for each batch.
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
_OF_STREAMS = f"""{reading.BY_POSITION}
WHERE event.stream = ANY(%s) AND event_position.position <= %s AND event.type <> ALL(%s)
ORDER BY event.stream, event.version
"""
_SOME_STREAMS = """
SELECT event.stream FROM event_position JOIN event ON event.id = event_position.event_id
WHERE event_position.position <= %s AND event.type <> ALL(%s)
GROUP BY event.stream ORDER BY random() LIMIT %s
"""


# After every event of a stream.
END_OF_STREAM = 2**31 - 1


class Batch(NamedTuple):
    """Some events, the stream and version up to which they were read, and whether that is all."""

    events: list[DomainEvent]
    end: tuple[str, int]
    is_last: bool


def count(wanted: Sequence[type[DomainEvent]], *, until: int) -> int:
    """How many events of the types ``wanted`` the log has up to the position ``until``.

    Raises LogGapError when any position up to there is missing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # It takes as long as the log is large.
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(_COUNT, [_unwanted(wanted), until])
        positions, found = cursor.fetchone()
    if positions != until:
        raise reading.LogGapError(
            f"{until - positions} of the {until} events up to position {until} are missing."
        )
    return int(found)


def slices(wanted: Sequence[type[DomainEvent]], *, of: int) -> list[str]:
    """The last stream of each of at most ``of`` slices of the streams by their names, which have
    about the same number of events of the types ``wanted``. None in an empty log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(stream), max(id) FROM event")
        last, size = cursor.fetchone()
        if last is None:
            return []
        shares = [number / of for number in range(1, of)]
        percent = min(100.0, 100.0 * _SAMPLE_SIZE / size)
        cursor.execute(_BOUNDS, [shares, percent, _unwanted(wanted)])
        bounds = cursor.fetchone()[0] or []
    return [*sorted({*bounds} - {None, last}, key=bounds.index), last]


def read(wanted: Sequence[type[DomainEvent]], *, after: int, until: int) -> list[DomainEvent]:
    """The events of the types ``wanted`` after one position and up to another, in order.

    One that this code can't read, or whose type it doesn't know, comes as an UndecodableEvent.
    """
    return reading.read(_IN_ORDER, [after, until, _unwanted(wanted)])


def read_streams(
    wanted: Sequence[type[DomainEvent]],
    *,
    after: tuple[str, int],
    last: str,
    until: int,
    limit: int,
) -> Batch:
    """The events of the types ``wanted`` among the next ``limit``, stream by stream up to the
    stream ``last``, each in order.

    ``after`` is the stream and version of the event before, and ("", 0) before the first one;
    events past the position ``until`` are left out. What this code can't read is as in ``read``.
    """
    with connection.cursor() as cursor:
        cursor.execute(_END_OF_BATCH, [*after, last, limit - 1])
        found = cursor.fetchone()
    end = found or (last, END_OF_STREAM)
    events = reading.read(_BY_STREAM, [after[0], end[0], *after, *end, _unwanted(wanted)])
    # One that has no position yet is later than all that have.
    known = [event for event in events if 0 < (event.recorded.position or 0) <= until]
    return Batch(known, end, found is None)


def read_whole_streams(
    wanted: Sequence[type[DomainEvent]], *, streams: Sequence[str], until: int
) -> list[DomainEvent]:
    """All events of the types ``wanted`` of these streams up to the position ``until``, stream by
    stream, each in order. What this code can't read is as in ``read``."""
    return reading.read(_OF_STREAMS, [list(streams), until, _unwanted(wanted)])


def some_streams(wanted: Sequence[type[DomainEvent]], *, until: int, limit: int) -> list[str]:
    """At most ``limit`` streams, by chance, that have events of the types ``wanted`` up to the
    position ``until``."""
    with connection.cursor() as cursor:
        cursor.execute(_SOME_STREAMS, [until, _unwanted(wanted), limit])
        return [stream for (stream,) in cursor.fetchall()]


def _unwanted(wanted: Sequence[type[DomainEvent]]) -> list[str]:
    known = DomainEvent.types.items()
    return [name for name, kind in known if not issubclass(kind, tuple(wanted))]
