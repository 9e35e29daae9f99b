"""The read model of sales: one row per day and currency."""

from decimal import Decimal
from typing import ClassVar

from django.db import models

from ordering_read.models.counted_row import MONEY_SUM, CountedRow


class SalesByDay(CountedRow):
    """What was sold, cancelled and given back on a day, in one currency.

    Each is booked on the day on which it happened, so that a day that is over never changes.
    """

    projection_name: ClassVar[str] = "sales_by_day"
    named_by = ("day", "currency")

    day = models.DateField(help_text="In the time zone of the store.")
    currency = models.CharField(max_length=3)
    orders = models.BigIntegerField(default=0, help_text="Placed on that day.")
    units = models.BigIntegerField(default=0, help_text="Ordered on that day.")
    gross = models.DecimalField(
        help_text="Totals of the orders placed on that day, and what was added to others.",
        **MONEY_SUM,
    )
    cancelled = models.DecimalField(
        help_text="What was cancelled on that day, whenever it was ordered.", **MONEY_SUM
    )
    refunded = models.DecimalField(
        help_text="What came back or didn't arrive, and what was given back for nothing.",
        **MONEY_SUM,
    )

    class Meta:
        db_table = "sales_by_day"
        default_permissions = ()
        verbose_name = verbose_name_plural = "sales by day"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "day", "currency"], name="sales_by_day_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} in {self.currency}"

    @property
    def net(self) -> Decimal:
        """What was sold less what was cancelled and given back."""
        return self.gross - self.cancelled - self.refunded
