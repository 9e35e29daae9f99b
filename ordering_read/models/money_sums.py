"""The columns of money that the sales of a day and the statistics of a customer share."""

from decimal import Decimal
from typing import Any

from django.db import models

from ordering_read.models.counted_row import MONEY_SUM, CountedRow

# A former release writes rows without these columns until its processes are restarted.
_SUM: dict[str, Any] = {**MONEY_SUM, "db_default": 0}


class MoneySums(CountedRow):
    """Sums of discounts, taxes, goodwill and payments.

    Discounts and taxes are those of orders that were priced line by line. Orders of earlier
    releases weren't.
    """

    discount = models.DecimalField(help_text="The discounts in the amounts due.", **_SUM)
    tax = models.DecimalField(help_text="The taxes in the amounts due.", **_SUM)
    goodwill = models.DecimalField(help_text="The goodwill that was granted.", **_SUM)
    captured = models.DecimalField(help_text="The payments that were captured.", **_SUM)
    charged_back = models.DecimalField(
        help_text="The chargebacks of banks, less those that were reversed.", **_SUM
    )
    paid_back = models.DecimalField(
        help_text="The refunds that reached customers, less those that bounced.", **_SUM
    )

    class Meta:
        abstract = True

    @property
    def paid(self) -> Decimal:
        """The captured amount less what was charged or paid back."""
        return self.captured - self.charged_back - self.paid_back
