"""What the shop does by itself: each policy, from what has happened to what it does."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ordering_write import log, policies
from ordering_write.domain import commands as c
from ordering_write.domain import events as e
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Actor
from ordering_write.models import Order, StockItem, Timer
from ordering_write.policies.base import became
from ordering_write.policies.models import PolicyCheckpoint
from ordering_write.ports.carrier import Tracking
from ordering_write.ports.payment import PaymentAnswer
from tests import kit
from tests.kit import NOW
from tests.kit_policies import (
    DAY,
    HOUR,
    Carrier,
    Doubter,
    Gateway,
    Postman,
    by,
    give,
    last,
    new_order,
    plug,
    story,
)

pytestmark = pytest.mark.usefixtures("db")


def pay(order: Order, amount: str = "39.80", kind: str = "captured", name: str = "pay-1") -> None:
    give(c.RecordPayment, order, payment_id=name, kind=kind, amount=amount)


def lines_of(order: Order, quantity: int = 2) -> list[dict[str, Any]]:
    [added] = [one for one in log.read_stream(order.stream) if isinstance(one, e.OrderItemAdded)]
    return [{"line_id": added.line_id, "quantity": quantity}]


def packed(order: Order) -> Any:
    """The id of the shipment of all units."""
    give(c.ConfirmOrder, order)
    return give(c.CreateShipment, order, items=lines_of(order))[0].shipment_id


def delivered(order: Order) -> None:
    shipment_id = packed(order)
    give(c.DispatchShipment, order, shipment_id=shipment_id)
    give(c.ConfirmDelivery, order, shipment_id=shipment_id)


def return_requested(order: Order, quantity: int) -> Any:
    items = [{**lines_of(order, quantity)[0], "reason": "unwanted"}]
    return give(c.RequestReturn, order, items=items)[0].return_id


def returned(order: Order, quantity: int) -> None:
    return_id = return_requested(order, quantity)
    items = [{"line_id": lines_of(order)[0]["line_id"], "restock": quantity}]
    give(c.ReceiveReturn, order, return_id=return_id, items=items)


# --- Beginning ---------------------------------------------------------------------------------
def test_policies_on_an_old_log_begin_at_its_head():
    old = new_order(reserve_for=HOUR)
    PolicyCheckpoint.objects.all().delete()

    policies.SUBSCRIPTION.ensure_checkpoints()
    policies.SUBSCRIPTION.ensure_checkpoints()

    by(NOW + 2 * HOUR)
    assert story(old) == []
    young = new_order(reserve_for=HOUR)
    by(NOW + 2 * HOUR)
    assert story(old) == []
    assert story(young) == ["OrderCancelled"]


# --- Unpaid orders -----------------------------------------------------------------------------
def test_an_unpaid_order_expires_when_its_time_is_over():
    order = new_order(reserve_for=HOUR)

    by(NOW + HOUR - timedelta(seconds=1))
    assert story(order) == []

    by(NOW + HOUR)
    expired = last(order)
    assert isinstance(expired, e.OrderCancelled)
    assert expired.reason_code == "expired"
    assert expired.timestamp == NOW + HOUR
    assert StockItem.objects.get().reserved == 0


def test_what_a_policy_does_names_the_policy_and_its_cause():
    order = new_order(reserve_for=HOUR)
    by(NOW + HOUR)

    created, done = log.read_stream(order.stream)[0].recorded, last(order).recorded
    assert done.actor == Actor(type="policy", id="expire_unpaid", label="expire_unpaid")
    assert done.channel == "policy"
    assert done.causation_id == created.event_id
    assert done.correlation_id == created.correlation_id


@pytest.mark.parametrize("kind", ["captured", "authorized"])
def test_a_paid_order_does_not_expire(kind: str):
    order = new_order(reserve_for=HOUR)
    pay(order, kind=kind)

    by(NOW + HOUR)

    assert story(order) == ["PaymentRecorded"]
    assert not Timer.objects.exists()


@pytest.mark.parametrize("voided_after", [0, 2])
def test_an_order_whose_authorization_was_voided_is_unpaid_again(voided_after: int):
    order = new_order(reserve_for=HOUR)
    pay(order, kind="authorized")
    by(NOW + voided_after * HOUR)
    pay(order, kind="voided")

    by(NOW + timedelta(minutes=59))
    assert last(order).type == "PaymentRecorded"
    by(NOW + 2 * HOUR)
    assert last(order).type == "OrderCancelled"


@pytest.mark.parametrize(("hours", "expires_at"), [(0, None), (6, NOW + 6 * HOUR)])
def test_a_setting_says_when_orders_expire_that_don_t(settings: Any, hours: int, expires_at: Any):
    settings.RESERVE_FOR_HOURS = hours

    assert new_order().expires_at == expires_at
    assert new_order(reserve_for=HOUR).expires_at == NOW + HOUR


# --- Confirming and completing -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("is_on", "amount", "status"),
    [
        (True, "39.80", OrderStatus.CONFIRMED),
        (True, "50.00", OrderStatus.CONFIRMED),
        (True, "39.79", OrderStatus.PENDING),
        (False, "39.80", OrderStatus.PENDING),
    ],
)
def test_a_capture_that_covers_the_order_confirms_it(
    settings: Any, is_on: bool, amount: str, status: OrderStatus
):
    settings.CONFIRM_WHEN_PAID = is_on
    order = new_order()
    pay(order, amount)

    by(NOW)

    assert last(order).status == status


def test_what_is_authorized_does_not_confirm(settings: Any):
    settings.CONFIRM_WHEN_PAID = True
    order = new_order()
    pay(order, kind="authorized")

    by(NOW)

    assert story(order) == ["PaymentRecorded"]


def test_a_paid_order_that_was_on_hold_is_confirmed_when_it_is_released(settings: Any):
    settings.CONFIRM_WHEN_PAID = True
    order = new_order()
    give(c.PlaceHold, order, reason="address")
    pay(order)
    by(NOW)
    assert last(order).type == "PaymentRecorded"

    give(c.ReleaseHold, order)
    by(NOW)

    assert last(order).status == OrderStatus.CONFIRMED


@pytest.mark.parametrize("days", [0, 14])
def test_a_delivered_order_is_completed_after_some_days(settings: Any, days: int):
    settings.COMPLETE_AFTER_DAYS = days
    order = new_order()
    delivered(order)

    by(NOW + 14 * DAY - timedelta(seconds=1))
    assert last(order).status == OrderStatus.DELIVERED
    by(NOW + 14 * DAY)

    done = OrderStatus.COMPLETED if days else OrderStatus.DELIVERED
    assert last(order).status == done


def test_an_expected_return_delays_completing(settings: Any):
    settings.COMPLETE_AFTER_DAYS = 14
    order = new_order()
    delivered(order)
    return_id = return_requested(order, 1)
    by(NOW + 14 * DAY)
    assert last(order).type == "ReturnRequested"

    give(c.RejectReturn, order, return_id=return_id, reason="worn", timestamp=NOW + 20 * DAY)
    by(NOW + 33 * DAY)
    assert last(order).type == "ReturnRejected"
    by(NOW + 34 * DAY)
    assert last(order).status == OrderStatus.COMPLETED


# --- Risk --------------------------------------------------------------------------------------
def test_an_order_that_is_doubtful_is_held(settings: Any):
    plug(settings, risk=Doubter)
    order = new_order()

    by(NOW)

    held = last(order)
    assert isinstance(held, e.OrderHeld)
    assert (held.reason, held.note) == (e.HoldReason.FRAUD_REVIEW, "large")
    [placed] = Doubter.calls("assess")
    assert [one.type for one in placed] == ["OrderCreated", "OrderItemAdded"]


def test_all_orders_are_allowed_by_default():
    order = new_order()
    by(NOW)
    assert story(order) == []


# --- Money -------------------------------------------------------------------------------------
def test_what_was_captured_for_a_cancelled_order_is_to_be_refunded():
    order = new_order()
    pay(order, "30.00", name="pay-1")
    pay(order, "9.80", name="pay-2")
    kit.dispatch(kit.cancel(order))

    by(NOW)

    requested = last(order)
    assert isinstance(requested, e.RefundRequested)
    assert requested.amount.amount == Decimal("39.80")


def test_an_order_of_which_the_last_unit_is_cancelled_is_cancelled():
    order = new_order()
    pay(order)
    give(c.CancelOrderItems, order, items=lines_of(order), reason="sold out")

    by(NOW)

    assert last(order).type == "RefundRequested"


def test_what_is_captured_after_a_cancel_is_to_be_refunded():
    order = new_order()
    kit.dispatch(kit.cancel(order))
    by(NOW)
    assert story(order) == ["OrderCancelled"]

    pay(order, "30.00", name="pay-1")
    by(NOW)
    pay(order, "9.80", name="pay-2")
    by(NOW)

    refunds = [one for one in log.read_stream(order.stream) if isinstance(one, e.RefundRequested)]
    assert [one.amount.amount for one in refunds] == [Decimal("30.00"), Decimal("9.80")]
    assert last(order).status == OrderStatus.CANCELLED


def test_two_late_captures_at_once_are_refunded_once():
    order = new_order()
    kit.dispatch(kit.cancel(order))
    pay(order, "30.00", name="pay-1")
    pay(order, "9.80", name="pay-2")

    by(NOW)

    refunds = [one for one in log.read_stream(order.stream) if isinstance(one, e.RefundRequested)]
    assert [one.amount.amount for one in refunds] == [Decimal("39.80")]


@pytest.mark.parametrize(
    ("captured", "quantity", "refund"),
    [
        ("39.80", 1, "19.90"),
        ("39.80", 2, "39.80"),
        # Who hasn't paid all gets back what is more than the rest costs.
        ("25.00", 1, "5.10"),
        ("10.00", 1, None),
    ],
)
def test_a_received_return_is_to_be_refunded(captured: str, quantity: int, refund: str | None):
    order = new_order()
    pay(order, captured)
    delivered(order)
    returned(order, quantity)

    by(NOW)

    if refund is None:
        assert last(order).type == "ReturnReceived"
        return
    requested = last(order)
    assert isinstance(requested, e.RefundRequested)
    assert requested.amount.amount == Decimal(refund)
    assert requested.return_id is not None
    assert requested.lines is not None
    assert [line.quantity for line in requested.lines] == [quantity]


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (PaymentAnswer(is_done=True, reference="r-1"), "RefundSettled"),
        (PaymentAnswer(is_done=False, reference="r-1", reason="card expired"), "RefundFailed"),
        (None, "RefundRequested"),
    ],
)
def test_a_refund_is_handed_to_the_gateway(settings: Any, answer: Any, ending: str):
    plug(settings, payment=Gateway)
    Gateway.answers["refund"] = answer
    order = new_order()
    pay(order)
    refund = give(c.RequestRefund, order, amount="5.00", reason="late")[0]

    by(NOW)

    assert last(order).type == ending
    [call] = Gateway.calls("refund")
    assert call == {
        "order_id": order.pk,
        "payment_ids": ["pay-1"],
        "amount": refund.amount,
    }
    if answer:
        assert last(order).refund_id == refund.refund_id
        assert last(order).reference == "r-1"


def test_a_refund_that_somebody_has_made_is_not_handed_to_the_gateway(settings: Any):
    plug(settings, payment=Gateway)
    order = new_order()
    pay(order)
    refund = give(c.RequestRefund, order, amount="5.00", reason="late")[0]
    give(c.RecordRefund, order, refund_id=refund.refund_id, outcome="settled")

    by(NOW)

    assert Gateway.asked == []


@pytest.mark.parametrize("is_late", [False, True])
def test_what_is_authorized_for_a_cancelled_order_is_voided(settings: Any, is_late: bool):
    plug(settings, payment=Gateway)
    order = new_order()
    if is_late:
        kit.dispatch(kit.cancel(order))
        by(NOW)
    pay(order, kind="authorized")
    if not is_late:
        kit.dispatch(kit.cancel(order))

    by(NOW)

    voided = last(order)
    assert isinstance(voided, e.PaymentRecorded)
    assert (voided.payment_id, voided.kind) == ("pay-1", e.PaymentKind.VOIDED)
    assert len(Gateway.calls("void")) == 1


@pytest.mark.parametrize("answer", [None, PaymentAnswer(is_done=False, reason="too late")])
def test_what_the_gateway_does_not_void_is_not_recorded(settings: Any, answer: Any):
    plug(settings, payment=Gateway)
    Gateway.answers["void"] = answer
    order = new_order()
    pay(order, kind="authorized")
    kit.dispatch(kit.cancel(order))

    by(NOW)

    assert last(order).type == "OrderCancelled"


# --- Parcels -----------------------------------------------------------------------------------
def test_a_packed_parcel_is_booked(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.ChangeShippingAddress, order, shipping_address=kit.ADDRESS | {"line1": "2 New Street"})
    shipment_id = packed(order)

    by(NOW)

    tracked = last(order)
    assert isinstance(tracked, e.TrackingUpdated)
    assert (tracked.shipment_id, tracked.carrier, tracked.tracking_number) == (
        shipment_id,
        "Sample Post",
        "SP1",
    )
    [parcel] = Carrier.calls("book")
    assert parcel.to.line1 == "2 New Street"
    assert [units.quantity for units in parcel.items] == [2]


@pytest.mark.parametrize("kind", [c.VoidShipment, c.DispatchShipment])
def test_a_parcel_that_is_unpacked_or_gone_is_not_booked(settings: Any, kind: type[c.Command]):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(kind, order, shipment_id=packed(order))

    by(NOW)

    assert Carrier.calls("book") == []


def test_a_parcel_that_somebody_has_booked_is_not_booked_again(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.UpdateTracking, order, shipment_id=packed(order), tracking_number="T-1")

    by(NOW)

    assert Carrier.asked == []


def test_a_parcel_is_tracked_until_it_has_arrived(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.DispatchShipment, order, shipment_id=packed(order), tracking_number="T-1")
    Carrier.answers["track"] = Tracking(ask_again_in=6 * HOUR)

    by(NOW)
    by(NOW + 5 * HOUR)
    assert len(Carrier.calls("track")) == 1
    by(NOW + 6 * HOUR)
    assert len(Carrier.calls("track")) == 2

    Carrier.answers["track"] = Tracking(delivered_at=NOW + 9 * HOUR)
    by(NOW + 12 * HOUR)
    assert isinstance(last(order), e.ShipmentDelivered)
    assert last(order).timestamp == NOW + 9 * HOUR
    by(NOW + 30 * DAY)
    assert [parcel.tracking_number for parcel in Carrier.calls("track")] == ["T-1"] * 3


def test_a_parcel_that_is_lost_is_recorded(settings: Any):
    plug(settings, carrier=Carrier)
    Carrier.answers["track"] = Tracking(failed_at=NOW)
    order = new_order()
    give(c.DispatchShipment, order, shipment_id=packed(order))

    by(NOW)

    failed = [one for one in log.read_stream(order.stream) if isinstance(one, e.ShipmentFailed)]
    assert [one.outcome for one in failed] == [e.DeliveryFailure.LOST]


def test_a_parcel_is_not_tracked_where_the_carrier_tells_by_itself(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.DispatchShipment, order, shipment_id=packed(order))

    by(NOW + 30 * DAY)

    assert len(Carrier.calls("track")) == 1
    assert not Timer.objects.exists()


# --- Notices -----------------------------------------------------------------------------------
def test_customers_are_told(settings: Any):
    plug(settings, notifier=Postman, payment=Gateway)
    shipped, cancelled = new_order(), new_order()
    give(c.DispatchShipment, shipped, shipment_id=packed(shipped))
    pay(cancelled)
    kit.dispatch(kit.cancel(cancelled))

    by(NOW)

    told = [(one.order_number, str(one.news), one.event.type) for one in Postman.calls("tell")]
    assert sorted(told) == sorted(
        [
            (shipped.order_number, "placed", "OrderCreated"),
            (shipped.order_number, "shipped", "ShipmentDispatched"),
            (cancelled.order_number, "placed", "OrderCreated"),
            (cancelled.order_number, "cancelled", "OrderCancelled"),
            (cancelled.order_number, "refunded", "RefundSettled"),
        ]
    )
    assert {one.customer.name for one in Postman.calls("tell")} == {"Robin Sample"}
    assert len(set(Postman.keys())) == 5


def test_who_was_erased_is_not_told(settings: Any):
    plug(settings, notifier=Postman)
    order = new_order()
    kit.dispatch(kit.cancel(order))
    kit.dispatch(
        c.EraseCustomer(user_id=kit.USER, customer_id=order.customer_id, reason="asked for it")
    )

    by(NOW)

    assert Postman.asked == []


def test_the_log_is_told_without_saying_who(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "ordering_write.ports.notifier")
    order = new_order()

    by(NOW)

    text = f"Order {order.order_number}: the customer is told that it is placed."
    assert caplog.messages == [text]


# --- All of them -------------------------------------------------------------------------------
def test_a_rebuild_sets_no_timer():
    from ordering_read.engine import rebuild

    new_order()
    by(NOW)
    rebuild.rebuild("order_timeline")
    policies.SUBSCRIPTION.set_timers()

    assert not Timer.objects.exists()


def test_an_event_makes_a_status_once():
    order = new_order()
    kit.dispatch(kit.cancel(order))
    cancelled = last(order)
    assert became(cancelled, OrderStatus.CANCELLED)
    pay(order, "1.00")
    assert not became(last(order), OrderStatus.CANCELLED)
