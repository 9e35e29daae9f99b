"""The records of commands that took effect, and the command metrics."""

from django.db import models
from django.utils.text import camel_case_to_spaces, capfirst

from config.databases.quick_model import QuickModel


class CommandRecord(QuickModel):
    """A command that took effect. It commits together with its events; a refusal leaves none."""

    command_id = models.UUIDField(primary_key=True)
    type = models.CharField(max_length=60)
    fingerprint = models.CharField(
        max_length=64,
        help_text="SHA-256 of type and payload; equal for a repeat.",
    )
    user_id = models.UUIDField()
    actor = models.JSONField()
    channel = models.CharField(max_length=10)
    # The column keeps the name that it had in earlier releases.
    stored_response = models.TextField(
        blank=True,
        db_column="answer",
        help_text="The response to the client, for a repeat with the same key.",
    )
    recorded_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "command_record"
        default_permissions = ()
        verbose_name = "command"

    def __str__(self) -> str:
        return capfirst(camel_case_to_spaces(self.type))


class CommandMetric(models.Model):
    """The number of commands of one type and outcome, and their seconds in all."""

    type = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10)
    reason = models.CharField(
        max_length=60,
        blank=True,
        help_text="The name of the error, if any.",
    )
    count = models.BigIntegerField()
    seconds = models.FloatField()

    class Meta:
        db_table = "command_tally"
        default_permissions = ()
        ordering = ["type", "outcome", "reason"]
        constraints = [
            models.UniqueConstraint(
                fields=["type", "outcome", "reason"], name="command_tally_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.outcome} {self.reason}".rstrip()
