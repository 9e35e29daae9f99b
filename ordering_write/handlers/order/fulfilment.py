"""Handlers of the commands about parcels and returns."""

from django.conf import settings
from uuid_utils.compat import uuid7

from ordering_write.domain.commands import (
    ConfirmDelivery,
    CreateShipment,
    DispatchShipment,
    FailDelivery,
    ReceiveReturn,
    RejectReturn,
    RequestReturn,
    UpdateTracking,
    VoidShipment,
)
from ordering_write.handlers.order.base import OrderHandler, happened_at, return_window
from ordering_write.models import Order


class CreateShipmentHandler(OrderHandler[CreateShipment]):
    """Pack units that travel together."""

    def act(self, order: Order, command: CreateShipment) -> None:
        order.pack(
            command.items,
            shipment_id=uuid7(),
            carrier=command.carrier,
            service=command.service,
            payment_required=settings.PAYMENT_BEFORE_PACKING,
            now=command.timestamp,
        )


class DispatchShipmentHandler(OrderHandler[DispatchShipment]):
    """Hand a packed shipment to its carrier; its units leave the stock."""

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


class UpdateTrackingHandler(OrderHandler[UpdateTracking]):
    """Say how a shipment can be followed."""

    def act(self, order: Order, command: UpdateTracking) -> None:
        order.update_tracking(
            command.shipment_id,
            carrier=command.carrier,
            tracking_number=command.tracking_number,
            tracking_url=command.tracking_url,
            now=command.timestamp,
        )


class VoidShipmentHandler(OrderHandler[VoidShipment]):
    """Unpack a shipment."""

    def act(self, order: Order, command: VoidShipment) -> None:
        order.void_shipment(command.shipment_id, now=command.timestamp)


class ConfirmDeliveryHandler(OrderHandler[ConfirmDelivery]):
    """Record that a shipment has arrived."""

    def act(self, order: Order, command: ConfirmDelivery) -> None:
        at = happened_at(command.delivered_at, now=command.timestamp, pointer="#/delivered_at")
        order.deliver(command.shipment_id, at=at)


class FailDeliveryHandler(OrderHandler[FailDelivery]):
    """Record that a shipment was lost, or came back to stock."""

    def act(self, order: Order, command: FailDelivery) -> None:
        at = happened_at(command.failed_at, now=command.timestamp, pointer="#/failed_at")
        order.fail_delivery(command.shipment_id, command.outcome, at=at)


class RequestReturnHandler(OrderHandler[RequestReturn]):
    """Ask to send units back."""

    def act(self, order: Order, command: RequestReturn) -> None:
        order.request_return(
            command.items, return_id=uuid7(), window=return_window(), now=command.timestamp
        )


class ReceiveReturnHandler(OrderHandler[ReceiveReturn]):
    """Record what has come back; what can be sold again goes to stock."""

    def act(self, order: Order, command: ReceiveReturn) -> None:
        order.receive_return(command.return_id, command.items, now=command.timestamp)


class RejectReturnHandler(OrderHandler[RejectReturn]):
    """Refuse what has not come back."""

    def act(self, order: Order, command: RejectReturn) -> None:
        order.reject_return(command.return_id, command.reason, now=command.timestamp)
