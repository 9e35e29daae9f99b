"""The log of events: append (outbox), assign positions (sequencer), read, replay, verify."""

from ordering_write.log.correlation import CorrelatedEvent, read_correlation
from ordering_write.log.decoding import UndecodableEventError
from ordering_write.log.reading import (
    LOG_END,
    LogGapError,
    commit_of,
    events_after,
    fingerprint,
    head,
    identity,
    last_position,
    position_of,
    read_at,
    read_command,
    read_log,
    read_stream,
    read_streams,
    recorded_at,
    traceparents,
)
from ordering_write.log.sequencer import sequence

__all__ = [
    "LOG_END",
    "CorrelatedEvent",
    "LogGapError",
    "UndecodableEventError",
    "commit_of",
    "events_after",
    "fingerprint",
    "head",
    "identity",
    "last_position",
    "position_of",
    "read_at",
    "read_command",
    "read_correlation",
    "read_log",
    "read_stream",
    "read_streams",
    "recorded_at",
    "sequence",
    "traceparents",
]
