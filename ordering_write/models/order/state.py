"""What an order is: its columns and parts, and what follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from config.databases import tables
from ordering_write.domain import events as e
from ordering_write.domain.errors import OrderNotFoundError, UnknownLineError
from ordering_write.domain.events import (
    LIVE,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    ReturnStatus,
)
from ordering_write.domain.values import Money, quantize
from ordering_write.models.aggregate import Aggregate
from ordering_write.models.order.parts import MONEY, OrderItem, Shipment

# The facets by which orders are counted: an event that changes one tells what it was, too.
_COUNTED_BY = frozenset({"status", "payment_status", "fulfilment_status", "return_status"})


class OrderState(Aggregate):
    """The columns of an order, its lines and shipments, and what is derived from them.

    The families of its moves (``shipping``, ``paying``, …) each add their methods and, in
    ``_change``, what their events do; ``Order`` is all of them together.
    """

    stream_prefix = "order"
    always_told: ClassVar[frozenset[str]] = frozenset({"customer_id", "status"})

    id = models.UUIDField(primary_key=True)
    order_number = models.CharField(max_length=20, unique=True)
    customer_id = models.UUIDField(db_index=True)
    status = models.CharField(
        max_length=20,
        choices=[(s.value, s.value) for s in OrderStatus],
        default=OrderStatus.PENDING,
    )
    currency = models.CharField(max_length=3)
    total = models.DecimalField(default=Decimal(0), **MONEY)
    source = models.CharField(max_length=64)
    # NULL where none is given, so that it can be unique where one is.
    external_reference = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    assignee = models.CharField(max_length=150, blank=True)
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    processing_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True, help_text="Of the last delivery.")
    completed_at = models.DateTimeField(null=True, blank=True)
    hold_reason = models.CharField(max_length=20, blank=True)
    # Parts that nobody asks for without their order, and that stay few: kept on its row.
    payments = models.JSONField(default=dict, blank=True, help_text="{payment_id: {kind: amount}}")
    refunds = models.JSONField(
        default=dict, blank=True, help_text="{refund_id: {amount, status}}, requested, settled…"
    )
    returns = models.JSONField(
        default=dict, blank=True, help_text="{return_id: {line_id: units that may come back}}"
    )
    notes = models.JSONField(default=dict, blank=True, help_text="{note_id: is it still there}")
    captured = models.DecimalField(default=Decimal(0), **MONEY)
    refunded = models.DecimalField(default=Decimal(0), **MONEY)

    class Meta:
        abstract = True
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_reference"], name="order_reference_unique"
            ),
            models.CheckConstraint(
                condition=Q(captured__gte=F("refunded")), name="order_refunds_were_captured"
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines: dict[UUID, OrderItem] = {}
        self.shipments: dict[UUID, Shipment] = {}
        # The parts that changed since they were loaded, by their ids.
        self._changed: set[UUID] = set()

    def __str__(self) -> str:
        return self.order_number

    # --- What follows --------------------------------------------------------------------------
    def _status(self) -> OrderStatus:
        lines = self.lines.values()
        shipped = sum(line.shipped for line in lines)
        if lines and all(line.cancelled == line.ordered for line in lines):
            return OrderStatus.CANCELLED
        if self.completed_at:
            return OrderStatus.COMPLETED
        if not self.confirmed_at:
            return OrderStatus.PENDING
        if not shipped:
            return OrderStatus.PROCESSING if self.processing_at else OrderStatus.CONFIRMED
        if any(line.unshipped for line in lines):
            return OrderStatus.PARTIALLY_SHIPPED
        if any(line.in_transit for line in lines) or not any(line.delivered for line in lines):
            return OrderStatus.SHIPPED
        return OrderStatus.DELIVERED

    @property
    def authorized(self) -> Decimal:
        """What is set aside for us and neither captured nor voided."""
        return sum(
            (
                Decimal(kinds["authorized"])
                for kinds in self.payments.values()
                if "authorized" in kinds and not {"captured", "voided"} & kinds.keys()
            ),
            Decimal(0),
        )

    @property
    def due(self) -> Decimal:
        """What the customer is to pay for this order in all: nothing once it is cancelled."""
        return Decimal(0) if self.status == OrderStatus.CANCELLED else max(self.total, Decimal(0))

    @property
    def balance(self) -> Decimal:
        """What the customer still owes; negative: what we owe."""
        return self.due - (self.captured - self.refunded)

    def _payment_status(self) -> PaymentStatus:
        if not self.captured:
            if self.authorized:
                return PaymentStatus.AUTHORIZED
            voided = any("voided" in kinds for kinds in self.payments.values())
            return PaymentStatus.VOIDED if voided else PaymentStatus.UNPAID
        if self.balance < 0:
            return PaymentStatus.CREDIT_OWED
        if self.refunded:
            all_of_it = self.refunded == self.captured
            return PaymentStatus.REFUNDED if all_of_it else PaymentStatus.PARTIALLY_REFUNDED
        return PaymentStatus.PARTIALLY_PAID if self.balance else PaymentStatus.PAID

    def _fulfilment_status(self) -> FulfilmentStatus:
        if self.hold_reason:
            return FulfilmentStatus.ON_HOLD
        if any(line.shipped for line in self.lines.values()):
            left = any(line.unshipped for line in self.lines.values())
            return FulfilmentStatus.PARTIAL if left else FulfilmentStatus.FULFILLED
        in_progress = self.status == OrderStatus.PROCESSING
        return FulfilmentStatus.IN_PROGRESS if in_progress else FulfilmentStatus.UNFULFILLED

    def _return_status(self) -> ReturnStatus:
        lines = self.lines.values()
        if any(line.return_requested for line in lines):
            return ReturnStatus.REQUESTED
        returned = sum(line.returned for line in lines)
        if not returned:
            return ReturnStatus.NONE
        whole = returned == sum(line.delivered for line in lines)
        return ReturnStatus.RETURNED if whole else ReturnStatus.PARTIAL

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do: it is closed, nothing comes back, nothing is refunded."""
        return (
            self.status in (OrderStatus.COMPLETED, OrderStatus.CANCELLED)
            and not any(line.return_requested for line in self.lines.values())
            and not any(refund["status"] == "requested" for refund in self.refunds.values())
        )

    def outcome(self) -> dict[str, Any]:
        if not self.currency:
            return {}
        return {
            "customer_id": self.customer_id,
            "status": OrderStatus(self.status),
            "payment_status": self._payment_status(),
            "fulfilment_status": self._fulfilment_status(),
            "return_status": self._return_status(),
            "on_hold": bool(self.hold_reason),
            "total": self.money(self.total),
            "balance": self.money(self.balance),
            "authorized": self.money(self.authorized),
            "captured": self.money(self.captured),
            "refunded": self.money(self.refunded),
            "item_count": len(self.lines),
        }

    def money(self, amount: Decimal) -> Money:
        """``amount`` in the order's currency."""
        return Money.of(amount, self.currency)

    # --- What events do ------------------------------------------------------------------------
    def told(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        changed = super().told(before, after)
        for name in _COUNTED_BY & changed.keys():
            if name in before and self.version > 1 and before[name] != changed[name]:
                changed[f"{name}_before"] = before[name]
        if changed.get("status_before") and after["status"] == OrderStatus.CANCELLED:
            # Told although it may stay: what a cancelled order would have brought.
            changed["total"] = after["total"]
        return changed

    def apply(self, event: e.DomainEvent) -> None:
        self._change(event)
        self.status = self._status()
        if self.status not in LIVE:
            # Nothing is left to hold.
            self.hold_reason = ""

    def _change(self, event: e.DomainEvent) -> None:
        """What ``event`` does to the columns and parts; nothing for those that only tell."""

    def line(self, line_id: UUID, pointer: str) -> OrderItem:
        """The line; UnknownLineError, which points at ``pointer``, when there is none."""
        if line_id not in self.lines:
            raise UnknownLineError(f"The order has no line {line_id}.", pointer=pointer)
        return self.lines[line_id]

    def _count(self, items: Iterable[e.Units], **changes: int) -> None:
        for item in items:
            line = self.lines[item.line_id]
            for column, sign in changes.items():
                setattr(line, column, getattr(line, column) + sign * item.quantity)
            self._changed.add(line.id)

    def _reprice(self, line: OrderItem, line_total: Money) -> None:
        self.total += line_total.amount - line.line_total
        line.line_total = line_total.amount
        self._changed.add(line.id)

    def _credited(self, line: OrderItem, quantity: int) -> dict[str, Any]:
        """What an event says of ``quantity`` units of ``line`` that are no longer owed."""
        left = quantize(line.unit_price * (line.owed - quantity), self.currency)
        return {
            "line_id": line.id,
            "product_id": line.product_id,
            "quantity": quantity,
            "amount": self.money(line.line_total - left),
            "line_total": self.money(left),
        }

    def _tell(self, kind: type[e.OrderEvent], /, *, now: datetime, **fields: Any) -> None:
        self._raise_event(kind(timestamp=now, order_id=self.id, **fields))

    # --- Loading and saving --------------------------------------------------------------------
    @classmethod
    def load(cls, order_id: UUID, *, customer_scope: UUID | None = None) -> Self:
        """The order, its row locked until the end of the transaction.

        Raises OrderNotFoundError when there is none, or none of the customer ``customer_scope``.
        """
        order = next(iter(tables.find(cls, "id = %s FOR UPDATE", [order_id])), None)
        if order is None or customer_scope not in (None, order.customer_id):
            raise OrderNotFoundError
        # Packing is where processing begins at the latest.
        cls.add_parts({order.pk: order}, with_shipments=order.processing_at is not None)
        return order

    @classmethod
    def load_all_of(cls, customer_id: UUID) -> list[Self]:
        """Every order of a customer, their rows locked in the order of their ids."""
        of_customer = cls._default_manager.filter(customer_id=customer_id)
        orders = {order.pk: order for order in of_customer.select_for_update().order_by("pk")}
        cls.add_parts(orders)
        return list(orders.values())

    @classmethod
    def add_parts(cls, orders: Mapping[UUID, Self], *, with_shipments: bool = True) -> None:
        """Load the lines and shipments of ``orders``, given by their ids."""
        of_orders, ids = "order_id = ANY(%s) ORDER BY order_id,", [list(orders)]
        for line in tables.find(OrderItem, f"{of_orders} number", ids):
            orders[line.order_id].lines[line.id] = line
        if with_shipments:
            for shipment in tables.find(Shipment, f"{of_orders} id", ids):
                orders[shipment.order_id].shipments[shipment.id] = shipment

    @classmethod
    def write_all(cls, aggregates: Sequence[Self]) -> None:
        tables.upsert(aggregates, unique=["id"])
        for kind in ("lines", "shipments"):
            changed = [
                part
                for order in aggregates
                for key, part in getattr(order, kind).items()
                if key in order._changed
            ]
            tables.upsert(changed, unique=["id"])
        for order in aggregates:
            order._changed.clear()
