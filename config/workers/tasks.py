"""What the queue runs. A task is a wake-up: what there is to do stands in the checkpoints."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any

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

from ordering_read.engine import alarm, control, generations, live, status
from ordering_read.engine import rebuild as rebuilding
from ordering_write import published
from ordering_write.published import events_committed

logger = logging.getLogger(__name__)

# How long some projections may keep a worker while others wait for their turn.
_TURN_SECONDS = 1.0
# How long they wait in it for more events: as long as these come, nothing need be handed out.
_STAY_SECONDS = 0.2

_STOCK_BROKER = "django_q.brokers.orm.ORM"

# The same in all processes but for its signature, so that one that waits can be found.
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


def project(*names: str) -> None:
    """Catch up projections that the broker found to be behind."""
    live.run(*names, seconds=_TURN_SECONDS, stay=_STAY_SECONDS)


def run_policies() -> None:
    """Do what there is to do for the policies."""
    published.policies.run(seconds=_TURN_SECONDS)


def project_all() -> None:
    """Run the policies and catch up all projections that are behind; the task of brokers that don't
    know them."""
    status.beat()
    while published.policies.due():
        run_policies()
    while names := live.due().behind:
        live.run(*names, seconds=_TURN_SECONDS)
    alarm.look()
    generations.discard_expired()


def rebuild(*names: str) -> None:
    """Rebuild projections, one after the other, so that no more than one worker is kept busy."""
    for name in names:
        with _refusals_logged():
            rebuilding.rebuild(name)


def cancel_rebuild(name: str) -> None:
    """Delete what a rebuild has made, unless it runs and does so itself."""
    with _refusals_logged():
        control.cancel(name)


def discard_former(name: str) -> None:
    """Delete the former generation of a projection."""
    with _refusals_logged():
        generations.discard_former(name)


@contextlib.contextmanager
def _refusals_logged() -> Iterator[None]:
    try:
        yield
    except generations.GenerationError as error:
        logger.warning("%s", error)


def connect() -> None:
    """Under the stock broker, which nobody notifies, let each commit enqueue a wake-up."""
    if settings.Q_CLUSTER["broker_class"] == _STOCK_BROKER:
        events_committed.connect(enqueue_wake_up, dispatch_uid="tasks.enqueue_wake_up")


def enqueue_wake_up(**_kwargs: Any) -> None:
    """Enqueue a wake-up unless one waits already (a receiver of ``events_committed``).

    A queue that is out of order is logged and costs time: the schedule makes good for it.
    """
    payload = SignedPackage.dumps(_WAKE_UP)
    content = payload[: payload.index(":") + 1]
    try:
        with transaction.atomic(using=Conf.ORM):
            waiting = OrmQ.objects.using(Conf.ORM).filter(
                key=Conf.CLUSTER_NAME, lock__lte=timezone.now(), payload__startswith=content
            )
            if not waiting.exists():
                get_broker().enqueue(payload)
    except django.db.Error as error:
        logger.warning("A wake-up can't be enqueued: %s", error)


def prune_commands() -> None:
    """Delete the records of old commands."""
    output = StringIO()
    call_command("prune_commands", stdout=output)
    logger.info("Records of old commands: %s", output.getvalue().strip())


_SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    _WAKE_UP["name"]: {
        "func": _WAKE_UP["func"],
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    "prune_commands": {
        "func": f"{__name__}.prune_commands",
        "schedule_type": Schedule.DAILY,
    },
}


def keep_schedules(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Create the schedules of wake-ups and pruning, or correct the functions that they name
    (a receiver of ``post_migrate``)."""
    if using != Conf.ORM or "schedule" not in apps.all_models["django_q"]:
        return
    for name, fields in _SCHEDULES.items():
        schedule, _ = Schedule.objects.using(using).get_or_create(
            name=name, defaults={**fields, "kwargs": "q_options={'save': False}"}
        )
        if schedule.func != fields["func"]:
            # An older release kept the function in another module.
            schedule.func = fields["func"]
            schedule.save(update_fields=["func"])
