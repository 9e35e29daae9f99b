"""The places from which generations are filled: the log, its archive, and the stream of a site."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from ordering_read.models import Projection
from ordering_write import published
from ordering_write.published import DomainEvent

_Source = Projection.FillSource


def of_site() -> Projection.FillSource:
    """Return the place from which this site reads the log again."""
    if settings.LOG_SOURCE != "primary":
        return _Source.STREAM
    # The log alone lacks the events that have left the database.
    return _Source.ARCHIVE if published.detached_until() else _Source.LOG


def module(source: str) -> Any:
    """Return the module that reads ``source``: ``log.replay`` or its like."""
    modules = {
        _Source.LOG: published.replay,
        _Source.ARCHIVE: published.archive.replay,
        _Source.STREAM: published.stream_replay,
    }
    return modules[_Source(source)]


def is_by_stream(source: str, sliced_by: str | None) -> bool:
    """Return True if rows that are ``sliced_by`` streams are filled stream by stream.

    A stream of messages can be read in its order only.
    """
    return sliced_by == "stream" and source != _Source.STREAM


def read(
    source: str,
    wanted: Sequence[type[DomainEvent]],
    *,
    after: int,
    until: int,
    streams: published.Slice = published.ALL_STREAMS,
) -> tuple[list[DomainEvent], int]:
    """Return the wanted events after one position and up to another, and how many of those that
    ``count`` of the module counts were read.

    ``streams`` are all of them, unless ``source`` is the stream.
    """
    if source == _Source.STREAM:
        events, size = published.stream_replay.read(
            wanted, after=after, until=until, streams=streams
        )
        return events, size
    events = module(source).read(wanted, after=after, until=until)
    return events, len(events)
