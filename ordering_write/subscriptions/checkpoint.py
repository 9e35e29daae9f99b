"""What a subscriber of the log keeps: how far it has read, and what it couldn't apply."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now
from django.dispatch import Signal
from uuid_utils.compat import uuid7

# After the commit in which checkpoints moved; the sender is their class. No arguments.
checkpoints_moved = Signal()


class Start(models.IntegerChoices):
    """What became of the runners that were to apply the next events.

    An event can kill whoever applies it. Of that no exception tells, so a start is counted, in a
    transaction of its own, once a runner hasn't come back. When that start is lost too, the events
    of the batch are tried one by one, each start counted, until the one is found that kills.
    """

    FIRST = 0, "nothing is known of a runner that was lost"
    LOST = 1, "a runner that was given them did not come back"
    COUNTED = 2, "a runner has started after that"
    KILLED = 3, "it did not come back either"


class Checkpoint(models.Model):
    """How far a subscriber has read. It lives in the database that holds what the subscriber
    does.

    ``can_be_repeated`` says that all it does follows from the log and is seen nowhere else: when a
    crash of the database loses the last of it, together with the move of the checkpoint, it is done
    again. Nobody waits for the disk then.
    """

    can_be_repeated: ClassVar[bool] = False

    position = models.BigIntegerField(default=0, help_text="The last position that was applied.")
    event_id = models.UUIDField(null=True, blank=True, help_text="The event at that position.")
    log_id = models.UUIDField(null=True, blank=True, help_text="The log that was read.")
    updated_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then a runner is taken to be at it."
    )
    error = models.TextField(blank=True, help_text="Why it can't go on; empty when it can.")
    failed_at = models.DateTimeField(null=True, blank=True, help_text="When it began to fail.")
    batches = models.BigIntegerField(default=0, help_text="How many batches were applied.")
    batch_seconds = models.FloatField(default=0, help_text="How long they took together.")
    last_batch_seconds = models.FloatField(default=0)
    parked_streams = models.PositiveIntegerField(
        default=0, help_text="How many streams are held up by an event that can't be applied."
    )
    start = models.PositiveSmallIntegerField(choices=Start, default=Start.FIRST)
    alone_until = models.BigIntegerField(
        default=0, help_text="Up to here events are tried one by one, since runners were killed."
    )

    class Meta:
        abstract = True

    @property
    def goes_alone(self) -> bool:
        return self.position < self.alone_until


class ParkedEvent(models.Model):
    """An event that a subscriber can't apply, or that waits behind such a one, or was skipped.

    Concrete classes add ``checkpoint``, the foreign key to the checkpoint of their subscriber, with
    the related name "parked_events". Rows of what was applied in the end are deleted; those of
    skipped events stay.
    """

    class Category(models.TextChoices):
        """What keeps an event from being applied."""

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
    category = models.CharField(max_length=20, choices=Category, help_text="What it is held up by.")
    message = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    parked_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveIntegerField(default=0, help_text="How often it was tried.")
    tried_at = models.DateTimeField(null=True, blank=True, help_text="When it was last tried.")
    skipped_at = models.DateTimeField(null=True, blank=True)
    skipped_by = models.CharField(max_length=200, blank=True)
    skip_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.type} {self.event_id} ({self.stream}, version {self.version})"
