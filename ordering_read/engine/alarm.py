"""Tells that a projection has become late, and that it no longer is: once each, by log and mail."""

import logging
import threading
from collections.abc import Sequence

from django.conf import settings
from django.core.mail import mail_admins
from django.db.models import QuerySet
from django.db.models.functions import Now

from config import logs
from ordering_read.engine.status import ProjectionStatus, statuses
from ordering_read.models import Projection

logger = logging.getLogger(__name__)


def look() -> set[str]:
    """The names of the projections that are late by more than PROJECTION_LAG_ALERT_SECONDS.

    When that has changed since anybody looked, it is logged, and the ADMINS get a mail.
    """
    limit = settings.PROJECTION_LAG_ALERT_SECONDS
    known = {one.name: one for one in statuses()}
    late = {name for name, one in known.items() if one.lag_seconds > limit}
    told = _live().filter(name__in=known).exclude(late_at=None).values_list("name", flat=True)
    before = set(told)
    # Whoever changes the row tells of it: once, however many look.
    begun = [name for name in sorted(late - before) if _mark(name, is_late=True)]
    ended = [name for name in sorted(before - late) if _mark(name, is_late=False)]
    _tell("Projections are late", [_late(known[name], limit) for name in begun], logging.ERROR)
    _tell(
        "Projections are no longer late",
        [f"Projection {name} is no longer late." for name in ended],
        logging.WARNING,
    )
    return late


def _live() -> "QuerySet[Projection]":
    return Projection.objects.filter(status=Projection.Status.LIVE)


def _mark(name: str, *, is_late: bool) -> bool:
    """Whether it was us who wrote down that this projection is late, or no longer."""
    rows = _live().filter(name=name, late_at__isnull=is_late)
    return bool(rows.update(late_at=Now() if is_late else None))


def _late(one: ProjectionStatus, limit: int) -> str:
    error = f" {one.last_error}" if one.last_error else ""
    return (
        f"Projection {one.name} is late: {one.lag_events} events, {one.lag_seconds:.0f} seconds "
        f"behind the log (limit {limit}).{error}"
    )


def _tell(subject: str, lines: Sequence[str], level: int) -> None:
    for line in lines:
        logger.log(level, "%s", line)
    if lines and settings.ADMINS:
        text = logs.without_values("\n".join(lines))
        # Beside us: a mail server that doesn't answer must not keep the workers waiting.
        threading.Thread(target=_mail, args=(subject, text), daemon=True).start()


def _mail(subject: str, text: str) -> None:
    try:
        mail_admins(subject, text)
    except OSError as error:
        logger.warning("The administrators couldn't be told by mail: %s", error)
