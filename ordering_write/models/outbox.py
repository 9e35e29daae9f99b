"""The outbox, which is the event log: rows are only added, which a trigger enforces."""

from django.db import models
from django.db.models import F
from django.utils.text import camel_case_to_spaces, capfirst

from ordering_write.models.guarded import GuardedModel


class OutboxEvent(GuardedModel):
    """One event. Its ``id`` isn't its position: see EventPosition."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(unique=True)
    stream = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    type = models.CharField(max_length=60)
    schema_version = models.PositiveSmallIntegerField()
    timestamp = models.DateTimeField(help_text="When the event happened.")
    recorded_at = models.DateTimeField(help_text="When the event was recorded.")
    actor = models.JSONField()
    channel = models.CharField(max_length=10)
    command_id = models.UUIDField(db_index=True)
    correlation_id = models.UUIDField()
    causation_id = models.UUIDField()
    commit_id = models.UUIDField(db_index=True, help_text="Shared by all events of a transaction.")
    data = models.JSONField()
    personal_id = models.UUIDField(
        null=True, blank=True, help_text="The row with the personal fields of the event."
    )
    personal_digest = models.CharField(max_length=64, blank=True)
    hash = models.CharField(
        max_length=64,
        help_text="SHA-256 of the event's content and of the hash of the event before.",
    )
    # Not in the hash: the log is the same with and without telemetry.
    traceparent = models.CharField(
        max_length=55,
        blank=True,
        default="",
        db_default="",
        help_text="The W3C trace context in which the event was appended, if that was recorded.",
    )

    class Meta:
        db_table = "event"
        default_permissions = ()
        verbose_name = "event"
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "version"], name="event_stream_version_unique"
            ),
        ]
        # The events of a correlation are read in the order of their ids, up to a limit.
        indexes = [models.Index(fields=["correlation_id", "id"], name="event_by_correlation")]

    def __str__(self) -> str:
        return f"{capfirst(camel_case_to_spaces(self.type))}, number {self.version}"


class EventPending(GuardedModel):
    """A commit whose events have no position yet. Its id is drawn after its last event."""

    id = models.BigAutoField(primary_key=True)
    commit_id = models.UUIDField()
    # Empty in rows of releases that didn't count.
    events = models.PositiveIntegerField(null=True, help_text="The number of events of the commit.")

    class Meta:
        db_table = "event_pending"
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.commit_id)


class EventPosition(GuardedModel):
    """The position of an event in the log: 1, 2, 3 and so on without a gap."""

    position = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(
        OutboxEvent, on_delete=models.PROTECT, related_name="event_position"
    )

    class Meta:
        db_table = "event_position"
        default_permissions = ()
        ordering = [F("position").asc()]

    def __str__(self) -> str:
        return str(self.position)
