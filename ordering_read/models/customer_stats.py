"""The read model of customer statistics: one row per customer and currency."""

from decimal import Decimal
from typing import ClassVar

from django.db import models

from ordering_read.models.counted_row import GREATEST, LEAST, MONEY_SUM
from ordering_read.models.money_sums import MoneySums


class CustomerStats(MoneySums):
    """The totals of all orders of a customer in one currency."""

    projection_name: ClassVar[str] = "customer_stats"
    named_by = ("customer_id", "currency")
    merges = {"first_order_at": LEAST, "last_order_at": GREATEST, "largest_order": GREATEST}

    customer_id = models.UUIDField()
    currency = models.CharField(max_length=3)
    orders = models.BigIntegerField(default=0, help_text="Orders placed, whether cancelled or not.")
    cancelled = models.BigIntegerField(default=0, help_text="Placed orders that were cancelled.")
    returned_units = models.BigIntegerField(default=0, help_text="Units that came back.")
    spent = models.DecimalField(
        help_text="After cancellations, returns, lost parcels and goodwill.",
        **MONEY_SUM,
    )
    # Never null in a row that is read: the commit of an order's first event fills all three.
    first_order_at = models.DateTimeField(null=True, blank=True)
    last_order_at = models.DateTimeField(null=True, blank=True)
    largest_order = models.DecimalField(
        max_digits=19,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="The largest total of an order right after its last line: without later "
        "adjustments.",
    )

    class Meta:
        db_table = "customer_stats"
        default_permissions = ()
        verbose_name = verbose_name_plural = "customer statistics"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "customer_id", "currency"], name="customer_stats_unique"
            ),
        ]
        indexes = [
            models.Index(
                "projection", models.F("last_order_at").desc(), name="customer_stats_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} in {self.currency}"

    @property
    def average_order(self) -> Decimal | None:
        """The average spent per order that wasn't cancelled; None without such an order."""
        orders = self.orders - self.cancelled
        return self.spent / orders if orders else None
