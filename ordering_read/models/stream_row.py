"""What the read models share that have one row per stream."""

from django.db import models

from ordering_read.models.base import ReadModel


class StreamRow(ReadModel):
    """A row that shows one stream, as it was after the stream's event number ``version``."""

    updated_at = models.DateTimeField(help_text="When the latest of its events happened.")
    version = models.PositiveIntegerField(default=0, help_text="Number of events in its stream.")
    position = models.BigIntegerField(help_text="Where its last event stands in the log.")

    class Meta:
        abstract = True
