"""The reservations of a product: units for lines of orders, backed by stock or backordered."""

from django.db import models
from django.db.models import Q

from ordering_write.models.guarded import GuardedModel


class Reservation(GuardedModel):
    """Units of a product reserved for one line of an order.

    Stock backs the units that aren't ``backordered``. The row of the product is locked whenever one
    of its reservations changes.
    """

    product = models.ForeignKey("StockItem", on_delete=models.PROTECT, related_name="+")
    order_id = models.UUIDField()
    line_id = models.UUIDField()
    quantity = models.PositiveIntegerField()
    backordered = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Units that no stock backs yet."
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["order_id", "line_id"], name="reservation_line_unique"),
        ]
        indexes = [
            models.Index(
                fields=["product", "line_id"],
                condition=Q(backordered__gt=0),
                name="reservation_backordered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id} for line {self.line_id}"
