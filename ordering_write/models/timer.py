"""The timers: actions that policies have yet to take."""

from django.db import models
from django.db.models import Q


class Timer(models.Model):
    """An action of a policy about an event, due at a time, which may be at once.

    The row is inserted in the transaction in which the checkpoint passes the event, and deleted
    after the action; the row of a skipped action stays parked. The row names the event and holds
    none of its fields, so that no personal data are kept here.
    """

    id = models.UUIDField(
        primary_key=True, help_text="Derived from event and policy: one timer for both."
    )
    policy = models.CharField(max_length=40)
    stream = models.CharField(max_length=60)
    event_id = models.UUIDField()
    position = models.BigIntegerField(help_text="The position of the event in the log.")
    due_at = models.DateTimeField()
    leased_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The time until which the timer belongs to a worker or pauses.",
    )
    tries = models.PositiveSmallIntegerField(default=0, help_text="The number of failed tries.")
    error = models.TextField(blank=True, help_text="Why the last try failed.")
    parked_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the timer was parked; empty while the timer is tried.",
    )
    skipped_at = models.DateTimeField(
        null=True, blank=True, help_text="When an operator skipped the timer for good."
    )
    # With defaults in the table, since workers of the previous release may still set timers.
    skipped_by = models.CharField(max_length=200, blank=True, default="", db_default="")
    skip_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        db_table = "policy_timer"
        default_permissions = ()
        ordering = ["due_at", "position"]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(parked_at=None), name="policy_timer_due_index"
            ),
            models.Index(
                fields=["parked_at"],
                condition=Q(parked_at__isnull=False, skipped_at=None),
                name="policy_timer_parked_index",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.id} ({self.stream})"
