"""Subscriptions: how projections, policies and relays follow the log from their checkpoints."""

from ordering_write.subscriptions.group import (
    FREE,
    LEASE,
    LogReplacedError,
    catch_up,
    follow,
    lag_seconds,
    reads_this_log,
)

__all__ = [
    "FREE",
    "LEASE",
    "LogReplacedError",
    "catch_up",
    "follow",
    "lag_seconds",
    "reads_this_log",
]
