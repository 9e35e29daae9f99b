"""Reports by log and mail, once each, that a subscriber is late and that it no longer is."""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import django.db
from django.conf import settings
from django.core.mail import mail_admins
from django.db import connections
from django.db.models.functions import Now
from django.urls import reverse

from config import logs
from ordering_write.models import Alarm
from ordering_write.subscriptions.registry import Subscription, all_statuses
from ordering_write.subscriptions.status import SubscriberStatus

logger = logging.getLogger(__name__)

# The ends of subjects, after a noun such as Projections.
_ARE_FILLED, _ARE_LATE = " are filled from the log", " are late"
# The reports that the table keeps.
_KEPT = 100


def look(
    statuses: Mapping[Subscription, Sequence[SubscriberStatus]] | None = None,
) -> dict[str, set[str]]:
    """Return, by subscription, the names of the subscribers that are late.

    Late is a lag of more than PROJECTION_LAG_ALERT_SECONDS. A change since the last look of any
    process is logged, stored, and mailed to ADMINS. ``statuses`` are those of all subscribers, if
    the caller has read them.
    """
    statuses = all_statuses() if statuses is None else statuses
    return {
        subscription.name: _look_at(subscription, of_kind)
        for subscription, of_kind in statuses.items()
    }


def _look_at(subscription: Subscription, of_kind: Sequence[SubscriberStatus]) -> set[str]:
    limit = settings.PROJECTION_LAG_ALERT_SECONDS
    statuses = {status.name: status for status in of_kind}
    late = {name for name, status in statuses.items() if status.lag_seconds > limit}
    late_rows = subscription.served().exclude(late_at=None)
    late_before = set(late_rows.filter(name__in=statuses).values_list("name", flat=True))
    # Only the process that changes the row reports the change, so that it is reported once.
    newly_late = [
        name
        for name in sorted(late - late_before)
        if _mark(subscription, statuses[name], is_late=True)
    ]
    no_longer_late = [
        name
        for name in sorted(late_before - late)
        if _mark(subscription, statuses[name], is_late=False)
    ]
    noun = subscription.noun.capitalize()
    filling = [name for name in newly_late if _is_being_filled(statuses[name])]
    report(
        f"{noun}s{_ARE_FILLED}",
        [_filling_line(noun, statuses[name]) for name in filling],
        logging.WARNING,
    )
    report(
        f"{noun}s{_ARE_LATE}",
        [_late_line(noun, statuses[name], limit) for name in newly_late if name not in filling],
        logging.ERROR,
    )
    report(
        f"{noun}s are no longer late",
        [f"{noun} {name} is no longer late." for name in no_longer_late],
        logging.WARNING,
        # One mail when all have ended, unless they were only filled.
        is_mailed=not late and not _last_were_filled(noun),
    )
    return late


def _is_being_filled(status: SubscriberStatus) -> bool:
    """Return True if the subscriber has applied nothing, and waits for events older than itself."""
    age = status.measured_at - status.updated_at
    is_new = not status.position and not status.failed
    return is_new and status.lag_seconds > age.total_seconds()


def _last_were_filled(noun: str) -> bool:
    subjects = (f"{noun}s{_ARE_FILLED}", f"{noun}s{_ARE_LATE}")
    last = Alarm.objects.filter(subject__in=subjects).first()
    return last is not None and last.subject == subjects[0]


def _mark(subscription: Subscription, status: SubscriberStatus, *, is_late: bool) -> bool:
    """Write to the checkpoint whether it is late; return True if this process changed it.

    A generation of rows that took over after ``status`` was read has another checkpoint.
    """
    rows = subscription.served().filter(pk=status.key, late_at__isnull=is_late)
    return bool(rows.update(late_at=Now() if is_late else None))


def _late_line(noun: str, status: SubscriberStatus, limit: int) -> str:
    error = f" {status.last_error}" if status.last_error else ""
    return (
        f"{noun} {status.name} is late: {status.lag_events} events, {status.lag_seconds:.0f} "
        f"seconds behind the log (limit {limit}).{error}"
    )


def _filling_line(noun: str, status: SubscriberStatus) -> str:
    return f"{noun} {status.name} is filled from the beginning of the log: {status.head} events."


def report(subject: str, lines: Sequence[str], level: int, *, is_mailed: bool = True) -> None:
    """Log each line, store all lines, and mail them to ADMINS under ``subject``; no lines, no mail.

    What is stored and mailed leaves out values that errors of databases quote, and names the read
    site. The mail delays nobody.
    """
    if settings.READ_SITE:
        lines = [f"Site {settings.READ_SITE}: {line}" for line in lines]
    for line in lines:
        logger.log(level, "%s", line)
    if not lines:
        return
    text = logs.without_values("\n".join(lines))
    recipients = len(settings.ADMINS) if is_mailed else 0
    key = _store(subject, text, is_error=level >= logging.ERROR, recipients=recipients)
    if recipients:
        # In a thread: a mail server that doesn't answer must not delay the workers.
        threading.Thread(target=_mail, args=(subject, text, key), daemon=True).start()


def last(count: int) -> Sequence[Alarm]:
    """Return the last ``count`` reports, the newest first."""
    return list(Alarm.objects.all()[:count])


def _store(subject: str, text: str, *, is_error: bool, recipients: int) -> int:
    alarm = Alarm(subject=subject, text=text, is_error=is_error, recipients=recipients)
    alarm.save(force_insert=True)
    Alarm.objects.filter(pk__lte=alarm.pk - _KEPT).delete()
    return int(alarm.pk)


def _mail(subject: str, text: str, key: int) -> None:
    page = f"{settings.PUBLIC_URL}{reverse('screens:system')}"
    try:
        mail_admins(subject, f"{text}\n\nThe state of all parts is on the page System: {page}")
    except OSError as error:
        logger.warning("The administrators couldn't be notified by mail: %s", error)
        fields: dict[str, Any] = {"mail_error": f"{type(error).__name__}: {error}"}
    else:
        fields = {"mailed_at": Now()}
    try:
        Alarm.objects.filter(pk=key).update(**fields)
    except django.db.Error as error:
        logger.warning("The end of a mail can't be stored: %s", error)
    finally:
        if threading.current_thread() is not threading.main_thread():
            # The connections of a thread would outlive it.
            connections.close_all()
