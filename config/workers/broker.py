"""A django-q2 broker whose queue is the log: it hands out the subscribers that have work."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

import django.db
import psycopg
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.humanhash import uuid
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from config.databases import faults
from config.workers import ownership
from config.workers.outdated import OutdatedProjections
from ordering_read.engine import slices, status
from ordering_write import log, subscriptions
from ordering_write.log import outbox
from ordering_write.subscriptions import Leased, Subscription, alarm, samples

logger = logging.getLogger(__name__)

# A task for django-q2's pusher: the id to acknowledge (None for none), and the signed package.
Handout = tuple[int | None, str]

# The dotted path of a function. Its module imports this module.
_RUN = "config.workers.tasks.run"
# The channel on which enqueue() wakes the brokers.
_QUEUE_CHANNEL = "ordering_queue"
# Seconds between two looks at the queue, without a notification.
_QUEUE_SECONDS = 5.0
_HEARTBEAT_SECONDS = 2.0
_LAG_CHECK_SECONDS = 10.0
# Seconds in which the end of another cluster is noticed.
_SHARE_CHECK_SECONDS = 0.5
# Seconds between two leases while runners listen to the log themselves.
_LISTENED_SECONDS = 0.25
# A lag, in events, that is worth several workers.
_FAR_BEHIND = 2_000
# Seconds between two tries while a database can't be reached.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0

_CLAIM = """
UPDATE django_q_ormq SET lock = statement_timestamp() + make_interval(secs => %s)
WHERE id IN (
    SELECT id FROM django_q_ormq WHERE key = %s AND lock <= statement_timestamp()
    ORDER BY lock LIMIT %s FOR UPDATE SKIP LOCKED
)
RETURNING id, payload
"""


class _Interval:
    """A clock that is due once in a number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True

    def hasten(self) -> None:
        """Make the next call of ``is_due`` return True."""
        self._next = 0.0


class ProjectionBroker(ORM):
    """Waits for the log to grow and hands out the task ``tasks.run``, without a row in a queue.

    Like the ORM broker, it hands out enqueued tasks too, but by the database's clock. Without a
    notification, the broker looks for work every PROJECTION_POLL_SECONDS.
    """

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._listener: BaseDatabaseWrapper | None = None
        self._pause = 0.0
        self._queue = _Interval(_QUEUE_SECONDS)
        self._heartbeat = _Interval(_HEARTBEAT_SECONDS)
        self._share_check = _Interval(_SHARE_CHECK_SECONDS)
        self._lag_check = _Interval(_LAG_CHECK_SECONDS)
        self._outdated = OutdatedProjections()
        self._owns_queue = False
        # True once it was reported that another site owns the queue.
        self._is_refused = False
        # The slices that fall to this cluster among all clusters that are alive.
        self._share = subscriptions.WHOLE
        # True once all generations have the slices of the settings.
        self._is_cut = False

    @staticmethod
    def get_connection(list_key: str | None = None) -> "QuerySet[OrmQ]":
        # The ORM broker connects here, but ours is also created while the database is down.
        connection = connections[Conf.ORM]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return OrmQ.objects.using(Conf.ORM)

    def enqueue(self, task: str) -> int:
        package = self.get_connection().create(key=self.list_key, payload=task, lock=Now())
        transaction.on_commit(self._notify, using=Conf.ORM)
        return int(package.pk)

    def dequeue(self) -> list[Handout] | None:
        """Return the tasks to run; wait a while if there are none. Never raises on an outage."""
        try:
            listener = self._listening()
            self._housekeep()
            leases = self._lease(_by_urgency())
            # A claimed task must be handed out: no statement that can fail may follow the claim.
            handouts = [*_handouts(leases), *self._claim()]
            if not handouts:
                self._wait(listener, is_listened_to=_is_listened_to(leases))
        except ownership.QueueTakenError as error:
            self._refuse(error)
            return None
        except (django.db.Error, psycopg.Error) as error:
            self._pause_after(error)
            return self._handouts_of_copies() or None
        if self._pause:
            self._pause = 0.0
            logger.warning("The databases can be reached again.")
        return handouts

    def _listening(self) -> BaseDatabaseWrapper:
        # Listen before the first lease: no notification is lost between the lease and the wait.
        if self._listener is not None:
            return self._listener
        listener = connections["default"].copy()
        listener.ensure_connection()
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {outbox.CHANNEL}")
            cursor.execute(f"LISTEN {_QUEUE_CHANNEL}")
        subscriptions.ensure_checkpoints()
        self._listener = listener
        return listener

    def _wait(self, listener: BaseDatabaseWrapper, *, is_listened_to: bool) -> None:
        """Wait for a notification.

        If runners listen to the log themselves, ignore its growth until a runner sends RELEASED.
        Meanwhile lease the other subscribers a few times a second: a batch of events costs less
        than the same events one by one.
        """
        # No notification tells that a copy of the log has grown.
        is_short = is_listened_to or settings.LOG_SOURCE != "primary"
        seconds = _LISTENED_SECONDS if is_short else settings.PROJECTION_POLL_SECONDS
        ends_at = time.monotonic() + seconds
        while True:
            timeout = max(0.0, ends_at - time.monotonic())
            notifications = list(listener.connection.notifies(timeout=timeout, stop_after=1))
            if any(notification.channel == _QUEUE_CHANNEL for notification in notifications):
                self._queue.hasten()
                return
            payloads = [notification.payload for notification in notifications]
            if not payloads or not is_listened_to or subscriptions.RELEASED in payloads:
                return

    def _lease(self, of: Sequence[Subscription]) -> dict[Subscription, Leased]:
        """Lease the checkpoints that have work; each log is asked for its head once."""
        heads: dict[log.LogSource, int] = {}
        leases = {}
        for subscription in of:
            source = subscription.source
            try:
                if source not in heads:
                    heads[source] = source.head()
            except log.LogUnavailableError as error:
                # The alarm tells of the lag.
                logger.info("The log can't be read: %s", error)
            else:
                leases[subscription] = subscription.lease(head=heads[source], share=self._share)
        return leases

    def _handouts_of_copies(self) -> list[Handout]:
        """Return tasks that need no write database, while it can't be reached."""
        needs_primary = {
            subscription: "default"
            in (subscription.checkpoints().db, *subscription.source.databases)
            for subscription in _by_urgency()
        }
        try:
            return _handouts(
                self._lease([each for each, needs in needs_primary.items() if not needs])
            )
        except (django.db.Error, psycopg.Error):
            return []

    def _claim(self) -> list[Handout]:
        if not self._queue.is_due():
            return []
        with connections[Conf.ORM].cursor() as cursor:
            cursor.execute(_CLAIM, [Conf.RETRY, self.list_key, Conf.BULK])
            handouts = cursor.fetchall()
        if handouts:
            self._queue.hasten()
        return handouts

    def _housekeep(self) -> None:
        if self._heartbeat.is_due():
            status.heartbeat()
        if settings.PROJECTION_SLICES > 1 and self._share_check.is_due():
            self._share = status.share()
        if self._lag_check.is_due() or not self._owns_queue:
            self._owns_queue = False
            ownership.claim()
            self._owns_queue, self._is_refused = True, False
            if settings.PROJECTION_SLICES > 1 or not self._is_cut:
                self._is_cut = slices.share_out_all()
            statuses = subscriptions.all_statuses()
            alarm.look(statuses)
            samples.record(statuses)
            self._outdated.look()

    def _refuse(self, error: ownership.QueueTakenError) -> None:
        if not self._is_refused:
            alarm.report("Two read sites share a queue", [f"{error}"], logging.ERROR)
        self._is_refused = True
        time.sleep(_LONGEST_PAUSE)

    def _pause_after(self, error: Exception) -> None:
        if not self._pause:
            reason = faults.sentence(error) or " ".join(str(error).split())
            logger.warning("Waiting for a database: %s", reason)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        connections.close_all()
        self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        time.sleep(self._pause)

    def _notify(self) -> None:
        with connections[Conf.ORM].cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [_QUEUE_CHANNEL])


