"""Subscriptions: the kinds of subscriber that follow the log, and the list of them.

Lease, run, park, retry, skip, status, metrics and alarm work for every registered subscription. A
new kind of subscriber is a subclass of Subscription, a checkpoint model and a parked-event model.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from django.apps import AppConfig
from django.apps.registry import Apps
from django.conf import settings
from django.db.models import Min, Q, QuerySet, Value
from django.db.models.expressions import Combinable

from ordering_write import log
from ordering_write.subscriptions import group
from ordering_write.subscriptions import lease as leasing
from ordering_write.subscriptions.lease import WHOLE, Leased, Share
from ordering_write.subscriptions.status import FAILING, SubscriberStatus, measure
from ordering_write.subscriptions.subscriber import Subscriber


class UnknownSubscriberError(Exception):
    """A subscription has no subscriber of this name."""

    def __init__(self, subscription: "Subscription", name: str) -> None:
        names = ", ".join(sorted(subscription.names())) or "none"
        super().__init__(f"There is no {subscription.noun} {name!r}; there are: {names}.")


class Subscription(ABC):
    """One kind of subscriber, whose checkpoints are the rows of one table.

    ``name`` identifies the subscription in the registry and in tasks; ``noun`` is what people call
    one of its subscribers. ``serves_requests`` says that requests show its effects, so that the
    service isn't ready while a subscriber is late. An idle runner listens to the log for
    ``idle_wait`` seconds before it releases its checkpoints. ``starts_at_head`` says that a new
    checkpoint ignores the events before it. Names of metrics begin with ``metric_prefix``; the name
    of the subscriber stands in the label ``metric_label``, unless that is empty. ``is_of_site``
    says that each read site has checkpoints of its own. ``slice_number`` and ``slice_count`` are
    the columns of a checkpoint that tell its slice, if the kind has slices.
    """

    name: ClassVar[str]
    noun: ClassVar[str] = "subscriber"
    # Concrete classes of Checkpoint and ParkedEvent.
    checkpoint_model: ClassVar[type[Any]]
    parked_event_model: ClassVar[type[Any]]
    metric_prefix: ClassVar[str]
    metric_label: ClassVar[str] = "name"
    serves_requests: ClassVar[bool] = False
    idle_wait: ClassVar[float] = 0.0
    starts_at_head: ClassVar[bool] = False
    is_of_site: ClassVar[bool] = False
    slice_number: ClassVar[Combinable] = Value(0)
    slice_count: ClassVar[Combinable] = Value(1)

    # --- Declared by each kind -----------------------------------------------------------------
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return the names of the subscribers, the most urgent first."""

    @abstractmethod
    def subscriber(self, checkpoint: Any) -> Subscriber:
        """Return the subscriber that follows the log from ``checkpoint``."""

    def checkpoints(self) -> "QuerySet[Any]":
        """Return the checkpoints that runners move."""
        return self.checkpoint_model._default_manager.filter(name__in=self.names())

    def served(self) -> "QuerySet[Any]":
        """Return, for each name, the checkpoint whose status counts."""
        return self.checkpoints()

    def other_work(self) -> Q:
        """Return the condition under which a checkpoint at the head has work all the same.

        Write ``lease.NOW`` for the present time.
        """
        return Q()

    def in_slices(self, numbers: Sequence[int]) -> Q:
        """Return the condition for checkpoints of the slices ``numbers``, and for uncut ones."""
        return Q()

    def new_checkpoint(self, name: str) -> Any:
        """Return an unsaved checkpoint for the subscriber ``name``."""
        checkpoint = self.checkpoint_model(name=name)
        if self.starts_at_head:
            log.sequence(batches=math.inf)
            checkpoint.position = log.last_position()
            checkpoint.log_id, checkpoint.event_id = log.fingerprint(checkpoint.position)
        return checkpoint

    @property
    def source(self) -> log.LogSource:
        """The log that the subscribers follow."""
        return log.PRIMARY

    # --- The same for all kinds ----------------------------------------------------------------
    def require(self, *names: str) -> None:
        """Raise UnknownSubscriberError if a subscriber doesn't exist."""
        for name in names:
            if name not in self.names():
                raise UnknownSubscriberError(self, name)

    def lease(self, *, head: int | None = None, share: Share = WHOLE) -> Leased:
        """Lease the free checkpoints that have work; their runners have ``LEASE`` to begin.

        ``share`` is the part of the slices that falls to these workers.
        """
        return leasing.lease(self, head=self.source.head() if head is None else head, share=share)

    def run(
        self,
        *names: str,
        slices: Sequence[int] = (),
        seconds: float = math.inf,
        idle_wait: float = 0.0,
    ) -> int:
        """Catch up the named subscribers; returns how many events were applied for all of them.

        Of subscribers that are cut, run the slices with the numbers ``slices``, or all. After about
        ``seconds`` the rest is left to the next run. A checkpoint that another runner holds is left
        alone. A failure is recorded on its checkpoint. Raises UnknownSubscriberError.
        """
        self.require(*names)
        return group.catch_up(
            _checkpoints(self, names, tuple(slices)),
            self.subscriber,
            batch=settings.PROJECTION_BATCH,
            seconds=seconds,
            idle_wait=idle_wait,
            source=self.source,
        )

    def statuses(self) -> Sequence[SubscriberStatus]:
        """Return the status of each subscriber, by name; three queries."""
        return measure(list(self.served().annotate(failing=FAILING).order_by("name")))

    def passed(self) -> int | None:
        """Return the position up to which all subscribers have applied the log, or skipped events.

        None without a subscriber.
        """
        parked = self.parked_event_model._default_manager.filter(
            checkpoint__in=self.checkpoints(), skipped_at=None
        )
        lowest = self.checkpoints().aggregate(position=Min("position"))["position"]
        first_parked = parked.aggregate(position=Min("position"))["position"]
        return lowest if first_parked is None else min(lowest, first_parked - 1)

    def ensure_checkpoints(self) -> None:
        """Create the checkpoints of subscribers that have none."""
        existing = set(self.served().values_list("name", flat=True))
        self.checkpoint_model._default_manager.bulk_create(
            (self.new_checkpoint(name) for name in self.names() if name not in existing),
            ignore_conflicts=True,
        )


