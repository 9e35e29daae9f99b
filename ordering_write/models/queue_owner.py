"""The read sites that use the queues of this write side."""

from django.db import models
from django.db.models.functions import Now


class QueueOwner(models.Model):
    """The read database whose workers take the tasks of a queue, and their last sign of life."""

    queue = models.CharField(max_length=100, primary_key=True)
    read_database = models.CharField(
        max_length=300, help_text="The server, name and schema of the read database."
    )
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "queue_owner"
        default_permissions = ()

    def __str__(self) -> str:
        return self.queue
