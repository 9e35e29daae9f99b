"""The checkpoints of the projections, which own the rows of the read models, and the workers."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ordering_write.published import Checkpoint


class Projection(Checkpoint):
    """One generation of a projection: how far it has read, and the owner of the rows it wrote.

    Readers are served the rows of the live generation. A rebuild fills the next one, promotes it
    and retires the former, whose rows stay until the rebuild after that.
    """

    class Status(models.TextChoices):
        LIVE = "live"
        BUILDING = "building"
        RETIRED = "retired"

    name = models.CharField(max_length=60)
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(help_text="Of the code that made the rows.")
    status = models.CharField(max_length=10, choices=Status)
    late_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when it has been late; empty when it isn't."
    )

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
