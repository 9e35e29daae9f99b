"""The read model of what sells: one row per day, product and currency."""

from typing import ClassVar

from django.db import models
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from ordering_read.models.counted_row import LATEST, MONEY_SUM, CountedRow
from ordering_read.models.inventory import InventoryLevel


class SalesByProduct(CountedRow):
    """What was ordered, cancelled and returned of a product on a day, in one currency."""

    projection_name: ClassVar[str] = "sales_by_product"
    named_by = ("day", "product_id", "currency")
    merges = {"sku": LATEST, "name": LATEST}

    day = models.DateField(help_text="In the time zone of the store.")
    product_id = models.UUIDField()
    currency = models.CharField(max_length=3)
    sku = models.CharField(max_length=64, blank=True)
    name = models.CharField(
        max_length=200, blank=True, help_text="As it was when last ordered on that day."
    )
    units = models.BigIntegerField(default=0, help_text="Ordered on that day.")
    cancelled_units = models.BigIntegerField(default=0, help_text="Whenever they were ordered.")
    returned_units = models.BigIntegerField(
        default=0, help_text="Came back or didn't arrive, whenever they were ordered."
    )
    gross = models.DecimalField(help_text="Of the lines, before discounts and taxes.", **MONEY_SUM)
    refunded = models.DecimalField(
        help_text="What the returned units had cost, before discounts and taxes.", **MONEY_SUM
    )

    class Meta:
        db_table = "sales_by_product"
        default_permissions = ()
        verbose_name = verbose_name_plural = "sales by product"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "day", "product_id", "currency"],
                name="sales_by_product_unique",
            ),
        ]
        indexes = [
            models.Index(
                "projection",
                "product_id",
                models.F("day").desc(),
                name="sales_by_product_of_product",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} on {self.day} in {self.currency}"


def with_names(rows: QuerySet[SalesByProduct]) -> QuerySet[SalesByProduct]:
    """``rows`` with ``shown_sku`` and ``shown_name``: those of the product today where none was
    told on that day, because nothing of it was ordered."""
    product = InventoryLevel.live.filter(product_id=OuterRef("product_id"))
    return rows.annotate(
        **{
            f"shown_{column}": Coalesce(
                NullIf(F(column), Value("")), Subquery(product.values(column)[:1]), Value("")
            )
            for column in ("sku", "name")
        }
    )
