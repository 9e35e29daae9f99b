"""The log of deliveries for operators: list it, send one again, skip one, delete old ones."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from ordering_write.domain.errors import DomainError, NotFoundError
from ordering_write.webhooks.models import WebhookDelivery

logger = logging.getLogger(__name__)

_State = WebhookDelivery.State
# Deliveries that one statement deletes.
_DELETED_AT_ONCE = 5_000


class DeliveryNotFoundError(NotFoundError):
    """Webhook delivery not found"""


class DeliveryDoneError(DomainError):
    """The delivery is done: there is nothing to skip."""


class DeliveryWaitsError(DomainError):
    """A worker is sending the delivery at this moment."""


def deliveries(*, endpoint: str = "", state: str = "") -> "QuerySet[WebhookDelivery]":
    """Return deliveries, the newest events first; of one endpoint and in one state if given."""
    rows = WebhookDelivery.objects.select_related("endpoint").order_by("-position", "id")
    if endpoint:
        rows = rows.filter(endpoint__name=endpoint)
    return rows.filter(state=state) if state else rows


def find(key: UUID) -> WebhookDelivery:
    """Return one delivery. Raises DeliveryNotFoundError."""
    delivery = deliveries().filter(pk=key).first()
    if delivery is None:
        raise DeliveryNotFoundError
    return delivery


def send_again(key: UUID, *, by: str) -> WebhookDelivery:
    """Let a delivery be tried at once, also one that was delivered; its endpoint's pause ends.

    Later events of its stream wait for it. Raises DeliveryNotFoundError, and DeliveryWaitsError
    while a worker sends it.
    """
    now = datetime.now(UTC)
    with transaction.atomic():
        delivery = _locked(key)
        if delivery.leased_until and delivery.leased_until > now:
            raise DeliveryWaitsError
        delivery.state, delivery.due_at, delivery.leased_until = _State.WAITING, now, None
        delivery.tries, delivery.first_tried_at, delivery.done_at = 0, None, None
        delivery.skipped_by = delivery.skip_reason = ""
        delivery.save()
        endpoint = delivery.endpoint
        type(endpoint)._default_manager.filter(pk=endpoint.pk).update(paused_until=None)
    logger.warning("%s is sent again by %s.", delivery, by)
    return delivery


def skip(key: UUID, *, reason: str, by: str) -> WebhookDelivery:
    """Never send a delivery; later events of its stream follow.

    Raises DeliveryNotFoundError and DeliveryDoneError.
    """
    with transaction.atomic():
        delivery = _locked(key)
        if delivery.state not in WebhookDelivery.BLOCKING:
            raise DeliveryDoneError
        delivery.state, delivery.done_at = _State.SKIPPED, datetime.now(UTC)
        delivery.skipped_by, delivery.skip_reason = by, reason
        delivery.save()
    logger.warning("%s is skipped by %s: %s", delivery, by, reason)
    return delivery


def prune() -> int:
    """Delete deliveries that were done more than WEBHOOK_DAYS ago; returns their number."""
    before = datetime.now(UTC) - timedelta(days=settings.WEBHOOK_DAYS)
    old = WebhookDelivery.objects.filter(
        state__in=(_State.DELIVERED, _State.SKIPPED), done_at__lt=before
    )
    return delete(old.order_by("done_at"))


def delete(rows: "QuerySet[WebhookDelivery]") -> int:
    """Delete ``rows`` in several statements, below the time limit; returns their number."""
    deleted = 0
    while keys := list(rows.values_list("pk", flat=True)[:_DELETED_AT_ONCE]):
        deleted += WebhookDelivery.objects.filter(pk__in=keys).delete()[0]
    return deleted


def _locked(key: UUID) -> WebhookDelivery:
    rows = WebhookDelivery.objects.select_for_update(of=("self",)).select_related("endpoint")
    delivery = rows.filter(pk=key).first()
    if delivery is None:
        raise DeliveryNotFoundError
    return delivery
