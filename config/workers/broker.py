"""A django-q2 broker whose queue is the log: it hands out the projections that are behind it, and
the policies when they have something to do."""

import logging
import math
import time
from collections.abc import Mapping, Sequence

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

from ordering_read.engine import alarm, live, status
from ordering_read.projector import registered
from ordering_write import published

logger = logging.getLogger(__name__)

# What the pusher gets: an id to acknowledge by, and a signed task.
Handout = tuple[int | None, str]

# What it hands out: names of functions, since they stand above us.
_PROJECT, _RUN_POLICIES = "config.workers.tasks.project", "config.workers.tasks.run_policies"
# The channel on which enqueue() wakes the brokers.
_QUEUE_CHANNEL = "ordering_queue"
# A task in the queue whose notification was lost, or that is due again, is seen after this.
_QUEUE_SECONDS = 5.0
_HEARTBEAT_SECONDS = 2.0
_LAG_CHECK_SECONDS = 10.0
# Between two looks for the policies while the log grows.
_POLICY_SECONDS = 0.25
# Events that are worth the hands of several workers.
_FAR_BEHIND = 2_000
# Pauses while a database is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0

_CLAIM = """
UPDATE django_q_ormq SET lock = statement_timestamp() + make_interval(secs => %s)
WHERE id IN (
    SELECT id FROM django_q_ormq WHERE key = %s AND lock <= statement_timestamp()
    ORDER BY lock LIMIT %s FOR UPDATE SKIP LOCKED
)
RETURNING id, payload
"""


class _Every:
    """Says yes once in so many seconds."""

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
        """Say yes the next time."""
        self._next = 0.0


class ProjectionBroker(ORM):
    """Waits for the log to grow and hands out "run this projection", with no row in a queue.

    Tasks that were enqueued are handed out too, as by the ORM broker, by the database's clock.
    Whatever it is told or not told, it looks every PROJECTION_POLL_SECONDS.
    """

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._listener: BaseDatabaseWrapper | None = None
        self._pause = 0.0
        self._queue, self._heartbeat, self._lag_check = (
            _Every(seconds) for seconds in (_QUEUE_SECONDS, _HEARTBEAT_SECONDS, _LAG_CHECK_SECONDS)
        )

    @staticmethod
    def get_connection(list_key: str | None = None) -> "QuerySet[OrmQ]":
        # The ORM broker connects here, but we are made while the database is down too.
        connection = connections[Conf.ORM]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        return OrmQ.objects.using(Conf.ORM)

    def enqueue(self, task: str) -> int:
        package = self.get_connection().create(key=self.list_key, payload=task, lock=Now())
        transaction.on_commit(self._notify, using=Conf.ORM)
        return int(package.pk)

    def dequeue(self) -> list[Handout] | None:
        """What there is to do; waits a while if there is nothing. Never raises on an outage."""
        try:
            listener = self._listening()
            self._housekeep()
            # A task that is claimed must be handed out: nothing that can fail comes after it.
            due = live.due()
            handouts = [
                *(_handout(_PROJECT, *names) for names in _shared_out(due.behind)),
                *([_handout(_RUN_POLICIES)] if published.policies.due() else []),
                *self._claim(),
            ]
            if not handouts:
                self._wait(listener, all_taken=due.all_taken)
        except (django.db.Error, psycopg.Error) as error:
            self._outage(error)
            return None
        if self._pause:
            self._pause = 0.0
            logger.warning("The databases can be reached again.")
        return handouts

    def _listening(self) -> BaseDatabaseWrapper:
        # Before looking, so that nothing falls between a look and the waiting.
        if self._listener is not None:
            return self._listener
        listener = connections["default"].copy()
        listener.ensure_connection()
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {published.CHANNEL}")
            cursor.execute(f"LISTEN {_QUEUE_CHANNEL}")
        live.keep_checkpoints()
        self._listener = listener
        return listener

    def _wait(self, listener: BaseDatabaseWrapper, *, all_taken: bool) -> None:
        """Wait for something to do. Whoever is at all projections listens to the log too, and says
        so when that is over; until then its growth matters to the policies only, and what they find
        in one go costs less than event by event."""
        seconds = _POLICY_SECONDS if all_taken else settings.PROJECTION_POLL_SECONDS
        ends_at = time.monotonic() + seconds
        while True:
            left = max(0.0, ends_at - time.monotonic())
            heard = list(listener.connection.notifies(timeout=left, stop_after=1))
            if any(one.channel == _QUEUE_CHANNEL for one in heard):
                self._queue.hasten()
                return
            if not heard or not all_taken or any(one.payload == published.FREE for one in heard):
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
            status.beat()
        if self._lag_check.is_due():
            alarm.look()

    def _outage(self, error: Exception) -> None:
        if not self._pause:
            logger.warning("Waiting for a database: %s", " ".join(str(error).split()))
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        connections.close_all()
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        time.sleep(self._pause)

    def _notify(self) -> None:
        with connections[Conf.ORM].cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [_QUEUE_CHANNEL])


def _shared_out(behind: Mapping[str, int]) -> list[Sequence[str]]:
    """One part as a rule: what the projections of a part have in common they read once. One for
    each worker when all projections are far behind, fewer when some are."""
    names = list(behind)
    if not names or max(behind.values()) < _FAR_BEHIND:
        return [names] if names else []
    size = math.ceil(len(registered()) / Conf.WORKERS)
    parts = math.ceil(len(names) / size)
    return [names[number::parts] for number in range(parts)]


def _handout(function: str, *arguments: str) -> Handout:
    """Without an id to acknowledge: the checkpoint says whether it was done."""
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
