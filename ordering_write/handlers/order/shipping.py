"""Handlers of the commands about shipments."""

from django.conf import settings
from uuid_utils.compat import uuid7

from config.accounts.roles import Role
from ordering_write.domain import events as e
from ordering_write.domain.commands import (
    ConfirmDelivery,
    CreateShipment,
    DispatchShipment,
    FailDelivery,
    UpdateTracking,
    VoidShipment,
)
from ordering_write.domain.errors import (
    InFutureError,
    InvalidTransitionError,
    OrderOnHoldError,
    PaymentRequiredError,
    QuantityExceedsOpenError,
    ShipmentNotFoundError,
    ShipmentStateError,
    UnknownLineError,
)
from ordering_write.handlers.base import Permission, handles
from ordering_write.handlers.order.base import Caller, OrderHandler, happened_at
from ordering_write.models import Order

_ROLES = (Role.WAREHOUSE, Role.INTEGRATION)


@handles(CreateShipment)
class CreateShipmentHandler(OrderHandler[CreateShipment]):
    permission = Permission("create_shipment", _ROLES)
    events = (e.ShipmentCreated,)
    refusals = (
        InvalidTransitionError,
        OrderOnHoldError,
        PaymentRequiredError,
        QuantityExceedsOpenError,
        UnknownLineError,
    )

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_pack(payment_required=settings.PAYMENT_BEFORE_PACKING)

    def act(self, order: Order, command: CreateShipment) -> None:
        order.pack(
            command.items,
            shipment_id=uuid7(),
            carrier=command.carrier,
            service=command.service,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            now=command.timestamp,
        )


@handles(DispatchShipment)
class DispatchShipmentHandler(OrderHandler[DispatchShipment]):
    permission = Permission("dispatch_shipment", _ROLES)
    events = (e.ShipmentDispatched, e.StockDispatched)
    refusals = (InFutureError, OrderOnHoldError, ShipmentNotFoundError, ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_dispatch_shipment()

    def act(self, order: Order, command: DispatchShipment) -> None:
        order.dispatch_shipment(
            command.shipment_id,
            carrier=command.carrier,
            tracking_number=command.tracking_number,
            tracking_url=command.tracking_url,
            dispatched_at=happened_at(
                command.dispatched_at, now=command.timestamp, pointer="#/dispatched_at"
            ),
            now=command.timestamp,
        )


@handles(UpdateTracking)
class UpdateTrackingHandler(OrderHandler[UpdateTracking]):
    permission = Permission("update_tracking", _ROLES)
    events = (e.TrackingUpdated,)
    refusals = (ShipmentNotFoundError, ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_update_tracking()

    def act(self, order: Order, command: UpdateTracking) -> None:
        order.update_tracking(
            command.shipment_id,
            carrier=command.carrier,
            tracking_number=command.tracking_number,
            tracking_url=command.tracking_url,
            now=command.timestamp,
        )


@handles(VoidShipment)
class VoidShipmentHandler(OrderHandler[VoidShipment]):
    permission = Permission("void_shipment", _ROLES)
    events = (e.ShipmentVoided,)
    refusals = (ShipmentNotFoundError, ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_void_shipment()

    def act(self, order: Order, command: VoidShipment) -> None:
        order.void_shipment(command.shipment_id, now=command.timestamp)


@handles(ConfirmDelivery)
class ConfirmDeliveryHandler(OrderHandler[ConfirmDelivery]):
    permission = Permission("confirm_delivery", _ROLES)
    events = (e.ShipmentDelivered,)
    refusals = (InFutureError, ShipmentNotFoundError, ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_deliver()

    def act(self, order: Order, command: ConfirmDelivery) -> None:
        at = happened_at(command.delivered_at, now=command.timestamp, pointer="#/delivered_at")
        order.deliver(command.shipment_id, at=at)


@handles(FailDelivery)
class FailDeliveryHandler(OrderHandler[FailDelivery]):
    permission = Permission("fail_delivery", _ROLES)
    events = (e.ShipmentFailed, e.StockReturned)
    refusals = (InFutureError, ShipmentNotFoundError, ShipmentStateError)

    def guard(self, order: Order, caller: Caller) -> None:
        order.may_deliver()

    def act(self, order: Order, command: FailDelivery) -> None:
        at = happened_at(command.failed_at, now=command.timestamp, pointer="#/failed_at")
        order.fail_delivery(command.shipment_id, command.outcome, at=at)
