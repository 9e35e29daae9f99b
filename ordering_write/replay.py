"""Reading the log again, fast: only the events that are wanted, in large batches.

Whoever follows the log reads every event and sees that none is missing. Whoever replays it leaves
out the types that nobody wants, so the same is proved by counting: ``count`` looks at every
position, and says how many events the batches must have brought in the end.
"""

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection

from ordering_write import log
from ordering_write.domain.events import DomainEvent

# Positions that one statement counts.
_COUNTED_AT_ONCE = 100_000

# What is known and not wanted is left out, so that an event of an unknown type is seen.
_COUNT = """
SELECT count(*), count(*) FILTER (WHERE event.type <> ALL(%s))
FROM event_position place JOIN event ON event.id = place.event_id
WHERE place.position > %s AND place.position <= %s
"""
_IN_ORDER = f"""{log.BY_POSITION}
WHERE place.position > %s AND place.position <= %s AND event.type <> ALL(%s)
ORDER BY place.position
"""
_BY_STREAM = f"""{log.BY_POSITION}
WHERE (event.stream, event.version) > (%s, %s) AND place.position <= %s
  AND event.type <> ALL(%s) AND (hashtext(event.stream) & 2147483647) %% %s = %s
ORDER BY event.stream, event.version LIMIT %s
"""
_OF_STREAMS = f"""{log.BY_POSITION}
WHERE event.stream = ANY(%s) AND place.position <= %s AND event.type <> ALL(%s)
ORDER BY event.stream, event.version
"""
_SOME_STREAMS = """
SELECT event.stream FROM event_position place JOIN event ON event.id = place.event_id
WHERE place.position <= %s AND event.type <> ALL(%s)
GROUP BY event.stream ORDER BY random() LIMIT %s
"""


class Slice(NamedTuple):
    """The streams whose number, by a hash, is ``number`` when there are ``of`` numbers."""

    number: int
    of: int


def count(wanted: Sequence[type[DomainEvent]], *, until: int) -> int:
    """How many events of the types ``wanted`` the log has up to the position ``until``.

    Raises LogGapError when any position up to there is missing.
    """
    unwanted = _unwanted(wanted)
    found = 0
    with connection.cursor() as cursor:
        for after in range(0, until, _COUNTED_AT_ONCE):
            last = min(after + _COUNTED_AT_ONCE, until)
            cursor.execute(_COUNT, [unwanted, after, last])
            positions, some = cursor.fetchone()
            if positions != last - after:
                raise log.LogGapError(f"Positions after {after} up to {last} are missing.")
            found += some
    return found


def read(wanted: Sequence[type[DomainEvent]], *, after: int, until: int) -> list[DomainEvent]:
    """The events of the types ``wanted`` after one position and up to another, in order.

    One that this code can't read, or whose type it doesn't know, comes as an UndecodableEvent.
    """
    return _events(_IN_ORDER, [after, until, _unwanted(wanted)])


def read_streams(
    wanted: Sequence[type[DomainEvent]],
    *,
    after: tuple[str, int],
    until: int,
    limit: int,
    of: Slice,
) -> list[DomainEvent]:
    """The next ``limit`` events of the types ``wanted``, stream by stream, each in order.

    ``after`` is the stream and version of the event before, and ("", 0) before the first one;
    events past the position ``until`` are left out. What this code can't read is as in ``read``.
    """
    return _events(_BY_STREAM, [*after, until, _unwanted(wanted), of.of, of.number, limit])


def read_whole_streams(
    wanted: Sequence[type[DomainEvent]], *, streams: Sequence[str], until: int
) -> list[DomainEvent]:
    """All events of the types ``wanted`` of these streams up to the position ``until``, stream by
    stream, each in order. What this code can't read is as in ``read``."""
    return _events(_OF_STREAMS, [list(streams), until, _unwanted(wanted)])


def some_streams(wanted: Sequence[type[DomainEvent]], *, until: int, limit: int) -> list[str]:
    """At most ``limit`` streams, by chance, that have events of the types ``wanted`` up to the
    position ``until``."""
    with connection.cursor() as cursor:
        cursor.execute(_SOME_STREAMS, [until, _unwanted(wanted), limit])
        return [stream for (stream,) in cursor.fetchall()]


def _events(sql: str, parameters: list[object]) -> list[DomainEvent]:
    return [log.decode(row) for row in log.fetch(sql, parameters)]


def _unwanted(wanted: Sequence[type[DomainEvent]]) -> list[str]:
    known = DomainEvent.types.items()
    return [name for name, kind in known if not issubclass(kind, tuple(wanted))]
