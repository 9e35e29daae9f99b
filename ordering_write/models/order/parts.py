"""The parts of an order: its lines, each with its unit counters, and its shipments.

The Order alone loads, changes and saves them.
"""

from typing import Any

from django.db import models
from django.db.models import F, Q

from ordering_write.domain import events as e
from ordering_write.models.guarded import GuardedModel

# Columns for amounts: 15 digits before the point and 4 behind it.
MONEY: dict[str, Any] = {"max_digits": 19, "decimal_places": 4}


class OrderItem(GuardedModel):
    """A line of an order and its unit counters."""

    id = models.UUIDField(primary_key=True)
    # The unique constraint has an index that begins with the order.
    order = models.ForeignKey("Order", on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.PositiveSmallIntegerField()
    product_id = models.UUIDField()
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    unit_price = models.DecimalField(**MONEY)
    line_total = models.DecimalField(
        help_text="The price of the units that are owed, without added taxes.", **MONEY
    )
    price = models.JSONField(
        null=True,
        blank=True,
        help_text="The price of the ordered units, with shares of adjustments. Null until an event "
        "says it.",
    )
    tax_class = models.CharField(max_length=40, blank=True, default="", db_default="")
    requires_shipping = models.BooleanField(default=True, db_default=True)
    taxes = models.JSONField(
        null=True, blank=True, help_text="The taxes that the client gave for the line, if any."
    )
    metadata = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    ordered = models.PositiveIntegerField()
    cancelled = models.PositiveIntegerField(default=0)
    packed = models.PositiveIntegerField(default=0)
    shipped = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    made_good = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Lost units that were replaced for nothing."
    )
    return_requested = models.PositiveIntegerField(default=0)
    returned = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        ordering = ["order_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="order_item_number_unique"),
            # The database checks the counters too, whatever the code does.
            models.CheckConstraint(
                condition=Q(ordered__gte=F("cancelled") + F("packed") + F("shipped")),
                name="order_item_units_accounted_for",
            ),
            models.CheckConstraint(
                condition=Q(shipped__gte=F("delivered") + F("failed")),
                name="order_item_arrivals_were_shipped",
            ),
            models.CheckConstraint(
                condition=Q(delivered__gte=F("return_requested") + F("returned")),
                name="order_item_returns_were_delivered",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ordered} × {self.sku}"

    @classmethod
    def of(cls, event: e.OrderItemAdded, *, number: int) -> "OrderItem":
        return cls(
            id=event.line_id,
            order_id=event.order_id,
            number=number,
            product_id=event.product_id,
            sku=event.sku,
            name=event.name,
            unit_price=event.unit_price.amount,
            line_total=event.line_total.amount,
            tax_class=event.tax_class or "",
            requires_shipping=event.requires_shipping is not False,
            taxes=None
            if event.taxes is None
            else [tax.model_dump(mode="json") for tax in event.taxes],
            ordered=event.quantity,
        )

    @property
    def quantity(self) -> int:
        """The units ordered, by the name that commands and events have for them."""
        return self.ordered

    @quantity.setter
    def quantity(self, quantity: int) -> None:
        # For ``OrderItem(product_id=…, quantity=2, unit_price=…)``.
        self.ordered = quantity

    @property
    def to_pack(self) -> int:
        """Units that wait to be packed."""
        return self.open if self.requires_shipping else 0

    @property
    def to_hand_over(self) -> int:
        """Units that wait to be handed to the customer, without a parcel."""
        return 0 if self.requires_shipping else self.open

    @property
    def owed(self) -> int:
        """Units that the customer pays for: neither cancelled nor lost for good nor sent back."""
        return self.ordered - self.cancelled - self.failed - self.returned + self.made_good

    @property
    def credited(self) -> int:
        """Units that the customer doesn't pay for."""
        return self.ordered - self.owed

    @property
    def in_transit(self) -> int:
        """Units on their way."""
        return self.shipped - self.delivered - self.failed

    @property
    def returnable(self) -> int:
        """Units that the customer has and hasn't asked to send back."""
        return self.delivered - self.return_requested - self.returned

    @property
    def unshipped(self) -> int:
        """Units that are neither cancelled nor gone."""
        return self.ordered - self.cancelled - self.shipped

    @property
    def open(self) -> int:
        """Units that wait to be packed or handed over."""
        return self.unshipped - self.packed


class Shipment(GuardedModel):
    """Units of an order that travel together."""

    class Status(models.TextChoices):
        PACKED = "packed"
        DISPATCHED = "dispatched"
        DELIVERED = "delivered"
        FAILED = "failed"
        VOIDED = "voided"

    id = models.UUIDField(primary_key=True)
    order = models.ForeignKey("Order", on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=20, choices=Status)
    items = models.JSONField(help_text="[{line_id, quantity}]")
    carrier = models.CharField(max_length=200, blank=True)
    tracking_number = models.CharField(max_length=100, blank=True)
    tracking_url = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.status} {self.id}"

    @classmethod
    def of(cls, event: e.ShipmentCreated) -> "Shipment":
        return cls(
            id=event.shipment_id,
            order_id=event.order_id,
            status=cls.Status.PACKED,
            items=[unit.model_dump(mode="json") for unit in event.items],
            carrier=event.carrier or "",
        )

    @property
    def is_labelled(self) -> bool:
        """True for a packed parcel whose label is printed: the label bears the address."""
        return self.status == self.Status.PACKED and bool(self.tracking_number or self.tracking_url)

    @property
    def units(self) -> list[e.Units]:
        return [e.Units.model_validate(item) for item in self.items]
