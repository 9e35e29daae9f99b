"""What the queue runs for the write side, by its schedule."""

import logging
from io import StringIO
from typing import Any

from django.apps.registry import Apps
from django.core.management import call_command
from django_q.conf import Conf
from django_q.models import Schedule

logger = logging.getLogger(__name__)


def prune_commands() -> None:
    """Delete the records of old commands."""
    told = StringIO()
    call_command("prune_commands", stdout=told)
    logger.info("Records of old commands: %s", told.getvalue().strip())


def keep_schedule(*, using: str, apps: Apps, **_kwargs: Any) -> None:
    """Make sure that they are deleted once a day (a receiver of ``post_migrate``)."""
    if using == Conf.ORM and "schedule" in apps.all_models["django_q"]:
        Schedule.objects.using(using).get_or_create(
            name="prune_commands",
            defaults={
                "func": f"{__name__}.prune_commands",
                "schedule_type": Schedule.DAILY,
                "kwargs": "q_options={'save': False}",
            },
        )