@cache
def _checkpoints(
    subscription: Subscription, names: Sequence[str], slices: Sequence[int]
) -> "QuerySet[Any]":
    """Return the checkpoints of the subscribers ``names``, of ``slices`` unless that is empty.

    The query is made once, so that its statements are compiled once.
    """
    checkpoints = subscription.checkpoints().filter(name__in=names)
    return checkpoints.filter(subscription.in_slices(slices)) if slices else checkpoints


_subscriptions: dict[str, Subscription] = {}


def register(subscription: Subscription) -> None:
    """Let the workers run ``subscription``. Raises ValueError if its name is taken."""
    if subscription.name in _subscriptions:
        raise ValueError(f"Two subscriptions are named {subscription.name!r}.")
    _subscriptions[subscription.name] = subscription


def registered() -> list[Subscription]:
    """Return all subscriptions in the order of their registration."""
    return list(_subscriptions.values())


def find(name: str) -> Subscription:
    """Return the subscription ``name``. Raises KeyError."""
    return _subscriptions[name]


def all_statuses() -> "dict[Subscription, Sequence[SubscriberStatus]]":
    """Return the status of each subscriber, by subscription; three queries for each of these."""
    return {subscription: subscription.statuses() for subscription in registered()}


def passed() -> int:
    """Return the position up to which all subscribers of all subscriptions have applied the log."""
    positions = [subscription.passed() for subscription in registered()]
    return min((position for position in positions if position is not None), default=0)


def ensure_checkpoints() -> None:
    """Create the checkpoints that are missing, in all subscriptions."""
    for subscription in registered():
        subscription.ensure_checkpoints()


def ensure_checkpoints_after_migrate(
    sender: AppConfig, *, using: str, apps: Apps, **_kwargs: Any
) -> None:
    """Create the checkpoints of the app that was migrated (a receiver of ``post_migrate``)."""
    for subscription in registered():
        model = subscription.checkpoint_model
        is_migrated = model._meta.model_name in apps.all_models[sender.label]
        if (
            model._meta.app_label == sender.label
            and using == subscription.checkpoints().db
            and is_migrated
        ):
            subscription.ensure_checkpoints()
