"""Webhook endpoints for operators: register, change, rotate the secret, disable, replay, remove."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from config.fields.text import Text
from ordering_write import log
from ordering_write.domain.errors import DomainError, NotFoundError
from ordering_write.domain.events import DomainEvent
from ordering_write.log import feed
from ordering_write.webhooks import deliveries, delivery_log, sending, signatures
from ordering_write.webhooks.models import WebhookDelivery, WebhookEndpoint

logger = logging.getLogger(__name__)

# The type of the message that a test sends. It isn't an event of the log.
TEST = "WebhookTest"
# The most hours for which a former secret stays valid.
MOST_HOURS = 24 * 7


class EndpointNotFoundError(NotFoundError):
    """Webhook endpoint not found"""


class EndpointNameTakenError(DomainError):
    """Another webhook endpoint has this name."""


class PositionAheadError(DomainError):
    """The log ends before this position."""


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in ("http", "https"):
        raise ValueError("an address begins with https:// and a host name")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("an address has neither a user nor a fragment")
    if not url.isascii() or any(character.isspace() for character in url):
        raise ValueError("an address consists of ASCII characters without spaces")
    if parts.scheme == "http" and not settings.WEBHOOK_PRIVATE_ADDRESSES:
        raise ValueError("an address begins with https://, so that nobody can read the messages")
    return url


def _existing_type(name: str) -> str:
    if name not in DomainEvent.types:
        raise ValueError(f"there is no event type {name!r}")
    return name


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["bookkeeping"])]
Address = Annotated[
    str,
    Text(max_length=500),
    AfterValidator(_address),
    Field(examples=["https://books.example/orders"]),
]
Description = Annotated[str, Text(max_length=200, min_length=0)]
EventTypes = Annotated[
    list[Annotated[str, Field(max_length=60), AfterValidator(_existing_type)]],
    Field(max_length=200, examples=[["OrderCreated", "OrderStatusChanged"]]),
]


class NewEndpoint(BaseModel):
    """The fields of a new endpoint. Without ``event_types`` it gets all events."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    url: Address
    description: Description = ""
    event_types: EventTypes = []


class EndpointChange(BaseModel):
    """The fields of an endpoint that change. Fields that aren't given stay."""

    model_config = ConfigDict(extra="forbid")

    url: Address | None = None
    description: Description | None = None
    event_types: EventTypes | None = None


def all_endpoints() -> "QuerySet[WebhookEndpoint]":
    """Return all endpoints by name."""
    return WebhookEndpoint.objects.order_by("name")


def with_counts() -> "QuerySet[Any]":
    """Return ``all_endpoints``, each with the numbers of its ``waiting`` and ``parked`` deliveries.

    Indexes count them: delivered events aren't looked at.
    """
    state = WebhookDelivery.State
    return all_endpoints().annotate(waiting=_count(state.WAITING), parked=_count(state.PARKED))


def _count(state: str) -> Coalesce:
    rows = WebhookDelivery.objects.filter(endpoint=OuterRef("pk"), state=state).order_by()
    return Coalesce(Subquery(rows.values("endpoint").annotate(n=Count("pk")).values("n")), 0)


def find(name: str) -> WebhookEndpoint:
    """Return an endpoint by its name. Raises EndpointNotFoundError."""
    endpoint = WebhookEndpoint.objects.filter(name=name).first()
    if endpoint is None:
        raise EndpointNotFoundError
    return endpoint


def find_by_key(key: UUID) -> WebhookEndpoint:
    """Return an endpoint by its key. Raises EndpointNotFoundError."""
    endpoint = WebhookEndpoint.objects.filter(key=key).first()
    if endpoint is None:
        raise EndpointNotFoundError
    return endpoint


def register(fields: NewEndpoint, *, by: str) -> WebhookEndpoint:
    """Create an endpoint, which gets the events from now on; ``by`` is the name of the operator.

    Its ``secret`` is shown to the operator now and never again. Raises EndpointNameTakenError.
    """
    endpoint = WebhookEndpoint(**fields.model_dump(), secret=signatures.new_secret(), created_by=by)
    _move_to_end(endpoint)
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
    except IntegrityError as error:
        raise EndpointNameTakenError from error
    endpoint.refresh_from_db()
    _log(endpoint, "registered", by)
    return endpoint


def change(name: str, fields: EndpointChange, *, by: str) -> WebhookEndpoint:
    """Change fields of an endpoint; the next message shows them. Raises EndpointNotFoundError."""
    changes = {key: value for key, value in fields.model_dump().items() if value is not None}
    return _update(name, changes, done="changed", by=by)


