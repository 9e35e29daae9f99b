"""The read model of the stock ledger: one row per movement."""

from typing import ClassVar

from django.db import models

from ordering_read.models.base import ReadModel


class StockMovement(ReadModel):
    """A change of the units of a product that are on hand or reserved."""

    projection_name: ClassVar[str] = "stock_ledger"

    class Kind(models.TextChoices):
        RECEIVED = "received"
        RESERVED = "reserved"
        RELEASED = "released"
        DISPATCHED = "dispatched"
        RETURNED = "returned"
        ADJUSTED = "adjusted"

    product_id = models.UUIDField()
    version = models.PositiveIntegerField(help_text="The event's number in the product's stream.")
    at = models.DateTimeField("time", help_text="When the event happened.")
    kind = models.CharField(max_length=10, choices=Kind)
    delta = models.BigIntegerField(help_text="Change of the units on hand.")
    reserved_delta = models.BigIntegerField(help_text="Change of the units reserved.")
    on_hand = models.BigIntegerField(help_text="After the movement.")
    reserved = models.BigIntegerField(help_text="After the movement.")
    available = models.BigIntegerField(help_text="After the movement: on hand and not reserved.")
    reference = models.TextField(blank=True)
    reason = models.CharField(max_length=20, blank=True, help_text="Why stock was adjusted.")
    comment = models.TextField(blank=True, help_text="The comment on an adjustment.")
    order_id = models.UUIDField(null=True, blank=True)
    actor = models.TextField()
    event_id = models.UUIDField()
    position = models.BigIntegerField(help_text="The event's position in the log.")

    class Meta:
        db_table = "stock_ledger"
        default_permissions = ()
        verbose_name = "stock movement"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "product_id", "version"], name="stock_ledger_unique"
            ),
        ]
        indexes = [
            models.Index("projection", models.F("position").desc(), name="stock_ledger_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {max(abs(self.delta), abs(self.reserved_delta))}"
