"""Wake-ups and schedules: the entries in the queue that make workers run ``tasks``.

Every process that gives commands loads this module; the tasks themselves need more of both apps.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import django.db
from django.apps.registry import Apps
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from ordering_write.signals import events_committed

logger = logging.getLogger(__name__)

_ORM_BROKER = "django_q.brokers.orm.ORM"
_TASKS = settings.WORKER_TASKS

# All processes write the same text, except for the signature, so that a waiting one can be found.
_WAKE_UP: dict[str, Any] = {
    "id": "0" * 32,
    "name": "projections",
    "func": f"{_TASKS}.project_all",
    "args": (),
    "kwargs": {},
    "started": datetime(2000, 1, 1, tzinfo=UTC),
    "save": False,
    "ack_failure": True,
}
_SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    _WAKE_UP["name"]: {
        "func": _WAKE_UP["func"],
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    # Goes on with jobs whose process was killed.
    "bulk_jobs": {
        "func": f"{_TASKS}.run_bulk_jobs",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    "keep_exports": {
        "func": f"{_TASKS}.keep_exports",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    },
    "prune_commands": {
        "func": f"{_TASKS}.prune_commands",
        "schedule_type": Schedule.DAILY,
    },
}


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


def keep_schedules(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Create the schedules of wake-ups and pruning (a receiver of ``post_migrate``).

    Corrects the path of a function that an older release had in another module.
    """
    if using != Conf.ORM or "schedule" not in apps.all_models["django_q"]:
        return
    for name, fields in {**_SCHEDULES, **_schedules_of_site()}.items():
        schedule, _ = Schedule.objects.using(using).get_or_create(
            name=name, defaults={**fields, "kwargs": "q_options={'save': False}"}
        )
        if schedule.func != fields["func"]:
            schedule.func = fields["func"]
            schedule.save(update_fields=["func"])


def _schedules_of_site() -> dict[str, Mapping[str, Any]]:
    """Return the schedules that each read site has in its own queue, none without READ_SITE.

    A schedule without a queue is carried out at one site, whichever comes first.
    """
    if not settings.READ_SITE:
        return {}
    wake_up = {**_SCHEDULES[_WAKE_UP["name"]], "cluster": Conf.CLUSTER_NAME}
    return {f"{_WAKE_UP['name']} at {settings.READ_SITE}": wake_up}