def rotate_secret(name: str, *, hours: int, by: str) -> WebhookEndpoint:
    """Give an endpoint a new secret. For ``hours`` messages are signed by the former one too.

    Raises EndpointNotFoundError.
    """
    with transaction.atomic():
        endpoint = _locked(name)
        changes = {
            "former_secret": endpoint.secret if hours else "",
            "former_secret_until": datetime.now(UTC) + timedelta(hours=hours) if hours else None,
            "secret": signatures.new_secret(),
        }
        return _update(name, changes, done="given a new secret", by=by)


def disable(name: str, *, reason: str, by: str) -> WebhookEndpoint:
    """Send nothing to an endpoint until it is enabled. Raises EndpointNotFoundError."""
    changes = {"disabled_at": datetime.now(UTC), "disabled_reason": reason or f"By {by}."}
    return _update(name, changes, done="disabled", by=by)


def enable(name: str, *, by: str) -> WebhookEndpoint:
    """Send to an endpoint again, from the event on at which it was disabled.

    Raises EndpointNotFoundError.
    """
    changes = {
        "disabled_at": None,
        "disabled_reason": "",
        "failures": 0,
        "failing_since": None,
        "paused_until": None,
    }
    with transaction.atomic():
        endpoint = _update(name, changes, done="enabled", by=by)
        waiting = endpoint.deliveries.filter(state=WebhookDelivery.State.WAITING)
        waiting.update(due_at=datetime.now(UTC), first_tried_at=None, leased_until=None)
    return endpoint


def replay(name: str, *, after: int, by: str) -> WebhookEndpoint:
    """Send all events after the position ``after`` again; 0 is the beginning of the log.

    Deliveries of these events are made anew, also those that wait. Raises EndpointNotFoundError,
    and PositionAheadError if the log ends before ``after``.
    """
    if after > log.last_position():
        raise PositionAheadError
    log_id, event_id = log.fingerprint(after)
    with transaction.atomic():
        # Waits for the runner that makes deliveries.
        endpoint = _locked(name)
        delivery_log.delete(endpoint.deliveries.filter(position__gt=after))
        changes = {
            "position": after,
            "log_id": log_id,
            "event_id": event_id,
            "failures": 0,
            "failing_since": None,
            "paused_until": None,
        }
        return _update(name, changes, done=f"replayed after position {after}", by=by)


def remove(name: str, *, by: str) -> None:
    """Delete an endpoint and its deliveries. Raises EndpointNotFoundError."""
    with transaction.atomic():
        endpoint = _locked(name)
        delivery_log.delete(endpoint.deliveries.all())
        endpoint.delete()
    _log(endpoint, "removed", by)


def send_test(name: str) -> sending.Answer:
    """Post a message of the type WebhookTest at once, and return how it ended.

    It takes at most ``sending.SECONDS``. Raises EndpointNotFoundError.
    """
    endpoint, now, key = find(name), datetime.now(UTC), uuid7()
    event = feed.StoredEvent(
        position=None,
        event_id=key,
        stream=f"webhook-{endpoint.name}",
        version=1,
        type=TEST,
        schema_version=1,
        timestamp=now,
        recorded_at=now,
        actor={},
        channel="system",
        command_id=key,
        correlation_id=key,
        causation_id=key,
        commit_id=key,
        hash="",
        data={},
        personal={},
    )
    message = deliveries.message_to(endpoint, event, now)
    return sending.post(message.url, message.body, {**message.headers, "Webhook-Attempt": "1"})


def _locked(name: str) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.select_for_update().filter(name=name).first()
    if endpoint is None:
        raise EndpointNotFoundError
    return endpoint


def _update(name: str, changes: Mapping[str, Any], *, done: str, by: str) -> WebhookEndpoint:
    if changes and not WebhookEndpoint.objects.filter(name=name).update(**changes):
        raise EndpointNotFoundError
    endpoint = find(name)
    if changes:
        _log(endpoint, done, by)
    return endpoint


def _move_to_end(endpoint: WebhookEndpoint) -> None:
    log.sequence()
    endpoint.position = log.last_position()
    endpoint.log_id, endpoint.event_id = log.fingerprint(endpoint.position)


def _log(endpoint: WebhookEndpoint, done: str, by: str) -> None:
    logger.info("%s was %s by %s.", str(endpoint).capitalize(), done, by)
