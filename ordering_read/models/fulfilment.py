"""The read model of the warehouse's work: one row per order, in the queue while units are left."""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from ordering_read.models.stream_row import StreamRow
from ordering_write.published import OrderStatus


class QueuedOrder(StreamRow):
    """What is left to be packed and dispatched of an order.

    The row stays when nothing is left; ``units`` is 0 then, and no index of the queue has it.
    """

    projection_name: ClassVar[str] = "fulfilment_queue"

    order_id = models.UUIDField()
    order_number = models.CharField(max_length=20)
    placed_at = models.DateTimeField()
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in OrderStatus])
    hold_reason = models.CharField(max_length=20, blank=True)
    balance = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    authorized = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    assigned_to = models.CharField(max_length=150, blank=True, help_text="Who answers for it.")
    city = models.TextField()
    postal_code = models.TextField(blank=True)
    country = models.TextField()
    lines = models.JSONField(
        default=dict, help_text="By id: product_id, sku, name, and the units open and packed."
    )
    open_products = ArrayField(
        models.UUIDField(), default=list, help_text="Of which units are to be packed yet."
    )
    open_units = models.PositiveIntegerField(default=0, help_text="To be packed yet.")
    packed_units = models.PositiveIntegerField(default=0, help_text="In parcels that are here.")
    units = models.PositiveIntegerField(default=0, help_text="Open and packed.")

    class Meta:
        db_table = "fulfilment_queue"
        default_permissions = ()
        verbose_name = "order in the queue"
        verbose_name_plural = "fulfilment queue"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "order_id"], name="fulfilment_queue_order_unique"
            ),
        ]
        indexes = [
            models.Index(
                fields=["projection", "placed_at", "order_id"],
                condition=Q(units__gt=0),
                name="fulfilment_queue_oldest",
            ),
            models.Index(
                fields=["projection", "units", "order_id"],
                condition=Q(units__gt=0),
                name="fulfilment_queue_by_units",
            ),
        ]

    def __str__(self) -> str:
        return self.order_number

    def count(self) -> None:
        """Sum up the lines."""
        lines: list[dict[str, Any]] = list(self.lines.values())
        self.open_units = sum(line["open"] for line in lines)
        self.packed_units = sum(line["packed"] for line in lines)
        self.units = self.open_units + self.packed_units
        self.open_products = sorted({line["product_id"] for line in lines if line["open"]})
