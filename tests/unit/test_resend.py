"""Shipments that failed and are sent again: the units are owed as before, at the same price."""

from uuid import uuid4

import pytest

from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.errors import ShipmentStateError
from ordering_write.models import Order
from tests.kit import NOW, state
from tests.kit_money import order_of

ADJUSTMENTS = {"discount": 2_000, "tax": 1_659, "shipping": 1_000}


def shipped_order(currency: str = "EUR") -> tuple[list[e.DomainEvent], Order]:
    """Return the events of a shipped and paid order with two lines, and the order."""
    past, order = order_of([(2, 4_950), (1, 990)], ADJUSTMENTS, currency)
    order.record_payment("payment-1", e.PaymentKind.CAPTURED, order.total, at=NOW)
    order.confirm(now=NOW)
    order.ship_everything(shipment_id=uuid4(), now=NOW)
    return [*past, *order.pending_events], order


def resend(order: Order) -> None:
    [shipment_id] = [key for key, row in order.shipments.items() if row.status == "dispatched"]
    order.fail_delivery(shipment_id, e.DeliveryFailure.LOST, resend=True, at=NOW)


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
def test_units_to_be_sent_again_are_open_at_the_same_price(currency):
    past, order = shipped_order(currency)
    total = order.total

    resend(order)

    assert [line.open for line in order.lines.values()] == [2, 1]
    assert order.total == total
    assert order.balance == order.credit == 0
    assert (order.status, order.fulfilment_status()) == ("processing", "in_progress")
    assert state(Order.fold([*past, *order.pending_events])) == state(order)


def test_units_are_packed_and_delivered_the_second_time():
    _, order = shipped_order()
    total = order.total
    resend(order)

    order.ship_everything(shipment_id=uuid4(), now=NOW)
    order.deliver_everything(now=NOW)

    assert (order.status, order.total) == ("delivered", total)
    assert order.balance == 0
    assert [shipment.status for shipment in order.shipments.values()] == ["failed", "delivered"]


def test_an_order_is_partially_shipped_while_one_of_its_parcels_is_sent_again():
    _, order = order_of([(3, 990)], {}, "EUR")
    order.confirm(now=NOW)
    first, second = uuid4(), uuid4()
    for shipment_id, quantity in ((first, 2), (second, 1)):
        units = [c.LineQuantity(line_id=next(iter(order.lines)), quantity=quantity)]
        order.pack(units, shipment_id=shipment_id, now=NOW)
        order.dispatch_shipment(shipment_id, now=NOW)
    order.deliver(first, at=NOW)

    order.fail_delivery(second, e.DeliveryFailure.LOST, resend=True, at=NOW)

    assert (order.status, order.fulfilment_status()) == ("partially_shipped", "partial")


def test_units_to_be_sent_again_can_be_cancelled_and_are_credited_then():
    _, order = shipped_order()
    paid = order.captured
    resend(order)

    order.cancel("No longer wanted", now=NOW)

    assert (order.status, order.balance, order.credit) == ("cancelled", -paid, paid)


def test_units_that_get_lost_the_second_time_are_credited():
    _, order = shipped_order()
    charges = 1_000
    resend(order)
    again = uuid4()
    order.ship_everything(shipment_id=again, now=NOW)

    order.fail_delivery(again, e.DeliveryFailure.LOST, at=NOW)

    assert order.total * 100 == charges
    assert order.credit == order.captured - order.total


def test_a_shipment_fails_once():
    _, order = shipped_order()
    [shipment_id] = order.shipments
    resend(order)

    with pytest.raises(ShipmentStateError):
        order.fail_delivery(shipment_id, e.DeliveryFailure.LOST, resend=True, at=NOW)
