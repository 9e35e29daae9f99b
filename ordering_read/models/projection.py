"""The checkpoints of the projections, which own the rows of the read models, and the workers."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ordering_write.published import Checkpoint


class Projection(Checkpoint):
    """One generation of a projection: how far it has read, and the owner of the rows it wrote.

    Readers are served the rows of the live generation. A rebuild fills the next one, promotes it
    and retires the former, which the workers keep up to date too, so that it can come back. A
    scratch generation is made to be compared, and deleted; one that is discarded is being deleted.
    """

    can_be_repeated = True

    class Status(models.TextChoices):
        LIVE = "live"
        BUILDING = "building"
        RETIRED = "retired"
        SCRATCH = "scratch"
        DISCARDED = "discarded"

    class Wish(models.TextChoices):
        """What a rebuild that runs is asked to do after the batch that it is at."""

        PAUSE = "pause"
        CANCEL = "cancel"

    name = models.CharField(max_length=60)
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(help_text="Of the code that made the rows.")
    status = models.CharField(max_length=10, choices=Status)
    late_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it has been late; empty when it isn't."
    )
    definition = models.CharField(
        max_length=64, blank=True, help_text="A hash of the code that made the rows."
    )
    filled_until = models.BigIntegerField(
        default=0, help_text="The position up to which it was first filled, by slices."
    )
    events_total = models.BigIntegerField(default=0, help_text="Events that fill it.")
    events_done = models.BigIntegerField(default=0, help_text="Of these, how many were applied.")
    events_per_second = models.FloatField(null=True, blank=True)
    asked_to = models.CharField(max_length=10, choices=Wish, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "projection"
        default_permissions = ()
        ordering = ["name", "generation"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "generation"], name="projection_generation_unique"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(status="live"), name="projection_one_live"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(status="building"), name="projection_one_building"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}, generation {self.generation}"


class FillSlice(models.Model):
    """How far one slice of a generation is filled; it moves in the transaction of the rows."""

    projection = models.ForeignKey(Projection, on_delete=models.CASCADE, related_name="slices")
    number = models.PositiveIntegerField()
    last_stream = models.CharField(max_length=60, blank=True, help_text="Where the slice ends.")
    stream = models.CharField(max_length=60, blank=True, help_text="That of the last event.")
    version = models.PositiveIntegerField(default=0, help_text="That of the last event.")
    position = models.BigIntegerField(default=0, help_text="Where rows mix streams.")
    events = models.BigIntegerField(default=0, help_text="How many events were applied.")
    starts = models.PositiveIntegerField(
        default=0, help_text="Starts on the next events of which no process has come back."
    )
    alone = models.PositiveIntegerField(
        default=0, help_text="Events that are tried one by one, since processes were killed."
    )
    is_done = models.BooleanField(default=False)

    class Meta:
        db_table = "fill_slice"
        default_permissions = ()
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["projection", "number"], name="fill_slice_unique")
        ]

    def __str__(self) -> str:
        return f"{self.projection}, slice {self.number}"


class Worker(models.Model):
    """A cluster of workers that was seen alive."""

    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "worker"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["host", "pid"], name="worker_unique")]

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"
