"""The columns and parts of an order, the statuses derived from them, and guards that moves share.

The moves of an order are in the modules ``placing``, ``editing``, ``shipping``, ``returning``,
``paying`` and ``annotating``, its state machine in ``order``. A guard ``may_…`` needs no payload:
it raises the refusal that its move would get now.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value

from ordering_write.domain import events as e
from ordering_write.domain.commands import LineQuantity
from ordering_write.domain.errors import (
    InvalidTransitionError,
    OrderOnHoldError,
    QuantityExceedsOpenError,
    UnknownLineError,
)
from ordering_write.domain.events import (
    WHOLE_ORDER_MOVES,
    Attention,
    FulfilmentStatus,
    OrderStatus,
    PaymentStatus,
    ReturnStatus,
)
from ordering_write.domain.values import Money
from ordering_write.models.aggregate import Aggregate
from ordering_write.models.order.attention import concerns
from ordering_write.models.order.parts import MONEY, OrderItem, Shipment
from ordering_write.models.order.payments import authorized_rest

# Facets by which readers count orders: an event that changes one also carries its former value.
_COUNTED_BY = frozenset({"status", "payment_status", "fulfilment_status", "return_status"})
# Amounts of the outcome, which events carry with the currency.
_AMOUNTS = frozenset({"total", "total_before", "balance", "authorized", "captured", "refunded"})


class OrderState(Aggregate):
    """The data of an order: its columns, lines and shipments, and the statuses derived from them.

    Each family of moves is a subclass of this class alone; ``Order`` inherits from all families.
    """

    stream_prefix = "order"
    id_field = "order_id"
    anonymized_by = e.OrderAnonymized
    always_included: ClassVar[frozenset[str]] = frozenset({"customer_id", "status"})

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
    adjustments = models.JSONField(
        null=True,
        blank=True,
        help_text="Amounts beside the lines. Null in rows of releases that didn't keep them.",
    )
    charges = models.JSONField(
        null=True, blank=True, help_text="The prices of the charges. Null until an event says them."
    )
    source = models.CharField(max_length=64)
    # NULL, not empty, for an order without a reference: the unique constraint ignores NULL.
    external_reference = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001
    po_number = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text="The number of the customer's purchase order.",
    )
    metadata = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    assignee = models.CharField(max_length=150, blank=True)
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    processing_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True, help_text="The last delivery.")
    completed_at = models.DateTimeField(null=True, blank=True)
    hold_reason = models.CharField(max_length=20, blank=True)
    # These parts are few, and never queried without their order: they need no tables of their own.
    payments = models.JSONField(
        default=dict, blank=True, help_text="{payment_id: {kind: sum, facts: […]}}"
    )
    refunds = models.JSONField(
        default=dict,
        blank=True,
        help_text="{refund_id: {amount, status, reference, at, failed: […]}}",
    )
    captures = models.JSONField(
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        help_text="{capture_id: {payment_id, amount, status, at}}, those requested or failed.",
    )
    attention_resolved = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text="{reason: its amount when a person resolved it}",
    )
    returns = models.JSONField(
        default=dict, blank=True, help_text="{return_id: {line_id: units still expected}}"
    )
    exchanges = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text="{return_id: {received, credit}} of the exchanges that aren't placed yet",
    )
    free_units = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        blank=True,
        help_text="{product_id: units} of free replacements that have made no lost units good",
    )
    transferred_payments = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text="Ids of payments of other orders whose credit was transferred to this order.",
    )
    notes = models.JSONField(default=dict, blank=True, help_text="{note_id: false once redacted}")
    captured = models.DecimalField(default=Decimal(0), **MONEY)
    refunded = models.DecimalField(default=Decimal(0), **MONEY)

    class Meta:
        abstract = True
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_reference"], name="order_reference_unique"
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines: dict[UUID, OrderItem] = {}
        self.shipments: dict[UUID, Shipment] = {}
        # Ids of the lines and shipments that changed since they were loaded.
        self._changed: set[UUID] = set()

    def __str__(self) -> str:
        return self.order_number

    @property
    def items(self) -> list[OrderItem]:
        """The lines, in the order in which they were added."""
        return list(self.lines.values())

    # --- Derived statuses ------------------------------------------------------------------------
    def derive_status(self) -> OrderStatus:
        """Return the status that follows from the unit counters and the times of the moves."""
        lines = self.lines.values()
        if lines and all(line.cancelled == line.ordered for line in lines):
            return OrderStatus.CANCELLED
        if self.completed_at:
            return OrderStatus.COMPLETED
        if not self.confirmed_at:
            return OrderStatus.PENDING
        if not any(line.shipped for line in lines):
            return OrderStatus.PROCESSING if self.processing_at else OrderStatus.CONFIRMED
        if any(line.unshipped for line in lines):
            return OrderStatus.PARTIALLY_SHIPPED
        if any(line.in_transit for line in lines) or not any(line.delivered for line in lines):
            return OrderStatus.SHIPPED
        return OrderStatus.DELIVERED

    def payment_status(self) -> PaymentStatus:
        """Return the status of the money, from the payments and the amounts."""
        if self.captured <= 0:
            if self.authorized:
                return PaymentStatus.AUTHORIZED
            is_voided = any("voided" in amounts for amounts in self.payments.values())
            return PaymentStatus.VOIDED if is_voided else PaymentStatus.UNPAID
        if self.balance < 0:
            return PaymentStatus.CREDIT_OWED
        if self.refunded:
            is_whole = self.refunded >= self.captured
            return PaymentStatus.REFUNDED if is_whole else PaymentStatus.PARTIALLY_REFUNDED
        return PaymentStatus.PARTIALLY_PAID if self.balance else PaymentStatus.PAID

    def fulfilment_status(self) -> FulfilmentStatus:
        """Return the status of the goods, from the hold and the ledger of units."""
        if self.hold_reason:
            return FulfilmentStatus.ON_HOLD
        if any(line.shipped for line in self.lines.values()):
            is_partial = any(line.unshipped for line in self.lines.values())
            return FulfilmentStatus.PARTIAL if is_partial else FulfilmentStatus.FULFILLED
        in_progress = self.status == OrderStatus.PROCESSING
        return FulfilmentStatus.IN_PROGRESS if in_progress else FulfilmentStatus.UNFULFILLED

    def return_status(self) -> ReturnStatus:
        """Return the status of the returns, from the unit counters."""
        lines = self.lines.values()
        if any(line.return_requested for line in lines):
            return ReturnStatus.REQUESTED
        returned = sum(line.returned for line in lines)
        if not returned:
            return ReturnStatus.NONE
        is_whole = returned == sum(line.delivered for line in lines)
        return ReturnStatus.RETURNED if is_whole else ReturnStatus.PARTIAL

    @property
    def authorized(self) -> Decimal:
        """The amount authorized and neither captured nor voided."""
        return sum(map(authorized_rest, self.payments.values()), Decimal(0))

    @property
    def due(self) -> Decimal:
        """The amount that the customer pays for this order in all; 0 once it is cancelled."""
        return Decimal(0) if self.status == OrderStatus.CANCELLED else max(self.total, Decimal(0))

    @property
    def balance(self) -> Decimal:
        """The amount that the customer still owes; negative when we owe the customer."""
        return self.due - (self.captured - self.refunded)

    @property
    def credit(self) -> Decimal:
        """The amount that we owe the customer and for which no refund is requested."""
        return max(-self.balance - self.requested_refunds, Decimal(0))

    @property
    def requested_refunds(self) -> Decimal:
        """The sum of the refunds that are requested and neither settled nor failed."""
        return sum(
            (
                Decimal(refund["amount"])
                for refund in self.refunds.values()
                if refund["status"] == "requested"
            ),
            Decimal(0),
        )

    @property
    def paid_out(self) -> Decimal:
        """The amount that left us beyond what was captured, by refunds or chargebacks."""
        return max(self.refunded - self.captured, Decimal(0))

    @property
    def is_settled(self) -> bool:
        """True when the order is closed and no return, exchange and refund is pending."""
        return (
            self.status in (OrderStatus.COMPLETED, OrderStatus.CANCELLED)
            and not any(line.return_requested for line in self.lines.values())
            and not self.exchanges
            and not any(refund["status"] == "requested" for refund in self.refunds.values())
        )

    @property
    def attention(self) -> tuple[Attention, ...]:
        """The reasons for which a person must look at the money, without those resolved."""
        if not (self.payments or self.captures or self.refunds or self.captured or self.refunded):
            return ()
        return tuple(
            reason
            for reason, amount in concerns(self).items()
            if amount > Decimal(self.attention_resolved.get(reason, 0))
        )

    # --- Outcome ---------------------------------------------------------------------------------
    def outcome(self) -> dict[str, Any]:
        if not self.currency:
            return {}
        return {
            "customer_id": self.customer_id,
            "status": OrderStatus(self.status),
            "payment_status": self.payment_status(),
            "fulfilment_status": self.fulfilment_status(),
            "return_status": self.return_status(),
            "on_hold": bool(self.hold_reason),
            "total": self.total,
            "balance": self.balance,
            "authorized": self.authorized,
            "captured": self.captured,
            "refunded": self.refunded,
            "attention": self.attention,
            "item_count": len(self.lines),
        }

    def delta(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        fields = super().delta(before, after)
        for name in _COUNTED_BY & fields.keys():
            if name in before and self.version > 1 and before[name] != fields[name]:
                fields[f"{name}_before"] = before[name]
        if "total" in before and before["total"] != after["total"] and self.version > 1:
            fields["total_before"] = before["total"]
        if fields.get("status_before") and after["status"] == OrderStatus.CANCELLED:
            # Included although unchanged: readers subtract the total of a cancelled order.
            fields["total"] = after["total"]
        return fields

    def described(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self.money(value) if name in _AMOUNTS else value for name, value in fields.items()
        }

    def _record(self, event_type: type[e.OrderEvent], /, *, now: datetime, **fields: Any) -> None:
        """Raise an event of this order that became true at ``now``."""
        self._raise_event(event_type(timestamp=now, order_id=self.id, **fields))

    # --- Shared by the families of moves ---------------------------------------------------------
    def money(self, amount: Decimal) -> Money:
        """Return ``amount`` in the order's currency."""
        return Money.of(amount, self.currency)

    def line(self, line_id: UUID, pointer: str) -> OrderItem:
        """Return the line; raise UnknownLineError at ``pointer`` if there is no such line."""
        if line_id not in self.lines:
            raise UnknownLineError(f"The order has no line {line_id}.", pointer=pointer)
        return self.lines[line_id]

    def allowed_moves(self) -> list[OrderStatus]:
        """Return the statuses that the whole order can be moved to, unless it is on hold."""
        if self.status == OrderStatus.SHIPPED:
            # Units in transit will arrive. If all of them were lost, nothing can be delivered.
            in_transit = any(line.in_transit for line in self.lines.values())
            return [OrderStatus.DELIVERED if in_transit else OrderStatus.COMPLETED]
        return list(WHOLE_ORDER_MOVES[OrderStatus(self.status)])

    @property
    def status_words(self) -> str:
        """The status as people read it, such as "partially shipped"."""
        return self.status.replace("_", " ")

    @property
    def hold_words(self) -> str:
        """The reason of the hold as people read it, such as "fraud review"."""
        return self.hold_reason.replace("_", " ")

    def refuse_if_on_hold(self) -> None:
        """Raise OrderOnHoldError when the order is on hold."""
        if self.hold_reason:
            raise OrderOnHoldError(
                f"Order {self.order_number} is on hold ({self.hold_words}); release it first.",
                status=self.status,
                allowed=[],
            )

    def _refuse_move_unless_allowed(self, target: OrderStatus) -> None:
        if target in self.allowed_moves():
            return
        if self.status == target:
            raise self._invalid_transition(f"Order {self.order_number} is {target} already.")
        words = target.replace("_", " ")
        raise self._invalid_transition(
            f"Order {self.order_number} is {self.status_words}; it can't become {words}."
        )

    def _invalid_transition(self, message: str) -> InvalidTransitionError:
        return InvalidTransitionError(message, status=self.status, allowed=self.allowed_moves())

    def _open_units(self, items: Sequence[LineQuantity]) -> Mapping[UUID, int]:
        """Return the units of ``items`` by line; QuantityExceedsOpenError unless they are open."""
        quantities = Counter[UUID]()
        for number, item in enumerate(items):
            self.line(item.line_id, f"#/items/{number}/line_id")
            quantities[item.line_id] += item.quantity
        for line_id, quantity in quantities.items():
            line = self.lines[line_id]
            if quantity > line.open:
                raise QuantityExceedsOpenError(
                    f"{quantity} units of {line.sku} were asked for, {line.open} are open."
                )
        return quantities
