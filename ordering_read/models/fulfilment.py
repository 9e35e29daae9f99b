"""The read model of the fulfilment queue: one row per order."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from ordering_read.documents import QueuedLine
from ordering_read.models.stream_row import StreamRow
from ordering_write.published import OrderStatus


class QueuedOrder(StreamRow):
    """The units of an order that are yet to be packed or dispatched.

    The row stays when no units are left. ``units`` is 0 then, and the indexes of the queue leave
    the row out.
    """

    projection_name: ClassVar[str] = "fulfilment_queue"
    documents = {"lines": dict[UUID, QueuedLine]}

    order_id = models.UUIDField()
    order_number = models.CharField(max_length=20)
    placed_at = models.DateTimeField()
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in OrderStatus])
    hold_reason = models.CharField(max_length=20, blank=True)
    balance = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    authorized = models.DecimalField(max_digits=19, decimal_places=4, default=0)
    assigned_to = models.CharField(
        max_length=150, blank=True, help_text="The user who is responsible."
    )
    city = models.TextField()
    postal_code = models.TextField(blank=True)
    country = models.TextField()
    lines = models.JSONField(
        default=dict, help_text="By line id: product_id, sku, name, and the units open and packed."
    )
    open_products = ArrayField(
        models.UUIDField(), default=list, help_text="The products with open units."
    )
    open_units = models.PositiveIntegerField(default=0, help_text="Units yet to be packed.")
    packed_units = models.PositiveIntegerField(
        default=0, help_text="Units in parcels that haven't left."
    )
    units = models.PositiveIntegerField(default=0, help_text="Open and packed units.")

    class Meta:
        db_table = "fulfilment_queue"
        default_permissions = ()
        verbose_name = "order to pack and dispatch"
        verbose_name_plural = "orders to pack and dispatch"
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

    def count_units(self) -> None:
        """Set the columns that sum up ``lines``."""
        lines: list[dict[str, Any]] = list(self.lines.values())
        self.open_units = sum(line["open"] for line in lines)
        self.packed_units = sum(line["packed"] for line in lines)
        self.units = self.open_units + self.packed_units
        self.open_products = sorted({line["product_id"] for line in lines if line["open"]})
