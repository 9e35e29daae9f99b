"""Sends the deliveries that are due; any number of workers may do so at once.

Of each stream, deliveries are sent one after the other, so that an endpoint gets the events of an
order in their order. A worker that is killed may have sent deliveries without recording it: they
are sent again when their lease ends, and receivers recognise a repeat by the event's id.
"""

import math
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Exists, Expression, F, OuterRef, Q, QuerySet

from ordering_write.log import feed
from ordering_write.webhooks import outcomes, sending, signatures
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint
from ordering_write.webhooks.outcomes import Try
from ordering_write.webhooks.sending import Answer
from ordering_write.webhooks.threads import SENDERS

# The time for which a delivery belongs to the worker that took it.
LEASE = timedelta(seconds=30)
# The deliveries that are taken in one go. Of an endpoint that fails, one is tried.
_BATCH = 64
# Seconds after which a thread begins no further try: the last one ends before the lease.
_STREAM_SECONDS = 15.0
_State = WebhookDelivery.State


class Message(NamedTuple):
    """A message as it is sent."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def due_deliveries(now: datetime | Expression) -> "QuerySet[WebhookDelivery]":
    """Return the deliveries that may be sent at ``now`` (UTC), the oldest events first.

    Of one stream there may be several, which must be sent in their order.
    """
    is_free = (Q(leased_until=None) | Q(leased_until__lte=now)) & Q(due_at__lte=now)
    earlier = WebhookDelivery.objects.filter(
        endpoint=OuterRef("endpoint"), stream=OuterRef("stream"), position__lt=OuterRef("position")
    )
    blocking = earlier.filter(Q(state=_State.PARKED) | Q(~is_free, state=_State.WAITING))
    return WebhookDelivery.objects.filter(
        is_free,
        Q(endpoint__paused_until=None) | Q(endpoint__paused_until__lte=now),
        ~Exists(blocking),
        state=_State.WAITING,
        endpoint__disabled_at=None,
    ).order_by("position")


def send_due(names: Collection[str], *, now: datetime | None = None, seconds: float) -> int:
    """Send due deliveries to the endpoints ``names`` for about ``seconds``; returns how many.

    ``now`` (UTC) is the time of the clock unless given. Answers that come later are recorded by the
    threads that wait for them, so that an endpoint that hangs keeps no worker.
    """
    ends_at = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < ends_at and (streams := list(_take_all(names, now or _clock()))):
        sent += sum(map(len, streams))
        _send(streams, now or _clock(), until=ends_at)
    return sent


def message_to(endpoint: WebhookEndpoint, event: feed.StoredEvent, now: datetime) -> Message:
    """Return the signed message about ``event``, without its personal fields."""
    body = event.model_dump_json(exclude={"personal"}).encode()
    is_former_valid = endpoint.former_secret_until and now < endpoint.former_secret_until
    secrets_in_use = [endpoint.secret, *([endpoint.former_secret] if is_former_valid else ())]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "order-service-webhooks",
        "Webhook-Id": str(event.event_id),
        signatures.HEADER: signatures.signature(body, secrets_in_use=secrets_in_use, at=now),
    }
    return Message(endpoint.url, body, headers)


def _clock() -> datetime:
    return datetime.now(UTC)


def _take_all(names: Collection[str], now: datetime) -> Iterator[list[WebhookDelivery]]:
    """Yield the deliveries to send now, of one endpoint and one stream each, in their order."""
    for key in WebhookEndpoint.objects.filter(name__in=names).values_list("pk", flat=True):
        if slots := SENDERS.free_slots(key):
            with transaction.atomic():
                streams = _take(key, now, slots)
            yield from streams


def _take(key: int, now: datetime, slots: int) -> list[list[WebhookDelivery]]:
    # The lock lets one worker take at a time: another one might take later events of a stream.
    endpoint = WebhookEndpoint.objects.select_for_update().filter(pk=key).first()
    if endpoint is None:
        return []
    due = due_deliveries(now).filter(endpoint=endpoint).select_for_update(of=("self",))
    by_stream: dict[str, list[WebhookDelivery]] = defaultdict(list)
    for delivery in due[: 1 if endpoint.failures else _BATCH]:
        if delivery.stream in by_stream or len(by_stream) < slots:
            by_stream[delivery.stream].append(delivery)
    taken = [delivery for stream in by_stream.values() for delivery in stream]
    # Counted before the try: a try that kills the worker can't be counted afterwards.
    WebhookDelivery.objects.filter(pk__in=[delivery.pk for delivery in taken]).update(
        leased_until=now + LEASE, tries=F("tries") + 1, tried_at=now
    )
    for delivery in taken:
        delivery.endpoint, delivery.tries = endpoint, delivery.tries + 1
    return list(by_stream.values())


def _send(streams: Sequence[Sequence[WebhookDelivery]], now: datetime, *, until: float) -> None:
    positions = [delivery.position for stream in streams for delivery in stream]
    events = {event.position: event for event in feed.read_at(positions)}
    futures: list[Future[list[Try]]] = [
        SENDERS.submit(stream[0].endpoint.pk, _send_stream, stream, events, now)
        for stream in streams
    ]
    remaining = max(0.0, until - time.monotonic())
    done, late = wait(futures, timeout=None if math.isinf(remaining) else remaining)
    for future in late:
        future.add_done_callback(lambda ended: outcomes.record_in_thread(ended.result(), now))
    outcomes.record([ended for future in done for ended in future.result()], now)


def _send_stream(
    deliveries: Iterable[WebhookDelivery],
    events: Mapping[int | None, feed.StoredEvent],
    now: datetime,
) -> list[Try]:
    """Send deliveries of one stream until one fails; the others aren't tried."""
    ends_at = time.monotonic() + _STREAM_SECONDS
    tries: list[Try] = []
    for delivery in deliveries:
        has_failed = bool(tries) and not (tries[-1].answer and tries[-1].answer.is_success)
        is_tried = not has_failed and time.monotonic() < ends_at
        answer = _try(delivery, events.get(delivery.position), now) if is_tried else None
        tries.append(Try(delivery, answer))
    return tries


def _try(delivery: WebhookDelivery, event: feed.StoredEvent | None, now: datetime) -> Answer:
    if event is None:
        return Answer(None, f"The log has no event at position {delivery.position}.")
    message = message_to(delivery.endpoint, event, now)
    headers = {**message.headers, "Webhook-Attempt": str(delivery.tries)}
    return sending.post(message.url, message.body, headers)
