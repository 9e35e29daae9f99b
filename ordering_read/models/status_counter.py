"""The read model behind the tabs above lists of orders: one row per value of a facet."""

from typing import ClassVar

from django.db import models

from ordering_read.models.counted_row import CountedRow


class StatusCounter(CountedRow):
    """The number of orders with one value of a facet, such as the status ``pending``.

    Orders on hold have the fulfilment status ``on_hold``.
    """

    projection_name: ClassVar[str] = "status_counter"
    named_by = ("facet", "value")

    class Facet(models.TextChoices):
        STATUS = "status"
        PAYMENT_STATUS = "payment_status"
        FULFILMENT_STATUS = "fulfilment_status"
        RETURN_STATUS = "return_status"

    facet = models.CharField(max_length=30, choices=Facet)
    value = models.CharField(max_length=30)
    count = models.BigIntegerField(default=0)

    class Meta:
        db_table = "status_counter"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "facet", "value"], name="status_counter_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.facet} {self.value}: {self.count}"
