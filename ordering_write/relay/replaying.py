"""Reads the stream again as ``log.replay`` reads the log, for a site without the write database.

A stream has no index by stream of events, so it is read in the order of positions. Several readers
share out the streams by their hash.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple, cast

from ordering_write.domain.events import DomainEvent
from ordering_write.log import ALL_STREAMS, Slice, site_source
from ordering_write.log.replay import unwanted
from ordering_write.relay.site import StreamLog, events_of

# Positions that are drawn for each stream of a sample: some events aren't wanted.
_DRAWS = 4


class ReplayPart(NamedTuple):
    """The wanted events of a slice in a range of positions, and the number of all of its events."""

    events: list[DomainEvent]
    size: int


def count(wanted: Sequence[type[DomainEvent]], *, until: int) -> int:
    """Return the sum of the sizes that ``read`` returns up to the position ``until``.

    ``read`` itself shows that no position is missing.
    """
    return until


def read(
    wanted: Sequence[type[DomainEvent]], *, after: int, until: int, streams: Slice = ALL_STREAMS
) -> ReplayPart:
    """Return the wanted events of ``streams`` after one position and up to another, in order.

    UndecodableEvent as in ``log.replay``. Raises LogGapError and errors of the stream.
    """
    names = set(unwanted(wanted))
    part = ReplayPart([], 0)
    for messages in _source().messages(after, until):
        of_slice = [message for message in messages if streams.has(message["stream"])]
        # Events that nobody wants need no personal fields.
        events = events_of([message for message in of_slice if message["type"] not in names])
        part = ReplayPart(part.events + events, part.size + len(of_slice))
    return part


def read_whole_streams(
    wanted: Sequence[type[DomainEvent]], *, streams: Sequence[str], until: int
) -> list[DomainEvent]:
    """Return the wanted events of ``streams`` up to the position ``until``, stream by stream."""
    names = set(unwanted(wanted))
    events = _source().read_streams(streams)
    # An UndecodableEvent has the type that is stored.
    return [
        event
        for event in events
        if (event.recorded.position or 0) <= until and event.type not in names
    ]


def sample_streams(wanted: Sequence[type[DomainEvent]], *, until: int, limit: int) -> list[str]:
    """Return at most ``limit`` random streams with wanted events up to the position ``until``.

    A stream with more events is drawn more often.
    """
    names, streams = set(unwanted(wanted)), set[str]()
    for position in random.sample(range(1, until + 1), min(until, limit * _DRAWS)):
        message = _source().message(position)
        if message["type"] not in names:
            streams.add(message["stream"])
        if len(streams) == limit:
            break
    return list(streams)


def _source() -> StreamLog:
    return cast(StreamLog, site_source())
