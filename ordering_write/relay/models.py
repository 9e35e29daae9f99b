"""The position of the relay in the log."""

from django.db import models

from ordering_write.subscriptions.checkpoint import Checkpoint, ParkedEvent


class RelayCheckpoint(Checkpoint):
    """The position up to which the stream has the log, by the name of the system it is on.

    The stream itself is what counts: a relay that connects takes the position from its end.
    """

    name = models.CharField(max_length=20, unique=True)

    class Meta:
        db_table = "relay_checkpoint"
        default_permissions = ()

    def __str__(self) -> str:
        return f"the relay {self.name}"


class RelayParkedEvent(ParkedEvent):
    """No row: a subscription needs this table, but a relay that can't publish an event stops."""

    checkpoint = models.ForeignKey(
        RelayCheckpoint, on_delete=models.CASCADE, related_name="parked_events"
    )

    class Meta:
        db_table = "relay_parked_event"
        default_permissions = ()
        ordering = ["id"]