def _handouts(leases: Mapping[Subscription, Leased]) -> list[Handout]:
    return [
        _handout(_RUN, *arguments, slices=numbers)
        for subscription, leased in leases.items()
        for arguments, numbers in _task_arguments(subscription, leased)
    ]


def _by_urgency() -> list[Subscription]:
    registered = subscriptions.registered()
    return sorted(registered, key=lambda subscription: not subscription.serves_requests)


def _is_listened_to(leases: dict[Subscription, Leased]) -> bool:
    """Return True if listening runners hold all checkpoints of the subscriptions that listen."""
    return all(
        leased.all_taken for subscription, leased in leases.items() if subscription.idle_wait
    )


def _task_arguments(
    subscription: Subscription, leased: Leased
) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
    """Yield the arguments of each task: the names of the subscription and of leased subscribers,
    and the numbers of the leased slices.

    One task is the rule, because the subscribers of a task read the log together. If all
    subscribers are far behind, each worker gets a task; if some are, fewer workers do. The slices
    are shared out over all workers but one, which other subscribers need.
    """
    names = [name for name in leased.behind if name not in leased.slices]
    task_count = 1
    if names and max(leased.behind[name] for name in names) >= _FAR_BEHIND:
        size = math.ceil(len(subscription.names()) / Conf.WORKERS)
        task_count = math.ceil(len(names) / size)
    uncut: list[Sequence[str]] = [names[number::task_count] for number in range(task_count)]
    slice_tasks = min(len(leased.numbers), max(1, Conf.WORKERS - 1))
    shares = [leased.numbers[number::slice_tasks] for number in range(slice_tasks)]
    for of_task, numbers in zip_longest(uncut, shares, fillvalue=()):
        cut = [name for name, of_name in leased.slices.items() if {*of_name} & {*numbers}]
        if of_task or cut:
            yield (subscription.name, *of_task, *cut), numbers


def _handout(function: str, *arguments: str, slices: Sequence[int]) -> Handout:
    """Return a task that needs no acknowledgement, because the checkpoint records its progress."""
    title, identity = uuid()
    task = {
        "id": identity,
        "name": title,
        "func": function,
        "args": arguments,
        "kwargs": {"slices": slices} if slices else {},
        "started": timezone.now(),
        "save": False,
        "timeout": settings.PROJECTION_TIMEOUT_SECONDS,
    }
    return None, SignedPackage.dumps(task)
