"""The one module that the read side may import: event types, the log, subscriptions, policies."""

from ordering_write import archive, policies, subscriptions, webhooks
from ordering_write.bulk import job_of as bulk_job
from ordering_write.bulk import jobs_of as bulk_jobs
from ordering_write.domain import events, prices
from ordering_write.domain.allocation import backorders_of
from ordering_write.domain.changes import Change, changes
from ordering_write.domain.errors import (
    DomainError,
    IdempotencyKeyReusedError,
    NoHandlerFoundError,
    NotFoundError,
)
from ordering_write.domain.events import DomainEvent, OrderStatus, UndecodableEvent
from ordering_write.domain.order_numbers import spelled_order_number
from ordering_write.domain.values import ERASED, Currency, quantize
from ordering_write.log import (
    ALL_STREAMS,
    COUNTS,
    LOG_END,
    PRIMARY,
    CorrelatedEvent,
    DetachedEventsError,
    LogGapError,
    LogSource,
    LogUnavailableError,
    Slice,
    UndecodableEventError,
    commit_of,
    events_after,
    feed,
    head,
    last_position,
    position_of,
    read_correlation,
    read_log,
    read_stream,
    read_streams,
    recorded_at,
    replay,
    sequence,
    site_source,
    streams_of_commit,
)
from ordering_write.log import fingerprint as log_fingerprint
from ordering_write.log.detached import until as detached_until
from ordering_write.models.names import stream_names
from ordering_write.relay import replaying as stream_replay
from ordering_write.signals import events_committed
from ordering_write.subscriptions import (
    LogReplacedError,
    Subscriber,
    alarm,
    follow,
    parked,
    parking,
    reads_this_log,
    samples,
)
from ordering_write.subscriptions.checkpoint import Checkpoint, ParkedEvent, checkpoints_moved

__all__ = [
    "ALL_STREAMS",
    "COUNTS",
    "ERASED",
    "LOG_END",
    "PRIMARY",
    "Change",
    "Checkpoint",
    "CorrelatedEvent",
    "Currency",
    "DetachedEventsError",
    "DomainError",
    "DomainEvent",
    "IdempotencyKeyReusedError",
    "LogGapError",
    "LogReplacedError",
    "LogSource",
    "LogUnavailableError",
    "NoHandlerFoundError",
    "NotFoundError",
    "OrderStatus",
    "ParkedEvent",
    "Slice",
    "Subscriber",
    "UndecodableEvent",
    "UndecodableEventError",
    "alarm",
    "archive",
    "backorders_of",
    "bulk_job",
    "bulk_jobs",
    "changes",
    "checkpoints_moved",
    "commit_of",
    "detached_until",
    "events",
    "events_after",
    "events_committed",
    "feed",
    "follow",
    "head",
    "last_position",
    "log_fingerprint",
    "parked",
    "parking",
    "policies",
    "position_of",
    "prices",
    "quantize",
    "read_correlation",
    "read_log",
    "read_stream",
    "read_streams",
    "reads_this_log",
    "recorded_at",
    "replay",
    "samples",
    "sequence",
    "site_source",
    "spelled_order_number",
    "stream_names",
    "stream_replay",
    "streams_of_commit",
    "subscriptions",
    "webhooks",
]
