"""The base class of the read models that have one row per stream."""

from django.db import models

from ordering_read.models.base import ReadModel


class StreamRow(ReadModel):
    """A row that shows the state of one stream after its event number ``version``."""

    updated_at = models.DateTimeField(help_text="When the latest event of the stream happened.")
    version = models.PositiveIntegerField(
        default=0, help_text="The number of events in the stream."
    )
    position = models.BigIntegerField(
        help_text="The position of the stream's last event in the log."
    )

    class Meta:
        abstract = True
