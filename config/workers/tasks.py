"""The functions that the queue runs. A task is only a wake-up: the checkpoints hold the work."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import django.db
from django.apps.registry import Apps
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from config.workers import outdated
from ordering_read.engine import control, generations, status
from ordering_read.engine import rebuild as rebuilding
from ordering_read.engine import verify as verification
from ordering_read.exports import jobs
from ordering_read.my import mails
from ordering_write import bulk, subscriptions
from ordering_write.signals import events_committed
from ordering_write.subscriptions import alarm, samples

logger = logging.getLogger(__name__)

# Seconds for which a task may keep a worker while other subscribers wait for their turn.
_TURN_SECONDS = 1.0

_ORM_BROKER = "django_q.brokers.orm.ORM"

# All processes write the same text, except for the signature, so that a waiting one can be found.
_WAKE_UP: dict[str, Any] = {
    "id": "0" * 32,
    "name": "projections",
    "func": "config.workers.tasks.project_all",
    "args": (),
    "kwargs": {},
    "started": datetime(2000, 1, 1, tzinfo=UTC),
    "save": False,
    "ack_failure": True,
}


def run(subscription_name: str, *names: str) -> None:
    """Run the subscribers ``names`` of a subscription, which the broker has leased."""
    subscription = subscriptions.find(subscription_name)
    subscription.run(*names, seconds=_TURN_SECONDS, idle_wait=subscription.idle_wait)


def project_all() -> None:
    """Run all subscribers that have work. Brokers that don't know subscriptions use this task."""
    status.heartbeat()
    for subscription in subscriptions.registered():
        while names := subscription.lease().behind:
            subscription.run(*names, seconds=_TURN_SECONDS)
    statuses = subscriptions.all_statuses()
    alarm.look(statuses)
    samples.record(statuses)
    outdated.report()
    generations.discard_expired()


def rebuild(*names: str, promote: bool = True) -> None:
    """Rebuild projections one after the other, so that the rebuilds keep only one worker busy.

    Without ``promote``, the new rows wait until somebody lets them take over.
    """
    for name in names:
        with _refusals_logged():
            rebuilding.rebuild(name, promote=promote)


def verify(*names: str) -> None:
    """Compare the rows of projections with the log; the result is stored with the projection."""
    for name in names:
        with _refusals_logged():
            verification.verify(name)


def cancel_rebuild(name: str) -> None:
    """Cancel a rebuild: delete its rows, unless a process that still rebuilds deletes them."""
    with _refusals_logged():
        control.cancel(name)


def discard_former(name: str) -> None:
    """Delete the former generation of a projection."""
    with _refusals_logged():
        generations.discard_former(name)


def mail_link(key: str) -> None:
    """Mail the link with this key to a customer."""
    mails.send(key)


@contextlib.contextmanager
def _refusals_logged() -> Iterator[None]:
    try:
        yield
    except generations.GenerationError as error:
        logger.warning("%s", error)


def connect() -> None:
    """Enqueue a wake-up after each commit, but only for the ORM broker: it ignores NOTIFY."""
    if settings.Q_CLUSTER["broker_class"] == _ORM_BROKER:
        events_committed.connect(enqueue_wake_up, dispatch_uid="tasks.enqueue_wake_up")


def enqueue_wake_up(**_kwargs: Any) -> None:
    """Enqueue a wake-up unless one waits already (a receiver of ``events_committed``).

    An error of the queue is only logged: the schedule wakes the subscribers within a minute.
    """
    payload = SignedPackage.dumps(_WAKE_UP)
    content = payload[: payload.index(":") + 1]
    try:
        with transaction.atomic(using=Conf.ORM):
            waiting_tasks = OrmQ.objects.using(Conf.ORM).filter(
                key=Conf.CLUSTER_NAME, lock__lte=timezone.now(), payload__startswith=content
            )
            if not waiting_tasks.exists():
                get_broker().enqueue(payload)
    except django.db.Error as error:
        logger.warning("A wake-up can't be enqueued: %s", error)


def run_bulk_jobs() -> None:
    """Go on with the bulk jobs for a turn, and ask for another one if work is left."""
    if bulk.run_waiting(seconds=_TURN_SECONDS):
        bulk.enqueue()


def export(export_id: str) -> None:
    """Write the file of an export."""
    jobs.run(UUID(export_id))


def keep_exports() -> None:
    """Begin exports again whose worker was killed, and delete old files."""
    jobs.keep()


def prune_commands() -> None:
    """Delete old command records and bulk jobs."""
    output = StringIO()
    call_command("prune_commands", stdout=output)
    logger.info("Records of old commands: %s", output.getvalue().strip())
    logger.info("Old bulk jobs: pruned %d", bulk.prune())


_SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    _WAKE_UP["name"]: {
        "func": _WAKE_UP["func"],
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    # Goes on with jobs whose process was killed.
    "bulk_jobs": {
        "func": f"{__name__}.run_bulk_jobs",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    "keep_exports": {
        "func": f"{__name__}.keep_exports",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    "prune_commands": {
        "func": f"{__name__}.prune_commands",
        "schedule_type": Schedule.DAILY,
    },
}


def keep_schedules(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Create the schedules of wake-ups and pruning (a receiver of ``post_migrate``).

    Corrects the path of a function that an older release had in another module.
    """
    if using != Conf.ORM or "schedule" not in apps.all_models["django_q"]:
        return
    for name, fields in _SCHEDULES.items():
        schedule, _ = Schedule.objects.using(using).get_or_create(
            name=name, defaults={**fields, "kwargs": "q_options={'save': False}"}
        )
        if schedule.func != fields["func"]:
            schedule.func = fields["func"]
            schedule.save(update_fields=["func"])
