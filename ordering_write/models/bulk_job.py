"""The bulk jobs: commands about many orders that a person gives at once."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class BulkJob(models.Model):
    """A request of ``user`` to give commands about many orders, one item for each.

    A job is first checked by dry runs. Once its user confirms it, the commands are given.
    """

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    title = models.CharField(max_length=100, help_text="The commands, as people read them.")
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, help_text="When the last dry run had ended.")
    confirmed_at = models.DateTimeField(null=True, help_text="When the user agreed.")
    finished_at = models.DateTimeField(null=True, help_text="When no command was left to give.")
    leased_until = models.DateTimeField(
        help_text="The time until which the job belongs to a process, or until which it did."
    )

    class Meta:
        db_table = "bulk_job"
        default_permissions = ()
        indexes = [
            models.Index(fields=["user", "-created_at"], name="bulk_job_of_user"),
            models.Index(
                fields=["created_at"], condition=Q(finished_at=None), name="bulk_job_unfinished"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class BulkItem(models.Model):
    """The commands of a job about one order, and their outcome.

    The commands hold texts that people typed, and are deleted when they have an outcome.
    """

    class Outcome(models.TextChoices):
        """The state of an item: to be checked, ready to be given, or one of four ends."""

        UNCHECKED = ""
        READY = "ready"
        DONE = "done"
        UNCHANGED = "unchanged"
        REFUSED = "refused"
        FAILED = "failed"

    job = models.ForeignKey(BulkJob, models.CASCADE, related_name="items")
    number = models.PositiveIntegerField(help_text="The place of the item in its job, from 0.")
    order_id = models.UUIDField()
    order_number = models.CharField(max_length=20)
    steps = models.JSONField(help_text="The type and the payload of each command, in order.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    reason = models.TextField(blank=True, help_text="Why a command was refused, or failed.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often the item was begun.")

    class Meta:
        db_table = "bulk_item"
        default_permissions = ()
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="bulk_item_number_unique")
        ]

    def __str__(self) -> str:
        return f"{self.order_number}: {self.outcome or 'unchecked'}"
