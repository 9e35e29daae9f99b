"""Webhook endpoints, which are subscribers of the log, and the deliveries to them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from ordering_write.subscriptions.checkpoint import Checkpoint, ParkedEvent


class WebhookEndpoint(Checkpoint):
    """An address of another system that gets the events of the log, and its position in the log.

    The position says which events have become deliveries. A disabled endpoint stays where it is.
    Whoever reads ``secret`` can sign messages, so that no page shows it after its creation.
    """

    key = models.UUIDField(
        unique=True, default=uuid7, editable=False, help_text="The id in addresses of the API."
    )
    name = models.SlugField(max_length=40, unique=True, help_text="Letters, digits and hyphens.")
    url = models.CharField(
        "address", max_length=500, help_text="The address that messages are posted to."
    )
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(
        models.CharField(max_length=60),
        default=list,
        blank=True,
        help_text="Types of the events that the endpoint gets; empty for all.",
    )
    secret = models.CharField(max_length=80, editable=False)
    former_secret = models.CharField(max_length=80, blank=True, editable=False)
    former_secret_until = models.DateTimeField(
        null=True, blank=True, help_text="Until when messages are signed by the former secret too."
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200)
    disabled_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nothing is sent; empty while it is."
    )
    disabled_reason = models.CharField(max_length=500, blank=True)
    failures = models.PositiveIntegerField(
        default=0, help_text="The number of failed tries since the last success."
    )
    failing_since = models.DateTimeField(null=True, blank=True)
    paused_until = models.DateTimeField(
        null=True, blank=True, help_text="When the next try may begin, after failed ones."
    )
    succeeded_at = models.DateTimeField(
        null=True, blank=True, help_text="The time of the last success."
    )

    class Meta:
        db_table = "webhook_endpoint"
        default_permissions = ()
        ordering = ["name"]

    def __str__(self) -> str:
        return f"the webhook endpoint {self.name}"

    @property
    def is_enabled(self) -> bool:
        return self.disabled_at is None


class WebhookParkedEvent(ParkedEvent):
    """An event that can't become a delivery, or that waits behind such an event."""

    checkpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="parked_events"
    )

    class Meta:
        db_table = "webhook_parked_event"
        default_permissions = ()
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint", "event_id"], name="webhook_parked_event_once"
            )
        ]


class WebhookDelivery(models.Model):
    """One event for one endpoint, and what became of it.

    The row has no field of the event, so that no personal data are kept here. The deliveries of one
    stream are sent in the order of their positions: the first one that isn't done blocks the rest.
    """

    class State(models.TextChoices):
        """The state of a delivery. The endpoint gets later events of the stream when it is done."""

        WAITING = "waiting", "waits for a try"
        DELIVERED = "delivered", "delivered"
        PARKED = "parked", "given up; later events of its stream wait"
        SKIPPED = "skipped", "skipped by an operator"

    # The states that block later deliveries of the stream.
    BLOCKING = (State.WAITING, State.PARKED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    position = models.BigIntegerField(help_text="The position of the event in the log.")
    event_id = models.UUIDField()
    stream = models.CharField(max_length=60)
    type = models.CharField(max_length=60)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(help_text="When the next try may begin.")
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="The time until which the delivery belongs to a worker."
    )
    tries = models.PositiveIntegerField(default=0)
    first_tried_at = models.DateTimeField(
        null=True, blank=True, help_text="The time of the first try since it last began to wait."
    )
    tried_at = models.DateTimeField(null=True, blank=True, help_text="The time of the last try.")
    status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The HTTP status of the last answer; empty without one."
    )
    error = models.TextField(blank=True, help_text="Why the last try failed.")
    done_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was delivered, parked or skipped."
    )
    skipped_by = models.CharField(max_length=200, blank=True)
    skip_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "webhook_delivery"
        verbose_name_plural = "webhook deliveries"
        default_permissions = ()
        ordering = ["-position"]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "position"], name="webhook_delivery_once")
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "position"],
                condition=Q(state="waiting"),
                name="webhook_delivery_waiting",
            ),
            models.Index(
                fields=["endpoint", "stream", "position"],
                condition=Q(state__in=["waiting", "parked"]),
                name="webhook_delivery_stream",
            ),
            models.Index(
                fields=["endpoint", "position"],
                condition=Q(state="parked"),
                name="webhook_delivery_parked",
            ),
            models.Index(
                fields=["done_at"],
                condition=Q(state__in=["delivered", "skipped"]),
                name="webhook_delivery_done",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} at position {self.position} for {self.endpoint}"
