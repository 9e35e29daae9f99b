"""A django-q2 broker whose queue is the log: it hands out the subscribers that have work."""

import logging
import math
import time
from collections.abc import Iterator, Sequence

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

from ordering_read.engine import status
from ordering_write import log, subscriptions
from ordering_write.log import outbox
from ordering_write.subscriptions import Leased, Subscription, alarm

logger = logging.getLogger(__name__)

# A task for the pusher: the id by which it is acknowledged, and the signed package.
Handout = tuple[int | None, str]

# The name of the function, since its module imports this one.
_RUN = "config.workers.tasks.run"
# The channel on which enqueue() wakes the brokers.
_QUEUE_CHANNEL = "ordering_queue"
# The longest delay of a queued task whose notification was lost, or that is due again.
_QUEUE_SECONDS = 5.0
_HEARTBEAT_SECONDS = 2.0
_LAG_CHECK_SECONDS = 10.0
# Between two leases while runners listen to the log themselves.
_LISTENED_SECONDS = 0.25
# Events that are worth several workers.
_FAR_BEHIND = 2_000
# Pauses while a database is away.
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
    """Is due once in so many seconds."""

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
        """Be due the next time."""
        self._next = 0.0


class ProjectionBroker(ORM):
    """Waits for the log to grow and hands out "run these subscribers", without a row in a queue.

    Enqueued tasks are handed out too, as by the ORM broker, by the database's clock. Without any
    notification the broker looks every PROJECTION_POLL_SECONDS.
    """

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._listener: BaseDatabaseWrapper | None = None
        self._pause = 0.0
        self._queue = _Interval(_QUEUE_SECONDS)
        self._heartbeat = _Interval(_HEARTBEAT_SECONDS)
        self._lag_check = _Interval(_LAG_CHECK_SECONDS)

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
            head = log.head()
            leases = {each: each.lease(head=head) for each in _by_urgency()}
            # A claimed task must be handed out: no statement that can fail may follow the claim.
            handouts = [
                *(_handout(_RUN, *part) for each in leases for part in _parts(each, leases[each])),
                *self._claim(),
            ]
            if not handouts:
                self._wait(listener, is_listened_to=_is_listened_to(leases))
        except (django.db.Error, psycopg.Error) as error:
            self._outage(error)
            return None
        if self._pause:
            self._pause = 0.0
            logger.warning("The databases can be reached again.")
        return handouts

    def _listening(self) -> BaseDatabaseWrapper:
        # Before the first lease, so that no notification is lost between lease and wait.
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

        If runners listen to the log themselves, ignore its growth until one of them sends RELEASED.
        The other subscribers are leased a few times a second meanwhile: what they find in one go
        costs less than event by event.
        """
        seconds = _LISTENED_SECONDS if is_listened_to else settings.PROJECTION_POLL_SECONDS
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

    def _claim(self) -> list[Handout]:
        if not self._queue.is_due():
            return []
        with connections[Conf.ORM].cursor() as cursor:
            cursor.execute(_CLAIM, [Conf.RETRY, self.list_key, Conf.BULK])
            claimed = cursor.fetchall()
        if claimed:
            self._queue.hasten()
        return claimed

    def _housekeep(self) -> None:
        if self._heartbeat.is_due():
            status.heartbeat()
        if self._lag_check.is_due():
            alarm.look()

    def _outage(self, error: Exception) -> None:
        if not self._pause:
            logger.warning("Waiting for a database: %s", " ".join(str(error).split()))
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        connections.close_all()
        self._pause = min(max(2 * self._pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        time.sleep(self._pause)

    def _notify(self) -> None:
        with connections[Conf.ORM].cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [_QUEUE_CHANNEL])


def _by_urgency() -> list[Subscription]:
    return sorted(subscriptions.registered(), key=lambda each: not each.serves_requests)


def _is_listened_to(leases: dict[Subscription, Leased]) -> bool:
    """Return True if listening runners hold all checkpoints of the subscriptions that listen."""
    return all(leased.all_taken for each, leased in leases.items() if each.idle_wait)


def _parts(subscription: Subscription, leased: Leased) -> Iterator[Sequence[str]]:
    """Yield the arguments of each task: the subscription and some of the leased subscribers.

    One task as a rule, since subscribers in one task read the log once. One task for each worker
    when all subscribers are far behind, fewer when some are.
    """
    names = list(leased.behind)
    if not names:
        return
    parts = 1
    if max(leased.behind.values()) >= _FAR_BEHIND:
        size = math.ceil(len(subscription.names()) / Conf.WORKERS)
        parts = math.ceil(len(names) / size)
    for number in range(parts):
        yield subscription.name, *names[number::parts]


def _handout(function: str, *arguments: str) -> Handout:
    """Return a task without an id to acknowledge: the checkpoint says whether it was done."""
    title, identity = uuid()
    task = {
        "id": identity,
        "name": title,
        "func": function,
        "args": arguments,
        "kwargs": {},
        "started": timezone.now(),
        "save": False,
        "timeout": settings.PROJECTION_TIMEOUT_SECONDS,
    }
    return None, SignedPackage.dumps(task)
