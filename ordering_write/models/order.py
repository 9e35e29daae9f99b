"""The Order aggregate: a ledger of units per line, from which its status follows."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models

from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    InvalidTransitionError,
    OrderAlreadyShippedError,
    OrderNotFoundError,
    StatusNotSettableError,
)
from ordering_write.domain.events import WHOLE_ORDER_MOVES, OrderStatus
from ordering_write.domain.values import Money
from ordering_write.models.aggregate import Aggregate
from ordering_write.models.order_parts import MONEY, OrderItem, Shipment


class Order(Aggregate):
    """A customer's accepted request for goods, with the prices agreed when it was placed."""

    stream_prefix = "order"
    always_told: ClassVar[frozenset[str]] = frozenset({"customer_id", "status"})

    id = models.UUIDField(primary_key=True)
    order_number = models.CharField(max_length=20, unique=True)
    customer_id = models.UUIDField()
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
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    processing_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
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

    def __str__(self) -> str:
        return self.order_number

    # --- Placing -------------------------------------------------------------------------------
    @classmethod
    def create(
        cls,
        *,
        created: e.OrderCreated,
        items: Sequence[e.OrderItemAdded],
        adjustments: Sequence[e.OrderAdjustmentAdded] = (),
    ) -> "Order":
        """A new order: what was placed, then a line for each item, then what is added to them."""
        order = cls()
        for event in (created, *items, *adjustments):
            order._raise_event(event)
        return order

    def tag(self, tag: str, *, now: datetime) -> None:
        """Add ``tag``; a tag that it has changes nothing."""
        if tag not in self.tags:
            self._raise_event(e.OrderTagged(timestamp=now, order_id=self.id, tag=tag))

    def add_note(self, text: str, *, note_id: UUID, now: datetime) -> None:
        """Add an internal note."""
        self._raise_event(
            e.NoteAdded(
                timestamp=now, order_id=self.id, note_id=note_id, text=text, visibility="internal"
            )
        )

    # --- Moving the whole order ----------------------------------------------------------------
    def move_to(
        self, status: OrderStatus, *, reason: str = "", now: datetime, shipment_id: UUID
    ) -> None:
        """The one whole-order move that ends in ``status``, with the facts that it stands for."""
        match status:
            case OrderStatus.CONFIRMED:
                self.confirm(reason=reason, now=now)
            case OrderStatus.PROCESSING:
                self.start_processing(reason=reason, now=now)
            case OrderStatus.SHIPPED:
                self.ship_everything(shipment_id=shipment_id, now=now)
            case OrderStatus.DELIVERED:
                self.deliver_everything(now=now)
            case OrderStatus.COMPLETED:
                self.complete(reason=reason, now=now)
            case OrderStatus.CANCELLED:
                self.cancel(reason or "status set to cancelled", now=now)
            case _:
                raise StatusNotSettableError(
                    f"The status {status} follows from facts and can't be set.", pointer="#/status"
                )

    def confirm(self, *, reason: str = "", now: datetime) -> None:
        """Accept the order."""
        self._guard(OrderStatus.CONFIRMED)
        self._change_status(OrderStatus.CONFIRMED, reason, now)

    def start_processing(self, *, reason: str = "", now: datetime) -> None:
        """Start picking."""
        self._guard(OrderStatus.PROCESSING)
        self._change_status(OrderStatus.PROCESSING, reason, now)

    def ship_everything(self, *, shipment_id: UUID, now: datetime) -> None:
        """Pack and dispatch every open unit as one shipment."""
        self._guard(OrderStatus.SHIPPED)
        items = [
            e.Units(line_id=line.id, quantity=line.open)
            for line in self.lines.values()
            if line.open
        ]
        known: dict[str, Any] = {
            "timestamp": now,
            "order_id": self.id,
            "shipment_id": shipment_id,
            "items": items,
        }
        self._raise_event(e.ShipmentCreated(**known))
        self._raise_event(e.ShipmentDispatched(**known, dispatched_at=now))

    def deliver_everything(self, *, now: datetime) -> None:
        """Record that every shipment on its way has arrived."""
        self._guard(OrderStatus.DELIVERED)
        for shipment in list(self.shipments.values()):
            if shipment.status == Shipment.Status.DISPATCHED:
                self._raise_event(
                    e.ShipmentDelivered(
                        timestamp=now,
                        order_id=self.id,
                        shipment_id=shipment.id,
                        items=shipment.units,
                    )
                )

    def complete(self, *, reason: str = "", now: datetime) -> None:
        """Close the order."""
        self._guard(OrderStatus.COMPLETED)
        self._change_status(OrderStatus.COMPLETED, reason, now)

    def cancel(self, reason: str, *, reason_code: str = "other", now: datetime) -> None:
        """Cancel every unit. Once a unit has been dispatched it is OrderAlreadyShippedError."""
        if any(line.shipped for line in self.lines.values()):
            raise OrderAlreadyShippedError(
                "Cannot cancel shipped order", status=self.status, allowed=self.allowed_moves()
            )
        self._guard(OrderStatus.CANCELLED)
        released = [
            e.ReleasedUnits(line_id=line.id, product_id=line.product_id, quantity=line.unshipped)
            for line in self.lines.values()
            if line.unshipped
        ]
        self._raise_event(
            e.OrderCancelled(
                timestamp=now,
                order_id=self.id,
                reason=reason,
                reason_code=reason_code,
                released=released,
                # Told although it stays: what a cancelled order would have brought.
                total=Money.of(self.total, self.currency),
            )
        )

    def allowed_moves(self) -> list[OrderStatus]:
        """The statuses that this order can be moved to now."""
        return list(WHOLE_ORDER_MOVES[OrderStatus(self.status)])

    def _guard(self, target: OrderStatus) -> None:
        if target in self.allowed_moves():
            return
        if self.status == target:
            message = f"Order {self.order_number} is {target} already."
        else:
            message = f"Order {self.order_number} is {self.status}; it can't become {target}."
        raise InvalidTransitionError(message, status=self.status, allowed=self.allowed_moves())

    def _change_status(self, to: OrderStatus, reason: str, now: datetime) -> None:
        self._raise_event(
            e.OrderStatusChanged(
                timestamp=now,
                order_id=self.id,
                from_status=OrderStatus(self.status),
                to_status=to,
                reason=reason,
            )
        )

    # --- What events do ------------------------------------------------------------------------
    def _raise_event(self, event: e.DomainEvent) -> None:
        before = OrderStatus(self.status) if self.version else None
        super()._raise_event(event)
        if before not in (None, self.status):
            self._pending[-1] = self._pending[-1].model_copy(update={"status_before": before})

    def apply(self, event: e.DomainEvent) -> None:
        match event:
            case e.OrderCreated():
                self._apply_created(event)
            case e.OrderItemAdded():
                line = OrderItem.of(event, number=len(self.lines) + 1)
                self.lines[line.id] = line
                self.total += line.line_total
            case e.OrderAdjustmentAdded(kind="discount"):
                self.total -= event.amount.amount
            case e.OrderAdjustmentAdded():
                self.total += event.amount.amount
            case e.OrderTagged():
                self.tags = [*self.tags, event.tag]
            case e.OrderStatusChanged(to_status=OrderStatus.CONFIRMED):
                self.confirmed_at = event.timestamp
            case e.OrderStatusChanged(to_status=OrderStatus.PROCESSING):
                self.processing_at = event.timestamp
            case e.OrderStatusChanged(to_status=OrderStatus.COMPLETED):
                self.completed_at = event.timestamp
            case e.OrderCancelled():
                for line in self.lines.values():
                    line.cancelled, line.packed = line.ordered, 0
            case e.ShipmentCreated():
                self.shipments[event.shipment_id] = Shipment.of(event)
                self.processing_at = self.processing_at or event.timestamp
                self._count(event.items, packed=1)
            case e.ShipmentDispatched():
                self.shipments[event.shipment_id].status = Shipment.Status.DISPATCHED
                self._count(event.items, packed=-1, shipped=1)
            case e.ShipmentDelivered():
                self.shipments[event.shipment_id].status = Shipment.Status.DELIVERED
                self._count(event.items, delivered=1)
        self.status = self._status()

    def _apply_created(self, event: e.OrderCreated) -> None:
        self.id = event.order_id
        self.order_number = event.order_number
        self.customer_id = event.customer_id
        self.currency = event.currency
        self.placed_at = event.placed_at
        self.expires_at = event.expires_at
        self.source = event.source
        self.external_reference = event.external_reference

    def _count(self, items: Sequence[e.Units], **changes: int) -> None:
        for item in items:
            line = self.lines[item.line_id]
            for column, sign in changes.items():
                setattr(line, column, getattr(line, column) + sign * item.quantity)

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
        resolved = sum(line.delivered + line.failed for line in lines)
        if resolved == shipped and any(line.delivered for line in lines):
            return OrderStatus.DELIVERED
        return OrderStatus.SHIPPED

    def outcome(self) -> dict[str, Any]:
        if not self.currency:
            return {}
        total = Money.of(self.total, self.currency)
        return {
            "customer_id": self.customer_id,
            "status": OrderStatus(self.status),
            "total": total,
            # No payments are recorded yet, so all of it is owed.
            "balance": total,
            "item_count": len(self.lines),
        }

    # --- Loading and saving --------------------------------------------------------------------
    @classmethod
    def load(cls, order_id: UUID, *, customer_scope: UUID | None = None) -> "Order":
        """The order, its row locked until the end of the transaction.

        Raises OrderNotFoundError when there is none, or none of the customer ``customer_scope``.
        """
        visible = {} if customer_scope is None else {"customer_id": customer_scope}
        order = cls.objects.select_for_update().filter(pk=order_id, **visible).first()
        if order is None:
            raise OrderNotFoundError
        order.lines = {line.id: line for line in OrderItem.objects.filter(order_id=order_id)}
        order.shipments = {s.id: s for s in Shipment.objects.filter(order_id=order_id)}
        return order

    def write(self) -> None:
        _upsert(Order, [self])
        _upsert(OrderItem, list(self.lines.values()))
        _upsert(Shipment, list(self.shipments.values()))


def _upsert(model: type[models.Model], rows: Sequence[models.Model]) -> None:
    """Insert or overwrite ``rows`` in one statement."""
    columns = [field.name for field in model._meta.concrete_fields if not field.primary_key]
    model._default_manager.bulk_create(
        rows, update_conflicts=True, unique_fields=["id"], update_fields=columns
    )
