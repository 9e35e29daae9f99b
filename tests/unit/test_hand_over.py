"""Lines that require no shipping: picked up or downloaded, without a parcel."""

from typing import Any

import pytest
from uuid_utils.compat import uuid7

from ordering_write.domain.commands import LineQuantity, ReceivedLine, ReturnedLine
from ordering_write.domain.errors import (
    OrderAlreadyShippedError,
    OrderOnHoldError,
    PaymentRequiredError,
    QuantityExceedsOpenError,
    RequiresShippingError,
)
from ordering_write.domain.events import (
    DeliveryFailure,
    HoldReason,
    ItemsHandedOver,
    OrderStatus,
    ReturnReason,
    ShipmentCreated,
    ShipmentDispatched,
)
from ordering_write.models import Order
from tests.kit import NOW, event, given, moved, placed


def order_of(*shipped_units: int, handed_over: int = 2) -> list[Any]:
    """The events of a confirmed order: lines that are shipped, then one that is handed over."""
    created, *items = placed(*shipped_units, handed_over)
    items[-1] = items[-1].model_copy(update={"requires_shipping": False})
    return moved(
        OrderStatus.CONFIRMED,
        events=Order.create(created=created, items=items).pending_events,
    )


def units(order: Order, quantity: int, *, line: int = -1) -> list[LineQuantity]:
    """So many units of a line, by default of the last one."""
    return [LineQuantity(line_id=list(order.lines)[line], quantity=quantity)]


def hand_over(quantity: int, **options: Any) -> Any:
    return lambda order: order.hand_over(units(order, quantity), now=NOW, **options)


def test_an_order_is_delivered_when_all_units_are_handed_over():
    given(*order_of()).when(hand_over(1)).then(
        event(ItemsHandedOver, status="partially_shipped", fulfilment_status="partial")
    )
    order = (
        given(*order_of())
        .when(hand_over(2))
        .then(event(ItemsHandedOver, status="delivered", fulfilment_status="fulfilled"))
        .aggregate
    )
    assert order.delivered_at == NOW
    order.complete(now=NOW)
    assert order.status == OrderStatus.COMPLETED


def test_an_order_with_a_parcel_is_shipped_until_the_parcel_arrives():
    order = given(*order_of(1)).when(hand_over(2)).aggregate
    assert order.status == OrderStatus.PARTIALLY_SHIPPED
    order.ship_everything(shipment_id=uuid7(), now=NOW)
    assert order.status == OrderStatus.SHIPPED
    order.deliver_everything(now=NOW)
    assert order.status == OrderStatus.DELIVERED


def test_shipping_the_whole_order_hands_over_what_requires_no_shipping():
    shipment_id = uuid7()

    def ship(order: Order) -> None:
        order.ship_everything(shipment_id=shipment_id, now=NOW)

    given(*order_of(3)).when(ship).then(
        event(ShipmentCreated, shipment_id=shipment_id),
        event(ItemsHandedOver, status="partially_shipped"),
        event(ShipmentDispatched, status="shipped"),
    )
    given(*order_of()).when(ship).then(event(ItemsHandedOver, status="delivered"))


def test_units_are_packed_or_handed_over_as_their_line_says():
    order = given(*order_of(1)).when(lambda _: None).aggregate
    with pytest.raises(RequiresShippingError, match="SAMPLE-1 requires shipping; pack the units"):
        order.hand_over(units(order, 1, line=0), now=NOW)
    with pytest.raises(RequiresShippingError, match="SAMPLE-2 requires no shipping"):
        order.pack(units(order, 1), shipment_id=uuid7(), now=NOW)
    with pytest.raises(QuantityExceedsOpenError, match="3 units of SAMPLE-2"):
        order.hand_over(units(order, 3), now=NOW)


def test_an_order_has_nothing_to_pack_or_to_hand_over_of_the_other_kind():
    order = given(*order_of()).when(lambda _: None).aggregate
    with pytest.raises(QuantityExceedsOpenError, match="is left to pack"):
        order.may_pack()
    given(*moved(OrderStatus.CONFIRMED)).when(lambda order: order.may_hand_over()).then_refused(
        QuantityExceedsOpenError, "No unit of order 2026-000001 is left to hand over."
    )


def test_units_are_not_handed_over_on_hold_nor_unpaid_where_payment_comes_first():
    given(*order_of()).when(hand_over(1, payment_required=True)).then_refused(
        PaymentRequiredError,
        "Order 2026-000001 must be paid or authorized before it is handed over.",
    )
    order = given(*order_of()).when(lambda order: order.hold(HoldReason.OTHER, now=NOW)).aggregate
    with pytest.raises(OrderOnHoldError):
        hand_over(1)(order)


def test_handed_over_units_can_be_returned_and_no_longer_cancelled():
    order = given(*order_of()).when(hand_over(1)).aggregate
    with pytest.raises(OrderAlreadyShippedError):
        order.cancel("Too late", now=NOW)
    order.cancel_items(units(order, 1), "Too many", now=NOW)
    assert order.status == OrderStatus.DELIVERED

    return_id, [line_id] = uuid7(), list(order.lines)
    back = ReturnedLine(line_id=line_id, quantity=1, reason=ReturnReason.UNWANTED)
    order.request_return([back], return_id=return_id, now=NOW)
    received = ReceivedLine(line_id=line_id, restock=0, damaged=1)
    order.receive_return(return_id, [received], now=NOW)
    assert (order.total, order.return_status()) == (0, "returned")


def test_a_lost_parcel_leaves_handed_over_units_with_the_customer():
    order = given(*order_of(1)).when(hand_over(2)).aggregate
    order.ship_everything(shipment_id=uuid7(), now=NOW)
    [shipment_id] = order.shipments
    order.fail_delivery(shipment_id, DeliveryFailure.LOST, at=NOW)
    assert order.status == OrderStatus.DELIVERED
