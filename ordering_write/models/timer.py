"""The timers: what the policies have yet to do."""

from django.db import models
from django.db.models import Q


class Timer(models.Model):
    """What a policy has to do about an event at a time, which may be at once.

    The row is made in the transaction in which the checkpoint passes the event, and deleted when it
    is done; that of a skipped one stays parked. It names the event and nothing of it, so that
    nothing personal is kept here.
    """

    id = models.UUIDField(
        primary_key=True, help_text="Made of the event and the policy, so that there is only one."
    )
    policy = models.CharField(max_length=40)
    stream = models.CharField(max_length=60)
    event_id = models.UUIDField()
    position = models.BigIntegerField(help_text="Of the event, in the log.")
    due_at = models.DateTimeField()
    leased_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then somebody is at it, or it waits for a new try."
    )
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often it was tried in vain.")
    error = models.TextField(blank=True, help_text="Why the last try failed.")
    parked_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was given up, until somebody has it tried again."
    )
    skipped_at = models.DateTimeField(
        null=True, blank=True, help_text="When somebody decided that it will never be done."
    )
    # With defaults in the table, since workers of the release before may still set timers.
    skipped_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    skip_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        db_table = "policy_timer"
        default_permissions = ()
        ordering = ["due_at", "position"]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(parked_at=None), name="policy_timer_due_index"
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.id} ({self.stream})"
