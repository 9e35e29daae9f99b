"""What the read side may import of the write side: event types, the log, and how to follow it."""

from ordering_write import policies
from ordering_write.domain import events
from ordering_write.domain.changes import Change, changes
from ordering_write.domain.errors import (
    DomainError,
    IdempotencyKeyReusedError,
    NoHandlerFoundError,
    NotFoundError,
)
from ordering_write.domain.events import DomainEvent, OrderStatus, UndecodableEvent
from ordering_write.domain.values import MINOR_UNITS, quantize
from ordering_write.log import (
    LogGapError,
    UndecodableEventError,
    feed,
    head,
    last_position,
    mark,
    position_of,
    read_log,
    read_stream,
    recorded_at,
    replay,
    sequence,
)
from ordering_write.log.outbox import CHANNEL
from ordering_write.signals import events_committed
from ordering_write.subscriptions import (
    FREE,
    LEASE,
    LogReplacedError,
    catch_up,
    follow,
    lag_seconds,
    parking,
    reads_this_log,
)
from ordering_write.subscriptions.checkpoint import Checkpoint, ParkedEvent, checkpoints_moved
from ordering_write.subscriptions.parking import (
    EventSkippedError,
    EventWaitsError,
    Subscriber,
    TooManyParkedError,
)

__all__ = [
    "CHANNEL",
    "FREE",
    "LEASE",
    "MINOR_UNITS",
    "Change",
    "Checkpoint",
    "DomainError",
    "DomainEvent",
    "EventSkippedError",
    "EventWaitsError",
    "IdempotencyKeyReusedError",
    "LogGapError",
    "LogReplacedError",
    "NoHandlerFoundError",
    "NotFoundError",
    "OrderStatus",
    "ParkedEvent",
    "Subscriber",
    "TooManyParkedError",
    "UndecodableEvent",
    "UndecodableEventError",
    "catch_up",
    "changes",
    "checkpoints_moved",
    "events",
    "events_committed",
    "feed",
    "follow",
    "head",
    "lag_seconds",
    "last_position",
    "mark",
    "parking",
    "policies",
    "position_of",
    "quantize",
    "read_log",
    "read_stream",
    "reads_this_log",
    "recorded_at",
    "replay",
    "sequence",
]
