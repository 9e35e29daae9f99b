"""The read model of an order's story: one row per event."""

from typing import ClassVar

from django.db import models

from ordering_read.models.base import ReadModel


class TimelineEntry(ReadModel):
    """What an event of an order means to people."""

    projection_name: ClassVar[str] = "order_timeline"

    class Visibility(models.TextChoices):
        INTERNAL = "internal"
        CUSTOMER = "customer"

    class Icon(models.TextChoices):
        """What a screen shows it by."""

        ORDER = "order"
        LINE = "line"
        MONEY = "money"
        PARCEL = "parcel"
        RETURN = "return"
        HOLD = "hold"
        NOTE = "note"
        TAG = "tag"
        PERSON = "person"
        ADDRESS = "address"

    order_id = models.UUIDField()
    customer_id = models.UUIDField()
    version = models.PositiveIntegerField(help_text="Its number in the order's stream.")
    at = models.DateTimeField(help_text="When it happened.")
    sentence = models.TextField()
    customer_sentence = models.TextField(
        blank=True, help_text="The sentence for the customer; empty when it is internal."
    )
    visibility = models.CharField(max_length=8, choices=Visibility)
    icon = models.CharField(max_length=10, choices=Icon)
    about_id = models.UUIDField(
        null=True, blank=True, help_text="The line or the note that it tells of first."
    )
    about_name = models.CharField(
        max_length=200, blank=True, help_text="What the product of that line is called."
    )
    actor = models.TextField()
    channel = models.CharField(max_length=10)
    type = models.CharField(max_length=60)
    event_id = models.UUIDField()
    position = models.BigIntegerField(help_text="Where the event stands in the log.")

    class Meta:
        db_table = "order_timeline"
        default_permissions = ()
        verbose_name = "timeline entry"
        verbose_name_plural = "timeline entries"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "order_id", "version"], name="order_timeline_unique"
            ),
        ]
        indexes = [
            models.Index("projection", models.F("position").desc(), name="order_timeline_newest"),
        ]

    def __str__(self) -> str:
        return self.sentence
