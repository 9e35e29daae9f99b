"""Reports by log and mail, once each, that a subscriber is late and that it no longer is."""

import logging
import threading
from collections.abc import Sequence

from django.conf import settings
from django.core.mail import mail_admins
from django.db.models.functions import Now

from config import logs
from ordering_write.subscriptions.registry import Subscription, registered
from ordering_write.subscriptions.status import SubscriberStatus

logger = logging.getLogger(__name__)


def look() -> dict[str, set[str]]:
    """Return, by subscription, the names of the subscribers that are late.

    Late is a lag of more than PROJECTION_LAG_ALERT_SECONDS. A change since the last look of any
    process is logged, and mailed to ADMINS.
    """
    return {subscription.name: _look_at(subscription) for subscription in registered()}


def _look_at(subscription: Subscription) -> set[str]:
    limit = settings.PROJECTION_LAG_ALERT_SECONDS
    statuses = {status.name: status for status in subscription.statuses()}
    late = {name for name, status in statuses.items() if status.lag_seconds > limit}
    late_rows = subscription.served().exclude(late_at=None)
    late_before = set(late_rows.filter(name__in=statuses).values_list("name", flat=True))
    # Only the process that changes the row reports the change, so that it is reported once.
    newly_late = [
        name for name in sorted(late - late_before) if _mark(subscription, name, is_late=True)
    ]
    no_longer_late = [
        name for name in sorted(late_before - late) if _mark(subscription, name, is_late=False)
    ]
    noun = subscription.noun.capitalize()
    report(
        f"{noun}s are late",
        [_late_line(noun, statuses[name], limit) for name in newly_late],
        logging.ERROR,
    )
    report(
        f"{noun}s are no longer late",
        [f"{noun} {name} is no longer late." for name in no_longer_late],
        logging.WARNING,
    )
    return late


def _mark(subscription: Subscription, name: str, *, is_late: bool) -> bool:
    """Write to the checkpoint whether it is late; return True if this process changed it."""
    rows = subscription.served().filter(name=name, late_at__isnull=is_late)
    return bool(rows.update(late_at=Now() if is_late else None))


def _late_line(noun: str, status: SubscriberStatus, limit: int) -> str:
    error = f" {status.last_error}" if status.last_error else ""
    return (
        f"{noun} {status.name} is late: {status.lag_events} events, {status.lag_seconds:.0f} "
        f"seconds behind the log (limit {limit}).{error}"
    )


def report(subject: str, lines: Sequence[str], level: int) -> None:
    """Log each line, and mail all lines to ADMINS under ``subject``; no lines, no mail.

    The mail leaves out values that errors of databases quote, and delays nobody.
    """
    for line in lines:
        logger.log(level, "%s", line)
    if lines and settings.ADMINS:
        text = logs.without_values("\n".join(lines))
        # In a thread: a mail server that doesn't answer must not delay the workers.
        threading.Thread(target=_mail, args=(subject, text), daemon=True).start()


def _mail(subject: str, text: str) -> None:
    try:
        mail_admins(subject, text)
    except OSError as error:
        logger.warning("The administrators couldn't be notified by mail: %s", error)
