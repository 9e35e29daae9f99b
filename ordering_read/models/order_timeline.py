"""The read model of the order history: one row per event."""

from typing import ClassVar

from django.db import models

from ordering_read.models.base import ReadModel


class TimelineEntry(ReadModel):
    """An event of an order as a sentence for people."""

    projection_name: ClassVar[str] = "order_timeline"

    class Visibility(models.TextChoices):
        INTERNAL = "internal"
        CUSTOMER = "customer"

    class Icon(models.TextChoices):
        """The icon of an entry on screens."""

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
    version = models.PositiveIntegerField(help_text="The event's number in the order's stream.")
    at = models.DateTimeField("time", help_text="When the event happened.")
    sentence = models.TextField()
    customer_sentence = models.TextField(
        blank=True, help_text="The sentence for the customer; empty for an internal entry."
    )
    visibility = models.CharField(max_length=8, choices=Visibility)
    icon = models.CharField(max_length=10, choices=Icon)
    about_id = models.UUIDField(
        null=True, blank=True, help_text="The line or note that the event has added."
    )
    about_name = models.CharField(
        max_length=200, blank=True, help_text="The product name of that line."
    )
    actor = models.TextField()
    channel = models.CharField(max_length=10)
    type = models.CharField(max_length=60)
    event_id = models.UUIDField()
    position = models.BigIntegerField(help_text="The event's position in the log.")

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
