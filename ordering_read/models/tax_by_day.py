"""The read model of taxes by day: one row per day, currency and tax."""

from decimal import Decimal
from typing import ClassVar

from django.db import models

from ordering_read.models.counted_row import MONEY_SUM, CountedRow


class TaxByDay(CountedRow):
    """The change of a tax in the amounts due on a day, in one currency.

    What is cancelled or returned is subtracted on its own day, so that a past day never changes.
    """

    projection_name: ClassVar[str] = "tax_by_day"
    named_by = ("day", "currency", "jurisdiction", "label", "rate", "is_included")

    day = models.DateField(help_text="In the time zone of the store.")
    currency = models.CharField(max_length=3)
    jurisdiction = models.CharField(max_length=40, blank=True)
    label = models.CharField(max_length=100)
    # A text, since an unknown rate names a row too.
    rate = models.CharField(max_length=20, blank=True, help_text="In per cent, if it is known.")
    is_included = models.BooleanField(help_text="The prices contain the tax.")
    base = models.DecimalField(
        help_text="The prices without taxes that the tax is on.", **MONEY_SUM
    )
    amount = models.DecimalField(**MONEY_SUM)

    class Meta:
        db_table = "tax_by_day"
        default_permissions = ()
        verbose_name = verbose_name_plural = "taxes by day"
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "projection",
                    "day",
                    "currency",
                    "jurisdiction",
                    "label",
                    "rate",
                    "is_included",
                ],
                name="tax_by_day_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} on {self.day} in {self.currency}"

    @property
    def shown_rate(self) -> Decimal | None:
        """The rate in per cent; None if it isn't known."""
        return Decimal(self.rate) if self.rate else None
