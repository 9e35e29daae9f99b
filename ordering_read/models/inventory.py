"""The read models of stock: one row per product, and one per reservation."""

from typing import Any, ClassVar

from django.db import models
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Collate, Upper

from config.fields.text import KEY_LENGTH
from ordering_read.documents import ExpectationView, PriceView
from ordering_read.models.base import KEY_HELP, ReadModel
from ordering_read.models.stream_row import StreamRow
from ordering_write.published import quantize


class InventoryLevel(StreamRow):
    """The stock of a product: on hand, reserved and available."""

    projection_name: ClassVar[str] = "inventory_level"
    documents = {"expected": tuple[ExpectationView, ...], "other_prices": tuple[PriceView, ...]}

    product_id = models.UUIDField()
    sku = models.CharField("SKU", max_length=64)
    sku_key = models.CharField(
        max_length=KEY_LENGTH, blank=True, default="", db_default="", help_text=KEY_HELP
    )
    name = models.CharField(max_length=200)
    on_hand = models.IntegerField()
    reserved = models.IntegerField()
    available = models.IntegerField(help_text="On hand and not reserved; negative when oversold.")
    backordered = models.BigIntegerField(
        default=0, db_default=0, help_text="Reserved units that no stock backs yet."
    )
    expected = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Units expected to come in, the earliest first.",
    )
    list_price = models.DecimalField(max_digits=19, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    other_prices = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="The list prices in other currencies.",
    )
    discontinued_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when no orders of the product are taken."
    )
    tax_class = models.CharField(max_length=40, blank=True, default="", db_default="")
    reorder_point = models.PositiveIntegerField()
    backorderable = models.BooleanField(
        default=False, help_text="True if more units may be sold than are on hand."
    )
    requires_shipping = models.BooleanField(
        default=True,
        db_default=True,
        help_text="False for units that customers pick up or download.",
    )
    is_low = models.BooleanField(
        default=False, help_text="True if the available units don't exceed the reorder point."
    )
    last_movement_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "inventory_level"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "product_id"], name="inventory_level_product_unique"
            ),
            models.UniqueConstraint(
                fields=["projection", "sku"], name="inventory_level_sku_unique"
            ),
        ]
        # The first two are for prefix searches, which are ranges in the collation "C".
        indexes = [
            models.Index("projection", Collate(Upper("sku"), "C"), name="inventory_level_by_sku"),
            models.Index("projection", Collate(Upper("name"), "C"), name="inventory_level_by_name"),
            models.Index(fields=["projection", "sku_key"], name="inventory_level_by_sku_key"),
            models.Index(
                fields=["projection", "sku"],
                condition=Q(is_low=True),
                name="inventory_level_low",
            ),
        ]

    def __str__(self) -> str:
        return self.sku

    @property
    def prices(self) -> list[dict[str, Any]]:
        """The list prices in all currencies, the first one that of ``list_price``."""
        if self.list_price is None:
            return []
        first = {"amount": quantize(self.list_price, self.currency), "currency": self.currency}
        return [first, *self.other_prices]


class StockReservation(ReadModel):
    """Units of a product that are reserved for a line of an order.

    Stock backs the units that aren't ``backordered``. The row is deleted when no unit is reserved
    any more.
    """

    projection_name: ClassVar[str] = "inventory_level"

    product_id = models.UUIDField()
    line_id = models.UUIDField()
    order_id = models.UUIDField()
    quantity = models.PositiveIntegerField()
    backordered = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Units that no stock backs yet."
    )
    reserved_at = models.DateTimeField(help_text="When the first of the units were reserved.")

    class Meta:
        db_table = "stock_reservation"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "product_id", "line_id"], name="stock_reservation_unique"
            ),
        ]
        indexes = [
            models.Index(
                "projection", "product_id", "reserved_at", name="stock_reservation_oldest"
            ),
            models.Index(
                fields=["projection", "order_id"],
                condition=Q(backordered__gt=0),
                name="stock_backorder_of_order",
            ),
            models.Index(
                fields=["projection", "product_id", "line_id"],
                condition=Q(backordered__gt=0),
                name="stock_backorder_oldest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} for line {self.line_id}"


def with_oldest_reservation(rows: QuerySet[InventoryLevel]) -> QuerySet[InventoryLevel]:
    """Return ``rows`` with ``oldest_reservation_at``, which is None where nothing is reserved."""
    reservations = StockReservation.objects.filter(
        projection_id=OuterRef("projection_id"), product_id=OuterRef("product_id")
    )
    oldest = reservations.order_by("reserved_at").values("reserved_at")[:1]
    return rows.annotate(oldest_reservation_at=Subquery(oldest))
