"""The read model of stock: one row per product."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Collate, Upper

from ordering_read.models.stream_row import StreamRow


class InventoryLevel(StreamRow):
    """How much there is of a product, and how much of it can be promised."""

    projection_name: ClassVar[str] = "inventory_level"

    product_id = models.UUIDField()
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    on_hand = models.IntegerField()
    reserved = models.IntegerField()
    available = models.IntegerField(help_text="On hand and not reserved.")
    list_price = models.DecimalField(max_digits=19, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    reorder_point = models.PositiveIntegerField()

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
        # These serve a search by the beginning: in the collation "C" that is a range.
        indexes = [
            models.Index("projection", Collate(Upper("sku"), "C"), name="inventory_level_by_sku"),
            models.Index("projection", Collate(Upper("name"), "C"), name="inventory_level_by_name"),
            models.Index(
                fields=["projection", "sku"],
                condition=Q(available__lte=F("reorder_point")),
                name="inventory_level_low",
            ),
            # What more is promised of than there is.
            models.Index(
                fields=["projection", "product_id"],
                condition=Q(available__lt=0),
                name="inventory_level_short",
            ),
        ]

    def __str__(self) -> str:
        return self.sku
