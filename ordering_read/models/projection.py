"""The checkpoints of the projections, which own the rows of the read models, and the workers."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ordering_write.published import Checkpoint, Slice


class Projection(Checkpoint):
    """One generation of a projection: its checkpoint, and the owner of the rows it wrote.

    Readers see the rows of the live generation. A rebuild fills the next generation,
    promotes it and retires the former one, which the workers keep up to date for a rollback. A
    shadow generation is compared with the live one and deleted. A discarded generation is being
    deleted, batch by batch.

    The row of a generation is its only checkpoint, or that of its first slice. Each further slice
    has a row of the status SLICE, which owns no rows: they belong to its ``owner``, the generation.
    """

    repeatable = True

    class Status(models.TextChoices):
        LIVE = "live"
        BUILDING = "building"
        RETIRED = "retired"
        SHADOW = "scratch"
        DISCARDED = "discarded"
        SLICE = "slice"

    class RebuildRequest(models.TextChoices):
        """A request that a running rebuild obeys after its batch."""

        PAUSE = "pause"
        CANCEL = "cancel"

    class FillSource(models.TextChoices):
        """The places that slices read events from."""

        LOG = ""
        ARCHIVE = "archive"
        STREAM = "stream"

    name = models.CharField(max_length=60)
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(help_text="The version of the code that made the rows.")
    status = models.CharField(max_length=10, choices=Status)
    code_fingerprint = models.CharField(
        max_length=64,
        blank=True,
        db_column="definition",
        help_text="A hash of the code that made the rows.",
    )
    filled_until = models.BigIntegerField(
        default=0, help_text="The position up to which slices fill the generation."
    )
    fill_source = models.CharField(
        max_length=10,
        choices=FillSource,
        blank=True,
        default="",
        db_default="",
        help_text="Where slices read the events from.",
    )
    events_total = models.BigIntegerField(
        default=0, help_text="The number of events to apply in the rebuild."
    )
    events_done = models.BigIntegerField(
        default=0, help_text="The number of events that the rebuild has applied."
    )
    events_per_second = models.FloatField(null=True, blank=True)
    rebuild_request = models.CharField(
        max_length=10,
        choices=RebuildRequest,
        blank=True,
        db_column="asked_to",
        help_text="The request that the running rebuild obeys after its batch.",
    )
    retired_at = models.DateTimeField(null=True, blank=True)
    outdated_at = models.DateTimeField(
        null=True, blank=True, help_text="The time of the report that the rows are outdated."
    )
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="The end of the last comparison with other rows."
    )
    wrong_rows = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="The rows that differed; empty if the rows couldn't be compared.",
    )
    verification = models.TextField(
        blank=True, default="", db_default="", help_text="The result of that comparison."
    )

    owner = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="further_slices",
        help_text="The generation of a further slice; empty for a generation.",
    )
    slice_number = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="The slice of the streams that is read, from 0 on."
    )
    slice_count = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="The number of slices of the generation."
    )

    class Meta:
        db_table = "projection"
        default_permissions = ()
        ordering = ["name", "generation", "slice_number"]
        constraints = [
            models.UniqueConstraint(
                fields=["name", "generation", "slice_number"], name="projection_slice_unique"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(status="live"), name="projection_one_live"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(status="building"), name="projection_one_building"
            ),
        ]

    def __str__(self) -> str:
        text = f"{self.name}, generation {self.generation}"
        if self.owner_id is None:
            return text
        return f"{text}, slice {self.slice_number + 1} of {self.slice_count}"

    @property
    def streams(self) -> Slice:
        return Slice(self.slice_number, self.slice_count)

    @property
    def owner_pk(self) -> int:
        """The key of the generation, which owns the rows."""
        return self.owner_id or self.pk

    def checkpoints(self) -> "models.QuerySet[Projection]":
        """Return the checkpoints of the generation, by slice."""
        rows = Projection.objects.filter(Q(pk=self.owner_pk) | Q(owner=self.owner_pk))
        return rows.order_by("slice_number")

    def lock_checkpoints(self) -> "list[Projection]":
        """Lock the checkpoints of the generation until the end of the transaction; return them."""
        return list(self.checkpoints().select_for_update())

    @property
    def is_live(self) -> bool:
        """True if the rows are served to readers; reads the generation of a further slice."""
        return (self.owner or self).status == self.Status.LIVE


def of_live_generations(prefix: str = "") -> Q:
    """Return the condition for the checkpoints of live generations, all slices of them.

    ``prefix`` is the path to the checkpoint, such as ``checkpoint__``.
    """
    live = Projection.Status.LIVE
    return Q(**{f"{prefix}status": live}) | Q(**{f"{prefix}owner__status": live})


class FillSlice(models.Model):
    """The progress of one slice of a rebuild; it commits together with the rows."""

    projection = models.ForeignKey(Projection, on_delete=models.CASCADE, related_name="slices")
    number = models.PositiveIntegerField()
    last_stream = models.CharField(max_length=60, blank=True, help_text="The end of the slice.")
    stream = models.CharField(max_length=60, blank=True, help_text="The stream of the last event.")
    version = models.PositiveIntegerField(default=0, help_text="The version of the last event.")
    position = models.BigIntegerField(
        default=0, help_text="The position of the last event, where rows mix streams."
    )
    events = models.BigIntegerField(default=0, help_text="The number of events that were applied.")
    starts = models.PositiveIntegerField(
        default=0, help_text="Starts on the next events from which no process has come back."
    )
    isolated = models.PositiveIntegerField(
        default=0,
        db_column="alone",
        help_text="The number of next events to apply one by one, since processes were killed.",
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
    """A cluster of workers that has sent a heartbeat."""

    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "worker"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["host", "pid"], name="worker_unique")]

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"
