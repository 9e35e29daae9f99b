"""The Order aggregate: its state machine, and how it is loaded and saved."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from config.databases import tables
from ordering_write.domain import events as e
from ordering_write.domain.errors import OrderNotFoundError, StatusNotSettableError
from ordering_write.domain.events import LIVE, OrderStatus
from ordering_write.models import unit_of_work
from ordering_write.models.identifier import Identifier
from ordering_write.models.order.adjusting import Adjusting
from ordering_write.models.order.annotating import Annotating
from ordering_write.models.order.attention import concerns
from ordering_write.models.order.capturing import Capturing
from ordering_write.models.order.editing import Editing
from ordering_write.models.order.facts import keeps_all_facts, read_facts
from ordering_write.models.order.parts import OrderItem, Shipment
from ordering_write.models.order.paying import Paying
from ordering_write.models.order.payments import CAPTURED_SIGNS, add_fact
from ordering_write.models.order.placing import Placing
from ordering_write.models.order.refunding import Refunding
from ordering_write.models.order.replacing import Replacing
from ordering_write.models.order.reporting import Reporting
from ordering_write.models.order.returning import Returning
from ordering_write.models.order.shipping import Shipping
from ordering_write.models.order.state import OrderState


class OrderInMemoryError(Exception):
    """An order that was made in memory can't be saved: dispatch CreateOrder to place an order."""


