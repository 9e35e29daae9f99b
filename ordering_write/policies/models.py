"""The checkpoint and the parked events of the policies."""

from django.db import models
from django.db.models import Q

from ordering_write.subscriptions.checkpoint import Checkpoint, ParkedEvent


class PolicyCheckpoint(Checkpoint):
    """The position of the policies in the log; one row for all policies."""

    name = models.CharField(max_length=20, unique=True)

    class Meta:
        db_table = "policy_checkpoint"
        default_permissions = ()

    def __str__(self) -> str:
        return f"the {self.name}"


class PolicyParkedEvent(ParkedEvent):
    """An event on which a policy fails, or that waits behind such an event."""

    checkpoint = models.ForeignKey(
        PolicyCheckpoint, on_delete=models.CASCADE, related_name="parked_events"
    )

    class Meta:
        db_table = "policy_parked_event"
        default_permissions = ()
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint", "event_id"], name="policy_parked_event_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["checkpoint", "stream", "version"],
                condition=Q(skipped_at=None),
                name="policy_parked_event_waiting",
            )
        ]
