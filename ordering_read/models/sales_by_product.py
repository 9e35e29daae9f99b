"""The read model of sales by product: one row per day, product and currency."""

from typing import ClassVar

from django.db import models
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from ordering_read.models.counted_row import LATEST, MONEY_SUM, CountedRow
from ordering_read.models.inventory import InventoryLevel


class SalesByProduct(CountedRow):
    """The units and amounts of a product that were ordered, cancelled and returned on a day, in one
    currency."""

    projection_name: ClassVar[str] = "sales_by_product"
    named_by = ("day", "product_id", "currency")
    merges = {"sku": LATEST, "name": LATEST}

    day = models.DateField(help_text="In the time zone of the store.")
    product_id = models.UUIDField()
    currency = models.CharField(max_length=3)
    sku = models.CharField(max_length=64, blank=True)
    name = models.CharField(
        max_length=200, blank=True, help_text="The name in the last order of that day."
    )
    units = models.BigIntegerField(default=0, help_text="Units ordered on that day.")
    cancelled_units = models.BigIntegerField(
        default=0, help_text="Units cancelled on that day, whenever they were ordered."
    )
    returned_units = models.BigIntegerField(
        default=0,
        help_text="Units returned or lost on that day, whenever they were ordered.",
    )
    gross = models.DecimalField(
        help_text="Totals of the lines, before discounts and taxes.", **MONEY_SUM
    )
    refunded = models.DecimalField(
        help_text="The credit for returned and lost units, with discounts and taxes.", **MONEY_SUM
    )

    class Meta:
        db_table = "sales_by_product"
        default_permissions = ()
        verbose_name = verbose_name_plural = "sales by product"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "day", "product_id", "currency"],
                # A report ranks the products of a period from this index alone.
                include=["units", "gross"],
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
    """Return ``rows`` with ``shown_sku`` and ``shown_name``.

    A row without a name, because the product wasn't ordered on that day, shows today's name.
    """
    product = InventoryLevel.live.filter(product_id=OuterRef("product_id"))
    return rows.annotate(
        **{
            f"shown_{column}": Coalesce(
                NullIf(F(column), Value("")), Subquery(product.values(column)[:1]), Value("")
            )
            for column in ("sku", "name")
        }
    )