class Order(
    Reporting,
    Placing,
    Editing,
    Adjusting,
    Shipping,
    Returning,
    Replacing,
    Paying,
    Capturing,
    Refunding,
    Annotating,
    OrderState,
):
    """A customer's accepted request for goods, with the prices agreed when it was placed."""

    class Meta(OrderState.Meta):
        abstract = False

    # --- The state machine -----------------------------------------------------------------------
    def evolve(self, event: e.DomainEvent) -> None:
        match event:
            # The whole order
            case e.OrderCreated():
                self.id = event.order_id
                self.order_number = event.order_number
                self.customer_id = event.customer_id
                self.currency = event.currency
                self.adjustments = []
                self.placed_at = event.placed_at
                self.expires_at = event.expires_at
                self.source = event.source
                self.external_reference = event.external_reference
                self.po_number = event.po_number or ""
            case e.OrderStatusChanged(to_status=OrderStatus.CONFIRMED):
                self.confirmed_at = event.timestamp
            case e.OrderStatusChanged(to_status=OrderStatus.PROCESSING):
                self.processing_at = event.timestamp
            case e.OrderStatusChanged(to_status=OrderStatus.COMPLETED):
                self.completed_at = event.timestamp
            case e.OrderCancelled():
                for line in self.lines.values():
                    line.cancelled, line.packed = line.ordered, 0
                    self._changed.add(line.id)
            case e.OrderHeld():
                self.hold_reason = event.reason
            case e.OrderHoldReleased():
                self.hold_reason = ""
            # Lines and adjustments
            case e.OrderItemAdded():
                self._add_line(event)
            case e.OrderAdjustmentAdded():
                self._add_adjustment(event)
            case e.OrderAdjustmentRemoved():
                self._remove_adjustment(event)
            case e.OrderItemPriceChanged():
                self._change_unit_price(event)
            case e.OrderItemQuantityChanged():
                self.lines[event.line_id].ordered = event.to_quantity
                self._reprice(event.line_id, event.line_total)
                self._assign_prices(event.price)
            case e.OrderItemsCancelled():
                self._credit(event.items, cancelled=1)
            case e.ShippingAddressChanged() if event.price is not None:
                # Taxes depend on the address.
                self._assign_prices(event.price)
            # Shipments
            case e.ShipmentCreated():
                self.shipments[event.shipment_id] = Shipment.of(event)
                self.processing_at = self.processing_at or event.timestamp
                self._count(event.items, packed=1)
                self._changed.add(event.shipment_id)
            case e.ItemsHandedOver():
                self._count(event.items, shipped=1, delivered=1)
                self.delivered_at = max(self.delivered_at or event.timestamp, event.timestamp)
            case e.ShipmentVoided():
                self._count(event.items, packed=-1)
                self._change_shipment(event.shipment_id, status=Shipment.Status.VOIDED)
            case e.ShipmentDispatched():
                self._count(event.items, packed=-1, shipped=1)
                self._change_shipment(event.shipment_id, status=Shipment.Status.DISPATCHED)
                self._track(event)
            case e.TrackingUpdated():
                self._track(event)
            case e.ShipmentDelivered():
                self._count(event.items, delivered=1)
                self._change_shipment(event.shipment_id, status=Shipment.Status.DELIVERED)
                self.delivered_at = max(self.delivered_at or event.timestamp, event.timestamp)
            case e.ShipmentFailed():
                if event.resend:
                    self._count(event.items, shipped=-1)
                else:
                    self._credit(event.items, failed=1)
                self._change_shipment(event.shipment_id, status=Shipment.Status.FAILED)
            # Returns
            case e.ReturnRequested():
                self._count(event.items, return_requested=1)
                units = {str(item.line_id): item.quantity for item in event.items}
                self.returns[str(event.return_id)] = units
                if event.exchange_for:
                    self.exchanges[str(event.return_id)] = {"received": 0, "credit": "0"}
            case e.ReturnReceived():
                self._credit(event.items, return_requested=-1, returned=1)
                self._expect_no_longer(event.return_id, event.items)
                self._hold_credit(event)
            case e.ReturnRejected():
                self._count(event.items, return_requested=-1)
                self._expect_no_longer(event.return_id, event.items)
                if not self.is_exchange_due(event.return_id):
                    self.exchanges.pop(str(event.return_id), None)
            # Replacements
            case e.OrderReplaced():
                self.exchanges.pop(str(event.return_id), None)
                self._count_free_units(event.free_units or (), 1)
            case e.LostUnitsMadeGood():
                self._make_good(event.items)
            case e.ExchangeFailed():
                self.exchanges.pop(str(event.return_id), None)
            case e.CreditTransferred(direction="out"):
                self.refunded += event.amount.amount
            case e.CreditTransferred():
                self.captured += event.amount.amount
                self.transferred_payments = [*self.transferred_payments, *event.payment_ids]
            # Money
            case e.PaymentRecorded():
                add_fact(self.payments, event)
                self.captured += CAPTURED_SIGNS.get(event.kind, 0) * event.amount.amount
                self._answer_capture(event)
            case e.CaptureRequested():
                self.captures[str(event.capture_id)] = {
                    "payment_id": event.payment_id,
                    "amount": str(event.amount.amount),
                    "status": "requested",
                    "at": event.timestamp.astimezone(UTC).isoformat(),
                }
            case e.RefundRequested():
                self._change_refund(event, "requested")
            case e.RefundSettled():
                self.refunded += event.amount.amount
                self._change_refund(event, "settled")
            case e.RefundFailed():
                self._change_refund(event, "failed")
            case e.RefundBounced():
                self.refunded -= event.amount.amount
                self._change_refund(event, "bounced")
            case e.RefundReferenced():
                self.refunds[str(event.refund_id)]["reference"] = event.reference
            case e.AttentionResolved():
                amounts = concerns(self)
                resolved = {reason.value: str(amounts[reason]) for reason in event.reasons}
                self.attention_resolved = {**self.attention_resolved, **resolved}
            # Annotations
            case e.OrderTagged():
                self.tags = [*self.tags, event.tag]
            case e.OrderUntagged():
                self.tags = [tag for tag in self.tags if tag != event.tag]
            case e.OrderMetadataChanged():
                subject = self.lines[event.line_id] if event.line_id else self
                subject.metadata = event.merged(subject.metadata)
                self._changed.add(subject.id)
            case e.OrderPoNumberChanged():
                self.po_number = event.po_number or ""
            case e.OrderAssigned():
                self.assignee = event.assignee or ""
            case e.NoteAdded():
                self.notes[str(event.note_id)] = True
            case e.NoteRedacted():
                self.notes[str(event.note_id)] = False
            case e.OrderAnonymized():
                self._forget_metadata()
        self.status = self.derive_status()
        if self.status not in LIVE:
            # Goods that can't move any more aren't held.
            self.hold_reason = ""

    def _count(self, items: Sequence[e.Units], **signs: int) -> None:
        """Add the units of ``items`` to columns of their lines, or subtract them: ``packed=-1``."""
        for item in items:
            line = self.lines[item.line_id]
            for column, sign in signs.items():
                setattr(line, column, getattr(line, column) + sign * item.quantity)
            self._changed.add(line.id)

    def _credit(self, items: Sequence[e.CreditedUnits], **signs: int) -> None:
        """Count units that are no longer owed, and lower the prices of their lines."""
        self._count(items, **signs)
        total = self.total
        for item in items:
            self._reprice(item.line_id, item.line_total)
        if items[0].price is not None:
            self.total = total
            self._lower_total()

    def _reprice(self, line_id: UUID, line_total: e.Money) -> None:
        line = self.lines[line_id]
        self.total += line_total.amount - line.line_total
        line.line_total = line_total.amount
        self._changed.add(line_id)

    def _forget_metadata(self) -> None:
        """Forget the metadata, which is personal."""
        self.metadata = {}
        for line in self.lines.values():
            if line.metadata:
                line.metadata = {}
                self._changed.add(line.id)

    def _change_shipment(self, shipment_id: UUID, **columns: str) -> None:
        for column, value in columns.items():
            setattr(self.shipments[shipment_id], column, value)
        self._changed.add(shipment_id)

    def _track(self, event: e.ShipmentDispatched | e.TrackingUpdated) -> None:
        names = ("carrier", "tracking_number", "tracking_url")
        columns = {name: text for name in names if (text := getattr(event, name))}
        self._change_shipment(event.shipment_id, **columns)

    def _expect_no_longer(self, return_id: UUID, items: Sequence[e.Units]) -> None:
        """Subtract units that were received or rejected from those that a return expects."""
        expected = self.returns[str(return_id)]
        closed_units = {str(item.line_id): item.quantity for item in items}
        open_units = {
            line_id: units - closed_units.get(line_id, 0) for line_id, units in expected.items()
        }
        self.returns[str(return_id)] = {
            line_id: units for line_id, units in open_units.items() if units
        }

    # --- Moving the whole order ------------------------------------------------------------------
    def move_to(
        self,
        status: OrderStatus,
        *,
        reason: str = "",
        by_customer: bool = False,
        payment_required: bool = False,
        shipment_id: UUID,
        now: datetime,
    ) -> None:
        """Move the whole order to ``status``, by the events that this move implies."""
        match status:
            case OrderStatus.CONFIRMED:
                self.confirm(reason=reason, now=now)
            case OrderStatus.PROCESSING:
                self.start_processing(reason=reason, now=now)
            case OrderStatus.SHIPPED:
                self.ship_everything(
                    shipment_id=shipment_id, payment_required=payment_required, now=now
                )
            case OrderStatus.DELIVERED:
                self.deliver_everything(now=now)
            case OrderStatus.COMPLETED:
                self.complete(reason=reason, now=now)
            case OrderStatus.CANCELLED:
                self.cancel(reason or "status set to cancelled", by_customer=by_customer, now=now)
            case _:
                raise StatusNotSettableError(
                    f"The status {status} follows from facts and can't be set.", pointer="#/status"
                )

    # --- Loading and saving ----------------------------------------------------------------------
    @classmethod
    def load(cls, order_id: UUID, *, customer_scope: UUID | None = None) -> "Order":
        """Return the order, its row locked until the end of the transaction.

        Raises OrderNotFoundError when there is no such order, or when ``customer_scope`` is the id
        of another customer than the one who ordered.
        """
        unit = unit_of_work.current()
        kept = unit.find(cls, order_id) if unit else None
        order = kept or next(iter(cls.lock("id = %s", [order_id])), None)
        if order is None or customer_scope not in (None, order.customer_id):
            raise OrderNotFoundError
        if kept is None:
            # Packing begins the processing, so an order without processing has no shipments.
            cls.add_parts({order.pk: order}, with_shipments=order.processing_at is not None)
        return order

    @classmethod
    def load_all_of(cls, customer_id: UUID) -> "list[Order]":
        """Return every order of a customer, their rows locked in the order of their ids."""
        rows = cls.objects.filter(customer_id=customer_id)
        orders = {order.pk: order for order in rows.select_for_update().order_by("pk")}
        cls.add_parts(orders)
        return list(orders.values())

    @classmethod
    def load_whole(cls, keys: "Collection[UUID]") -> "Mapping[UUID, Order]":
        orders = cls.objects.in_bulk(keys)
        cls.add_parts(orders)
        return orders

    @classmethod
    def add_parts(cls, orders: "Mapping[UUID, Order]", *, with_shipments: bool = True) -> None:
        """Load the lines and shipments of ``orders``, a mapping from ids."""
        condition, ids = f"order_id = {tables.ANY_OF_IDS} ORDER BY order_id,", [list(orders)]
        if incomplete := [order for order in orders.values() if not keeps_all_facts(order)]:
            read_facts(incomplete)
        for line in tables.find(OrderItem, f"{condition} number", ids):
            orders[line.order_id].lines[line.id] = line
        if with_shipments:
            for shipment in tables.find(Shipment, f"{condition} id", ids):
                orders[shipment.order_id].shipments[shipment.id] = shipment

    @classmethod
    def at_rest(cls, keys: "Collection[UUID]") -> "Collection[UUID]":
        # Rows of earlier releases lack facts, which are read from the events.
        orders = cls.objects.in_bulk(keys)
        orders = {key: order for key, order in orders.items() if keeps_all_facts(order)}
        cls.add_parts(orders, with_shipments=False)
        return [key for key, order in orders.items() if order.is_settled]

    def refuse_unsavable(self) -> None:
        if not self.order_number:
            raise OrderInMemoryError(OrderInMemoryError.__doc__)

    @classmethod
    def write_all(cls, aggregates: "Sequence[Order]") -> None:
        tables.save(aggregates, unique=["id"])
        kind = Identifier.Kind.REFERENCE
        tables.insert(
            [
                Identifier.of(kind, order.external_reference, order.pk, scope=order.source)
                for order in aggregates
                if order.external_reference and order._saved_version == 0
            ]
        )
        for parts in ("lines", "shipments"):
            changed = [
                part
                for order in aggregates
                for key, part in getattr(order, parts).items()
                if key in order._changed
            ]
            tables.save(changed, unique=["id"])
        for order in aggregates:
            order._changed.clear()
