"""The stored state of a subscriber: its checkpoint in the log, and the events it has parked."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.dispatch import Signal
from uuid_utils.compat import uuid7

from config.databases.quick_model import QuickModel
from ordering_write import log

# Sent in the transaction that moves checkpoints, before its commit; the sender is their class. No
# arguments.
checkpoints_moved = Signal()


class CrashSuspicion(models.IntegerChoices):
    """The suspicion of a checkpoint that applying its next events kills the process.

    No exception reports such a death. A lease that was never given back raises the suspicion, and
    the next runner counts its start in a transaction of its own. When that runner is lost too, the
    events of its batch are isolated: applied one by one, each start counted, until an event kills
    again.
    """

    NONE = 0, "no runner was lost"
    SUSPECTED = 1, "a runner that had leased the checkpoint was lost"
    PROBING = 2, "a runner has counted its start since then"
    CONFIRMED = 3, "that runner was lost too"


class Checkpoint(QuickModel):
    """The position of a subscriber in the log. The row is in the database of its effects.

    Concrete classes add ``name``, the name of the subscriber. ``repeatable`` is True when all
    effects follow from the log and are seen nowhere else: the database then commits without
    waiting for its disk, since a crash loses the last effects together with the checkpoint's move.
    """

    repeatable: ClassVar[bool] = False

    position = models.BigIntegerField(default=0, help_text="The last position that was applied.")
    event_id = models.UUIDField(null=True, blank=True, help_text="The event at that position.")
    log_id = models.UUIDField(null=True, blank=True, help_text="The log that was read.")
    updated_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The time until which the checkpoint belongs to one runner.",
    )
    error = models.TextField(
        blank=True, help_text="Why the subscriber has failed; empty otherwise."
    )
    failed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the subscriber began to fail."
    )
    late_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when the subscriber is late; empty otherwise."
    )
    batches = models.BigIntegerField(default=0, help_text="The number of applied batches.")
    batch_seconds = models.FloatField(
        default=0, help_text="The time that all batches took together, in seconds."
    )
    last_batch_seconds = models.FloatField(default=0)
    parked_streams = models.PositiveIntegerField(
        default=0, help_text="The number of streams with an event that can't be applied."
    )
    # The two columns keep the names that they had in earlier releases.
    crash_suspicion = models.PositiveSmallIntegerField(
        choices=CrashSuspicion, default=CrashSuspicion.NONE, db_column="start"
    )
    isolate_until = models.BigIntegerField(
        default=0,
        db_column="alone_until",
        help_text="Events up to this position are applied one by one, since runners were killed.",
    )

    class Meta:
        abstract = True

    @property
    def streams(self) -> log.Slice:
        """The slice of the log that is read from the checkpoint."""
        return log.ALL_STREAMS

    @property
    def isolated(self) -> bool:
        """Return True if the next event is applied alone."""
        return self.position < self.isolate_until


class ParkedEvent(models.Model):
    """An event that a subscriber can't apply, that waits behind such an event, or that was skipped.

    Concrete classes add ``checkpoint``, a foreign key to the subscriber's checkpoint with the
    related name "parked_events". A row is deleted once its event is applied; rows of skipped events
    stay.
    """

    class Category(models.TextChoices):
        """The reason why an event isn't applied."""

        UNKNOWN_TYPE = "unknown-type", "its type is unknown"
        UNDECODABLE = "undecodable", "it can't be read"
        PROJECTION_ERROR = "projection-error", "applying it failed"
        CRASH = "crash", "applying it killed the process"
        WAITING = "waiting", "an earlier event of its stream"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event_id = models.UUIDField(db_index=True)
    stream = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    position = models.BigIntegerField()
    type = models.CharField(max_length=60)
    category = models.CharField(
        max_length=20, choices=Category, help_text="The reason why the event is parked."
    )
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    parked_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveIntegerField(default=0, help_text="The number of tries.")
    tried_at = models.DateTimeField(null=True, blank=True, help_text="The time of the last try.")
    skipped_at = models.DateTimeField(null=True, blank=True)
    skipped_by = models.CharField(max_length=200, blank=True)
    skip_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.type} {self.event_id} ({self.stream}, version {self.version})"
