"""The read model of sales by day: one row per day and currency."""

from decimal import Decimal
from typing import ClassVar

from django.db import models

from ordering_read.models.counted_row import MONEY_SUM
from ordering_read.models.money_sums import MoneySums


class SalesByDay(MoneySums):
    """The amounts sold, cancelled and given back on a day, in one currency.

    Each amount is booked on the day of its event, so that a past day never changes.
    """

    projection_name: ClassVar[str] = "sales_by_day"
    named_by = ("day", "currency")

    day = models.DateField(help_text="In the time zone of the store.")
    currency = models.CharField(max_length=3)
    orders = models.BigIntegerField(default=0, help_text="Orders placed on that day.")
    units = models.BigIntegerField(default=0, help_text="Units ordered on that day.")
    gross = models.DecimalField(
        help_text="Totals of the orders placed on that day, and later additions to other orders.",
        **MONEY_SUM,
    )
    cancelled = models.DecimalField(
        help_text="Amounts cancelled on that day, whenever they were ordered.", **MONEY_SUM
    )
    refunded = models.DecimalField(
        help_text="Amounts of returned and lost units, and goodwill.",
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
        """The gross amount less the cancelled and the refunded amounts."""
        return self.gross - self.cancelled - self.refunded
