"""The refused attempts to give commands, kept for auditors."""

from django.db import models


class CommandRefusal(models.Model):
    """A command that was refused: who gave it, and why it had no effect.

    The row is inserted after the rollback of the command. It holds ids, and no personal data.
    """

    type = models.CharField(max_length=60)
    reason = models.CharField(max_length=60, help_text="The name of the error.")
    message = models.TextField()
    stream = models.CharField(
        max_length=60, blank=True, help_text="The order, product or customer; empty for a new one."
    )
    user_id = models.UUIDField()
    actor = models.JSONField()
    channel = models.CharField(max_length=10)
    command_id = models.UUIDField(
        null=True, db_index=True, help_text="Empty if no command was read from the request."
    )
    correlation_id = models.UUIDField(
        null=True, db_index=True, help_text="The request that gave the command."
    )
    recorded_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "command_refusal"
        default_permissions = ()
        verbose_name = "refused attempt"
        indexes = [
            models.Index(fields=[column, "recorded_at"], name=f"command_refusal_by_{name}")
            for name, column in {
                "type": "type",
                "reason": "reason",
                "stream": "stream",
                "user": "user_id",
            }.items()
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.reason}"
