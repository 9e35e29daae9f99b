"""The log of events: append (outbox), assign positions (sequencer), read, replay, verify."""

from ordering_write.log.correlation import CorrelatedEvent, read_correlation
from ordering_write.log.decoding import UndecodableEventError
from ordering_write.log.detached import DetachedEventsError
from ordering_write.log.reading import (
    LOG_END,
    LogBatch,
    LogGapError,
    commit_of,
    events_after,
    fingerprint,
    head,
    identity,
    last_position,
    personal_ids,
    position_of,
    read_at,
    read_batch,
    read_command,
    read_log,
    read_stream,
    read_streams,
    recorded_at,
    streams_of_commit,
    traceparents,
)
from ordering_write.log.sequencer import sequence
from ordering_write.log.slicing import ALL_STREAMS, COUNTS, Slice
from ordering_write.log.source import PRIMARY, LogSource, LogUnavailableError, site_source

__all__ = [
    "ALL_STREAMS",
    "COUNTS",
    "LOG_END",
    "PRIMARY",
    "CorrelatedEvent",
    "DetachedEventsError",
    "LogBatch",
    "LogGapError",
    "LogSource",
    "LogUnavailableError",
    "Slice",
    "UndecodableEventError",
    "commit_of",
    "events_after",
    "fingerprint",
    "head",
    "identity",
    "last_position",
    "personal_ids",
    "position_of",
    "read_at",
    "read_batch",
    "read_command",
    "read_correlation",
    "read_log",
    "read_stream",
    "read_streams",
    "recorded_at",
    "sequence",
    "site_source",
    "streams_of_commit",
    "traceparents",
]
