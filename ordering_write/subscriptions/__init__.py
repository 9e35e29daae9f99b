"""Subscriptions: how projections, policies and other subscribers follow the log.

``registry.Subscription`` describes one kind of subscriber. ``lease`` gives its checkpoints to
runners, ``group`` and ``runner`` move them, ``parking`` sets events aside that can't be applied,
``parked`` lets operators retry or skip them, ``status``, ``samples`` and ``alarm`` watch.
"""

from ordering_write.log.source import RELEASED
from ordering_write.subscriptions.blocked import TooManyParkedError
from ordering_write.subscriptions.group import catch_up, follow
from ordering_write.subscriptions.lease import LEASE, WHOLE, Leased, Share
from ordering_write.subscriptions.reader import LogReplacedError, reads_this_log
from ordering_write.subscriptions.registry import (
    Subscription,
    UnknownSubscriberError,
    all_statuses,
    ensure_checkpoints,
    ensure_checkpoints_after_migrate,
    find,
    passed,
    register,
    registered,
)
from ordering_write.subscriptions.status import (
    FAILING,
    SubscriberStatus,
    lag_seconds,
    measure,
    total_seconds,
)
from ordering_write.subscriptions.subscriber import Subscriber

__all__ = [
    "FAILING",
    "LEASE",
    "RELEASED",
    "WHOLE",
    "Leased",
    "LogReplacedError",
    "Share",
    "Subscriber",
    "SubscriberStatus",
    "Subscription",
    "TooManyParkedError",
    "UnknownSubscriberError",
    "all_statuses",
    "catch_up",
    "ensure_checkpoints",
    "ensure_checkpoints_after_migrate",
    "find",
    "follow",
    "lag_seconds",
    "measure",
    "passed",
    "reads_this_log",
    "register",
    "registered",
    "total_seconds",
]
