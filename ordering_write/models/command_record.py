"""Which commands have taken effect, so that none does twice; and how many ended how."""

from django.db import models


class CommandRecord(models.Model):
    """A command that took effect. It commits together with its events; a refusal leaves none."""

    command_id = models.UUIDField(primary_key=True)
    type = models.CharField(max_length=60)
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 of what was asked for; another one is another command."
    )
    user_id = models.UUIDField()
    actor = models.JSONField()
    channel = models.CharField(max_length=10)
    answer = models.TextField(
        blank=True, help_text="What a client was told, for when it sends the same again."
    )
    recorded_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "command_record"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.type} {self.command_id}"


class CommandTally(models.Model):
    """How many commands of one type have ended in one way, and how long they took together."""

    type = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10)
    reason = models.CharField(
        max_length=60, blank=True, help_text="The error with which they were refused or failed."
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
