"""The read models of orders: one row per order, and one per line."""

from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Collate, Upper

from ordering_read.models.base import ReadModel
from ordering_read.models.stream_row import StreamRow
from ordering_write.published import OrderStatus

_MONEY: dict[str, Any] = {"max_digits": 19, "decimal_places": 4}


class OrderSummary(StreamRow):
    """An order as lists and pages show it."""

    projection_name: ClassVar[str] = "order_view"

    order_id = models.UUIDField(db_column="id", verbose_name="id")
    order_number = models.CharField(max_length=20)
    customer_id = models.UUIDField()
    customer_name = models.CharField(
        max_length=200, help_text="As it was when the order was placed."
    )
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in OrderStatus])
    total_amount = models.DecimalField(**_MONEY)
    balance = models.DecimalField(help_text="What is owed.", **_MONEY)
    currency = models.CharField(max_length=3)
    item_count = models.PositiveIntegerField(default=0, help_text="Number of lines.")
    unit_count = models.PositiveIntegerField(default=0, help_text="Units ordered in all lines.")
    external_reference = models.CharField(max_length=100, blank=True)
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    shipping_address = models.JSONField()
    billing_address = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "order_summary"
        default_permissions = ()
        verbose_name = "order"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "order_id"], name="order_summary_id_unique"
            ),
            models.UniqueConstraint(
                fields=["projection", "order_number"], name="order_summary_number_unique"
            ),
        ]
        # Each ends with the id, which decides between orders of the same moment.
        indexes = [
            models.Index(
                "projection",
                models.F("created_at").desc(),
                models.F("order_id").desc(),
                name="order_summary_newest",
            ),
            models.Index(
                "projection",
                "customer_id",
                models.F("created_at").desc(),
                models.F("order_id").desc(),
                name="order_summary_of_customer",
            ),
            models.Index(
                "projection",
                "status",
                models.F("created_at").desc(),
                models.F("order_id").desc(),
                name="order_summary_in_status",
            ),
            # Serves a search by the beginning: in the collation "C" that is a range.
            models.Index(
                "projection",
                Collate(Upper("customer_name"), "C"),
                name="order_summary_by_customer_name",
            ),
        ]

    def __str__(self) -> str:
        return self.order_number


class OrderLine(ReadModel):
    """A line of an order."""

    projection_name: ClassVar[str] = "order_view"

    order_id = models.UUIDField()
    line_id = models.UUIDField()
    number = models.PositiveIntegerField(help_text="Its place in the order: 1, 2, 3 and so on.")
    product_id = models.UUIDField()
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(**_MONEY)
    line_total = models.DecimalField(**_MONEY)

    class Meta:
        db_table = "order_line_view"
        default_permissions = ()
        verbose_name = "order line"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "order_id", "line_id"], name="order_line_view_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"
