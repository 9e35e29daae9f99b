"""Records how tries ended: pauses, parks and disables what fails."""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connections, transaction

from ordering_write.subscriptions import alarm
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint
from ordering_write.webhooks.sending import Answer

logger = logging.getLogger(__name__)

# The time for which a delivery is tried, and an endpoint may fail without a success.
GIVE_UP_AFTER = timedelta(days=3)
_LONGEST_PAUSE = timedelta(hours=1)
_State = WebhookDelivery.State


class Try(NamedTuple):
    """A delivery that was taken, and the answer; None if it wasn't sent after all."""

    delivery: WebhookDelivery
    answer: Answer | None


def pause_after(failures: int) -> timedelta:
    """Return the pause after so many failures: it doubles from a second to an hour."""
    return min(timedelta(seconds=2 ** min(failures - 1, 12)), _LONGEST_PAUSE)


def record(tries: Iterable[Try], now: datetime) -> None:
    """Store how ``tries`` ended at ``now`` (UTC)."""
    by_endpoint: dict[int, list[Try]] = defaultdict(list)
    for ended in tries:
        by_endpoint[ended.delivery.endpoint.pk].append(ended)
    for key, of_endpoint in by_endpoint.items():
        with transaction.atomic():
            endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=key).first()
            # None if the endpoint was removed meanwhile.
            if endpoint:
                _record_endpoint(endpoint, of_endpoint, now)


def record_in_thread(tries: Iterable[Try], now: datetime) -> None:
    """Store how ``tries`` ended, in the thread that has waited for the answers."""
    try:
        record(tries, now)
    except Exception:
        # The deliveries are sent again when their lease ends.
        logger.exception("The answer of a webhook endpoint can't be recorded.")
    finally:
        # The callback of an answer that has just come runs in the thread that adds it.
        if threading.current_thread() is not threading.main_thread():
            # The connections of a thread would outlive it.
            connections.close_all()


def _record_endpoint(endpoint: WebhookEndpoint, tries: Sequence[Try], now: datetime) -> None:
    failed = [(delivery, answer) for delivery, answer in tries if answer and not answer.is_success]
    has_succeeded = any(answer and answer.is_success for _delivery, answer in tries)
    if has_succeeded:
        endpoint.failures, endpoint.failing_since, endpoint.paused_until = 0, None, None
        endpoint.succeeded_at = now
    elif failed:
        endpoint.failures += 1
        endpoint.failing_since = endpoint.failing_since or now
        endpoint.paused_until = now + pause_after(endpoint.failures)
        if now - endpoint.failing_since >= GIVE_UP_AFTER and endpoint.is_enabled:
            _disable(endpoint, failed[-1][1], now)
    for delivery, answer in tries:
        delivery.leased_until = None
        if answer is None:
            delivery.tries -= 1
        elif answer.is_success:
            delivery.state, delivery.done_at = _State.DELIVERED, now
            delivery.status, delivery.error = answer.status, ""
        else:
            _record_failure(delivery, answer, endpoint, now)
    WebhookDelivery.objects.bulk_update(
        [ended.delivery for ended in tries],
        [
            "state",
            "done_at",
            "status",
            "error",
            "leased_until",
            "due_at",
            "tries",
            "first_tried_at",
        ],
    )
    endpoint.save(
        update_fields=[
            "failures",
            "failing_since",
            "paused_until",
            "succeeded_at",
            "disabled_at",
            "disabled_reason",
        ]
    )


def _record_failure(
    delivery: WebhookDelivery, answer: Answer, endpoint: WebhookEndpoint, now: datetime
) -> None:
    delivery.status, delivery.error = answer.status, answer.error
    delivery.due_at = now + pause_after(delivery.tries)
    delivery.first_tried_at = delivery.first_tried_at or now
    # An endpoint that is disabled as a whole gets all waiting events when it is enabled again.
    if endpoint.is_enabled and now - delivery.first_tried_at >= GIVE_UP_AFTER:
        delivery.state, delivery.done_at = _State.PARKED, now
        sentence = (
            f"{delivery} was given up after {delivery.tries:,} tries: {answer.error} Later events "
            "of this stream wait for it."
        )
        alarm.report("A webhook was given up", [sentence], logging.ERROR)


def _disable(endpoint: WebhookEndpoint, answer: Answer, now: datetime) -> None:
    endpoint.disabled_at = now
    endpoint.disabled_reason = f"No success since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC."
    sentence = (
        f"{str(endpoint).capitalize()} was disabled: {endpoint.disabled_reason} The last error: "
        f"{answer.error} Its events wait; enable it when {endpoint.url} answers again."
    )
    alarm.report("A webhook endpoint was disabled", [sentence], logging.ERROR)
