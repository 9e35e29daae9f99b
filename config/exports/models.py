"""The tables of exports: one row per export, and the parts of its file."""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Export(models.Model):
    """An export of a list: who asked for it, when, with which filters, and how far it is.

    The row stays after the file is deleted, as the record of who took which data.
    """

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        JSON_LINES = "jsonl", "JSON Lines"

    class State(models.TextChoices):
        WAITING = "waiting", "waiting for a worker"
        RUNNING = "running", "being written"
        READY = "ready", "ready"
        SENT = "sent", "sent at once"
        FAILED = "failed", "failed"
        EXPIRED = "expired", "file deleted"

    id = models.UUIDField(primary_key=True, default=uuid4)
    list_name = models.CharField(max_length=40, verbose_name="list")
    format = models.CharField(max_length=10, choices=Format)
    query = models.TextField(
        blank=True,
        help_text="The filters and the ordering, as in the address of the list. Searched texts are "
        "removed when the file is deleted.",
        verbose_name="filters",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Empty for a command of the shell.",
    )
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), verbose_name="requested")
    state = models.CharField(max_length=10, choices=State)
    attempt = models.PositiveIntegerField(
        default=0, help_text="The number of times that a worker has begun."
    )
    progress_at = models.DateTimeField(
        null=True, help_text="The time of the last progress, by which a killed worker is noticed."
    )
    rows_done = models.PositiveBigIntegerField(default=0, verbose_name="rows")
    rows_total = models.PositiveBigIntegerField(null=True)
    position = models.PositiveBigIntegerField(
        null=True, help_text="The position of the log that the rows show."
    )
    file_name = models.CharField(max_length=120, blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="In bytes.")
    error = models.TextField(blank=True)

    class Meta:
        db_table = "export"
        default_permissions = ()
        verbose_name = "export"
        indexes = [
            models.Index("user", models.F("created_at").desc(), name="export_of_user"),
            models.Index(models.F("created_at").desc(), "id", name="export_newest"),
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=("waiting", "running", "ready")),
                name="export_with_work",
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or f"{self.list_name} of {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_at_work(self) -> bool:
        """True while the file isn't written."""
        return self.state in (self.State.WAITING, self.State.RUNNING)


class ExportPart(models.Model):
    """A part of the file of an export.

    Parts of an earlier ``attempt``, whose worker was killed, are never sent.
    """

    export = models.ForeignKey(Export, on_delete=models.CASCADE, related_name="parts")
    attempt = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        db_table = "export_part"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["export", "attempt", "number"], name="export_part_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.number} of {self.export_id}"
