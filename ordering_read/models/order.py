"""The read models of orders: one row per order, and one per line."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from config.fields.text import KEY_LENGTH
from ordering_read.documents import (
    AddressView,
    AdjustmentView,
    ChargeView,
    CreditTransferView,
    HoldView,
    NoteView,
    PaymentView,
    RefundView,
    ReplacementView,
    ReturnView,
    ShipmentView,
    TaxView,
)
from ordering_read.models.base import KEY_HELP, ReadModel
from ordering_read.models.stream_row import StreamRow
from ordering_write.published import OrderStatus
from ordering_write.published import events as e

_MONEY: dict[str, Any] = {"max_digits": 19, "decimal_places": 4}
_NO_DOCUMENTS = models.Value([], models.JSONField())


def _states(states: type[StrEnum]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


class OrderSummary(StreamRow):
    """An order as lists and pages show it.

    Parts other than lines are embedded as documents in JSON columns, oldest first, with amounts and
    times as text. A page always shows the whole order, so one row is read at once.
    """

    projection_name: ClassVar[str] = "order_view"
    documents = {
        "shipping_address": AddressView | None,
        "billing_address": AddressView | None,
        "hold": HoldView | None,
        "adjustments": tuple[AdjustmentView, ...],
        "charges": tuple[ChargeView, ...] | None,
        "shipments": tuple[ShipmentView, ...],
        "payments": tuple[PaymentView, ...],
        "refunds": tuple[RefundView, ...],
        "returns": tuple[ReturnView, ...],
        "replaced_by": tuple[ReplacementView, ...],
        "transfers": tuple[CreditTransferView, ...],
        "notes": tuple[NoteView, ...],
        "metadata": dict[str, str],
    }

    order_id = models.UUIDField(db_column="id", verbose_name="id")
    order_number = models.CharField(max_length=20)
    customer_id = models.UUIDField()
    customer_name = models.CharField(
        max_length=200, help_text="The name when the order was placed."
    )
    status = models.CharField(max_length=20, choices=_states(OrderStatus))
    payment_status = models.CharField(
        max_length=20, choices=_states(e.PaymentStatus), default=e.PaymentStatus.UNPAID.value
    )
    fulfilment_status = models.CharField(
        max_length=20,
        choices=_states(e.FulfilmentStatus),
        default=e.FulfilmentStatus.UNFULFILLED.value,
    )
    return_status = models.CharField(
        max_length=20, choices=_states(e.ReturnStatus), default=e.ReturnStatus.NONE.value
    )
    hold_reason = models.CharField(
        max_length=20,
        choices=_states(e.HoldReason),
        blank=True,
        help_text="Why goods must not move; empty when the order isn't on hold.",
    )
    total_amount = models.DecimalField(**_MONEY)
    balance = models.DecimalField(
        help_text="The amount owed; negative when owed to the customer.", **_MONEY
    )
    authorized = models.DecimalField(default=0, **_MONEY)
    captured = models.DecimalField(default=0, **_MONEY)
    refunded = models.DecimalField(default=0, **_MONEY)
    attention = ArrayField(
        models.CharField(max_length=30),
        default=list,
        db_default=[],
        blank=True,
        help_text="Why a person must look at the money.",
    )
    currency = models.CharField(max_length=3)
    item_count = models.PositiveIntegerField(default=0, help_text="Number of lines.")
    unit_count = models.PositiveIntegerField(default=0, help_text="Units ordered in all lines.")
    external_reference = models.CharField(max_length=100, blank=True)
    external_reference_key = models.CharField(
        max_length=KEY_LENGTH, blank=True, default="", db_default="", help_text=KEY_HELP
    )
    po_number = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="The number of the customer's purchase order.",
    )
    po_number_key = models.CharField(
        max_length=KEY_LENGTH, blank=True, default="", db_default="", help_text=KEY_HELP
    )
    metadata = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    replaces_order_id = models.UUIDField(null=True, blank=True)
    replaces_order_number = models.CharField(max_length=20, blank=True, default="", db_default="")
    assigned_to = models.CharField(
        max_length=150, blank=True, help_text="The user who is responsible."
    )
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    shipping_address = models.JSONField(null=True, blank=True)
    billing_address = models.JSONField(null=True, blank=True)
    hold = models.JSONField(null=True, blank=True)
    adjustments = models.JSONField(default=list, blank=True)
    charges = models.JSONField(
        null=True,
        blank=True,
        help_text="Prices of charges. Null if no share of an adjustment is known.",
    )
    shipments = models.JSONField(default=list, blank=True)
    payments = models.JSONField(default=list, blank=True)
    refunds = models.JSONField(default=list, blank=True)
    returns = models.JSONField(default=list, blank=True)
    replaced_by = models.JSONField(default=list, db_default=_NO_DOCUMENTS, blank=True)
    transfers = models.JSONField(default=list, db_default=_NO_DOCUMENTS, blank=True)
    notes = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    placed_on = models.DateField(help_text="The day of the order in the time zone of the store.")

    class Meta:
        db_table = "order_summary"
        default_permissions = ()
        verbose_name = "order"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "order_id"], name="order_summary_id_unique"
            ),
            models.UniqueConstraint(
                fields=["projection", "order_number"], name="order_summary_number_unique"
            ),
        ]
        # Each filter and each ordering of the lists has an index. Its last column is the id, which
        # orders rows with equal values. PostgreSQL reads indexes in both directions.
        indexes = [
            models.Index(
                "projection",
                models.F("created_at").desc(),
                models.F("order_id").desc(),
                name="order_summary_newest",
            ),
            models.Index(
                "projection",
                "customer_id",
                models.F("created_at").desc(),
                models.F("order_id").desc(),
                name="order_summary_of_customer",
            ),
            *(
                models.Index(
                    fields=["projection", column, "created_at", "order_id"],
                    name=f"order_summary_by_{name}",
                )
                for name, column in {
                    "status": "status",
                    "payment": "payment_status",
                    "fulfilment": "fulfilment_status",
                    "return": "return_status",
                }.items()
            ),
            models.Index(
                fields=["projection", "created_at", "order_id"],
                condition=~Q(hold_reason=""),
                name="order_summary_on_hold",
            ),
            models.Index(
                fields=["projection", "created_at", "order_id"],
                condition=~Q(attention=[]),
                name="order_summary_attention",
            ),
            models.Index(
                fields=["projection", "created_at", "order_id"],
                condition=Q(balance__gt=0),
                name="order_summary_balance_due",
            ),
            models.Index(
                fields=["projection", "created_at", "order_id"],
                condition=Q(balance__lt=0),
                name="order_summary_balance_owed",
            ),
            models.Index(
                fields=["projection", "assigned_to", "created_at", "order_id"],
                condition=~Q(assigned_to=""),
                name="order_summary_by_assignee",
            ),
            *(
                models.Index(
                    fields=["projection", column, "order_id"], name=f"order_summary_by_{name}"
                )
                for name, column in {
                    "total": "total_amount",
                    "updated": "updated_at",
                    "customer_name": "customer_name",
                }.items()
            ),
            models.Index(
                fields=["projection", "currency", "total_amount", "order_id"],
                name="order_summary_by_currency",
            ),
            models.Index(
                fields=["projection", "external_reference"],
                condition=~Q(external_reference=""),
                name="order_summary_by_reference",
            ),
            *(
                models.Index(
                    fields=["projection", column],
                    condition=~Q(**{column: ""}),
                    name=f"order_summary_by_{name}_key",
                )
                for name, column in {
                    "ref": "external_reference_key",
                    "po": "po_number_key",
                }.items()
            ),
            # Cover all generations: a GIN index of a number needs an extension.
            GinIndex(fields=["tags"], name="order_summary_by_tag"),
            GinIndex(
                fields=["metadata"], condition=~Q(metadata={}), name="order_summary_by_metadata"
            ),
        ]

    def __str__(self) -> str:
        return self.order_number


class OrderLine(ReadModel):
    """A line of an order, with the numbers of its units that were packed, shipped and so on."""

    projection_name: ClassVar[str] = "order_view"
    documents = {"taxes": tuple[TaxView, ...], "metadata": dict[str, str]}

    order_id = models.UUIDField()
    line_id = models.UUIDField()
    number = models.PositiveIntegerField(help_text="The number of the line in the order, from 1.")
    product_id = models.UUIDField()
    sku = models.CharField(max_length=64)
    sku_key = models.CharField(
        max_length=KEY_LENGTH, blank=True, default="", db_default="", help_text=KEY_HELP
    )
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField(help_text="Units ordered, including cancelled ones.")
    cancelled = models.PositiveIntegerField(default=0)
    packed = models.PositiveIntegerField(
        default=0, help_text="Units in shipments that haven't left."
    )
    shipped = models.PositiveIntegerField(default=0, help_text="Units in shipments that have left.")
    delivered = models.PositiveIntegerField(default=0, help_text="Shipped units that arrived.")
    failed = models.PositiveIntegerField(default=0, help_text="Shipped units that didn't arrive.")
    made_good = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Failed units that were replaced for nothing."
    )
    return_requested = models.PositiveIntegerField(
        default=0, help_text="Delivered units that are to come back."
    )
    returned = models.PositiveIntegerField(default=0, help_text="Delivered units that came back.")
    unit_price = models.DecimalField(**_MONEY)
    discount = models.DecimalField(
        default=0, db_default=0, help_text="The shares in discounts.", **_MONEY
    )
    surcharge = models.DecimalField(
        default=0, db_default=0, help_text="The charges on the line.", **_MONEY
    )
    line_total = models.DecimalField(
        help_text="The price of the units that are still owed, without added taxes.", **_MONEY
    )
    taxes = models.JSONField(default=list, db_default=_NO_DOCUMENTS)
    tax_class = models.CharField(max_length=40, blank=True, default="", db_default="")
    metadata = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    requires_shipping = models.BooleanField(
        default=True,
        db_default=True,
        help_text="False for units that the customer picks up or downloads.",
    )
    price_source = models.CharField(max_length=10, help_text="client, list or override.")
    price_reason = models.CharField(max_length=200, blank=True)

    # Units that no stock backs, and the time at which they are expected: ``lines_of`` sets them
    # from the rows of the stock. None for the lines of a past state.
    backordered: int | None = None
    expected_at: datetime | None = None

    class Meta:
        db_table = "order_line_view"
        default_permissions = ()
        verbose_name = "order line"
        constraints = [
            models.UniqueConstraint(
                fields=["projection", "order_id", "line_id"], name="order_line_view_unique"
            ),
        ]
        indexes = [
            models.Index(
                fields=["projection", "product_id", "order_id"], name="order_line_view_of_product"
            ),
            models.Index(fields=["projection", "sku", "order_id"], name="order_line_view_of_sku"),
            models.Index(
                fields=["projection", "sku_key", "order_id"], name="order_line_view_of_sku_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"

    @property
    def list_value(self) -> Decimal:
        """The price of the units that are still owed, before discounts and surcharges."""
        return self.line_total + self.discount - self.surcharge

    @property
    def open(self) -> int:
        """The units that are yet to be packed."""
        return self.quantity - self.cancelled - self.packed - self.shipped
