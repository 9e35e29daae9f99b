"""Handlers of the commands about shipments."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from config.databases import tables
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler, happened_at
from ordering_write.models import Order, OrderItem, Reservation

_ROLES = (Role.WAREHOUSE, Role.INTEGRATION)
# The refusals to pack units or to hand them over.
_REFUSALS_TO_SEND = (
    errors.ExceedsStockError,
    errors.InvalidTransitionError,
    errors.OrderOnHoldError,
    errors.PaymentRequiredError,
    errors.QuantityExceedsOpenError,
    errors.RequiresShippingError,
    errors.UnknownLineError,
)


@handles(c.CreateShipment)
class CreateShipmentHandler(OrderHandler[c.CreateShipment]):
    permission = Permission("create_shipment", _ROLES)
    events = (e.ShipmentCreated,)
    refusals = _REFUSALS_TO_SEND

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_pack(payment_required=settings.PAYMENT_BEFORE_PACKING)
        _refuse_unless_in_stock(order)

    def act(self, order: Order, command: c.CreateShipment) -> None:
        order.pack(
            command.items,
            shipment_id=uuid7(),
            carrier=command.carrier,
            service=command.service,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            now=command.timestamp,
        )
        _refuse_beyond_stock(order, command)


def _backordered(order: Order) -> dict[UUID, int]:
    """Return the backordered units of an order by line, for lines that have any."""
    rows = tables.find(Reservation, "order_id = %s AND backordered > 0", [order.id])
    return {row.line_id: row.backordered for row in rows}


def _refuse_unless_in_stock(order: Order) -> None:
    """Raise ExceedsStockError if no unit that waits to be packed is in stock."""
    backordered = _backordered(order)
    lines_to_pack = [line for line in order.lines.values() if line.to_pack]
    if backordered and all(line.to_pack <= backordered.get(line.id, 0) for line in lines_to_pack):
        raise errors.ExceedsStockError([_shortage(line, line.to_pack, 0) for line in lines_to_pack])


def _refuse_beyond_stock(order: Order, command: c.CreateShipment) -> None:
    """Raise ExceedsStockError unless the units that ``order`` has just packed are in stock."""
    requested = Counter[UUID]()
    for item in command.items:
        requested[item.line_id] += item.quantity
    shortages = []
    for line_id, backordered in _backordered(order).items():
        line = order.lines[line_id]
        missing = line.packed - (line.unshipped - backordered)
        if missing > 0 and requested[line_id]:
            in_stock = max(requested[line_id] - missing, 0)
            shortages.append(_shortage(line, requested[line_id], in_stock))
    if shortages:
        raise errors.ExceedsStockError(shortages)


def _shortage(line: OrderItem, requested: int, available: int) -> errors.Shortage:
    return errors.Shortage(
        product_id=line.product_id, sku=line.sku, requested=requested, available=available
    )


@handles(c.HandOverItems)
class HandOverItemsHandler(OrderHandler[c.HandOverItems]):
    permission = Permission("hand_over_items", (Role.CLERK, *_ROLES))
    events = (e.ItemsHandedOver, e.StockDispatched)
    refusals = _REFUSALS_TO_SEND

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_hand_over(payment_required=settings.PAYMENT_BEFORE_PACKING)

    def act(self, order: Order, command: c.HandOverItems) -> None:
        order.hand_over(
            command.items,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            now=command.timestamp,
        )


@handles(c.DispatchShipment)
class DispatchShipmentHandler(OrderHandler[c.DispatchShipment]):
    permission = Permission("dispatch_shipment", _ROLES)
    events = (e.ShipmentDispatched, e.StockDispatched)
    refusals = (
        errors.ExceedsStockError,
        errors.InFutureError,
        errors.OrderOnHoldError,
        errors.ShipmentNotFoundError,
        errors.ShipmentStateError,
        errors.TooEarlyError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_dispatch_shipment()

    def act(self, order: Order, command: c.DispatchShipment) -> None:
        order.dispatch_shipment(
            command.shipment_id,
            carrier=command.carrier,
            tracking_number=command.tracking_number,
            tracking_url=command.tracking_url,
            dispatched_at=happened_at(
                command.dispatched_at,
                now=command.timestamp,
                pointer="#/dispatched_at",
                not_before=order.placed_at,
            ),
            now=command.timestamp,
        )


@handles(c.UpdateTracking)
class UpdateTrackingHandler(OrderHandler[c.UpdateTracking]):
    permission = Permission("update_tracking", _ROLES)
    events = (e.TrackingUpdated,)
    refusals = (errors.ShipmentNotFoundError, errors.ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_update_tracking()

    def act(self, order: Order, command: c.UpdateTracking) -> None:
        order.update_tracking(
            command.shipment_id,
            carrier=command.carrier,
            tracking_number=command.tracking_number,
            tracking_url=command.tracking_url,
            now=command.timestamp,
        )


@handles(c.VoidShipment)
class VoidShipmentHandler(OrderHandler[c.VoidShipment]):
    permission = Permission("void_shipment", _ROLES)
    events = (e.ShipmentVoided,)
    refusals = (errors.ShipmentNotFoundError, errors.ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_void_shipment()

    def act(self, order: Order, command: c.VoidShipment) -> None:
        order.void_shipment(command.shipment_id, now=command.timestamp)


@handles(c.ConfirmDelivery)
class ConfirmDeliveryHandler(OrderHandler[c.ConfirmDelivery]):
    permission = Permission("confirm_delivery", _ROLES)
    events = (e.ShipmentDelivered,)
    refusals = (
        errors.InFutureError,
        errors.ShipmentNotFoundError,
        errors.ShipmentStateError,
        errors.TooEarlyError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_deliver()

    def act(self, order: Order, command: c.ConfirmDelivery) -> None:
        at = _after_dispatch(order, command, command.delivered_at, "#/delivered_at")
        order.deliver(command.shipment_id, at=at)


@handles(c.FailDelivery)
class FailDeliveryHandler(OrderHandler[c.FailDelivery]):
    permission = Permission("fail_delivery", _ROLES)
    events = (e.LostUnitsMadeGood, e.ShipmentFailed, e.StockReserved, e.StockReturned)
    refusals = (
        errors.InFutureError,
        errors.InsufficientInventoryError,
        errors.ShipmentNotFoundError,
        errors.ShipmentStateError,
        errors.TooEarlyError,
        errors.TooManyUnitsError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_deliver()

    def act(self, order: Order, command: c.FailDelivery) -> None:
        at = _after_dispatch(order, command, command.failed_at, "#/failed_at")
        order.fail_delivery(command.shipment_id, command.outcome, resend=command.resend, at=at)
        order.make_lost_units_good(now=at)


def _after_dispatch(
    order: Order, command: c.ConfirmDelivery | c.FailDelivery, at: datetime | None, pointer: str
) -> datetime:
    """Return the time of a fact that follows a dispatch; see ``happened_at``."""
    # Only the log knows the time of the dispatch. Most commands give no time of their own.
    not_before = at and _dispatched_at(order, command.shipment_id)
    return happened_at(at, now=command.timestamp, pointer=pointer, not_before=not_before)


def _dispatched_at(order: Order, shipment_id: UUID) -> datetime:
    """Return the time (UTC) of the dispatch of a shipment; of the order if it hasn't left."""
    for event in reversed(log.read_stream(order.stream)):
        if isinstance(event, e.ShipmentDispatched) and event.shipment_id == shipment_id:
            return event.dispatched_at.astimezone(UTC)
    return order.placed_at
