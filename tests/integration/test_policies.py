"""Each policy: given events, the commands that it gives and the calls to ports that it makes."""

import json
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

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
    give,
    last_event,
    later_event_types,
    new_order,
    plug,
    run_policies,
)

pytestmark = pytest.mark.usefixtures("db")


def pay(order: Order, amount: str = "39.80", kind: str = "captured", name: str = "pay-1") -> None:
    give(c.RecordPayment, order, payment_id=name, kind=kind, amount=amount)


def events_of(order: Order, event_type: type[e.OrderEvent]) -> list[Any]:
    return [event for event in log.read_stream(order.stream) if isinstance(event, event_type)]


def lines_of(order: Order, quantity: int = 2) -> list[dict[str, Any]]:
    [added] = events_of(order, e.OrderItemAdded)
    return [{"line_id": added.line_id, "quantity": quantity}]


def pack(order: Order) -> Any:
    """Confirm and pack an order; return the id of the shipment of all units."""
    give(c.ConfirmOrder, order)
    return give(c.CreateShipment, order, items=lines_of(order))[0].shipment_id


def deliver(order: Order) -> None:
    shipment_id = pack(order)
    give(c.DispatchShipment, order, shipment_id=shipment_id)
    give(c.ConfirmDelivery, order, shipment_id=shipment_id)


def request_return(order: Order, quantity: int) -> Any:
    items = [{**lines_of(order, quantity)[0], "reason": "unwanted"}]
    return give(c.RequestReturn, order, items=items)[0].return_id


def return_units(order: Order, quantity: int) -> None:
    return_id = request_return(order, quantity)
    items = [{"line_id": lines_of(order)[0]["line_id"], "restock": quantity}]
    give(c.ReceiveReturn, order, return_id=return_id, items=items)


# --- Beginning ---------------------------------------------------------------------------------
def test_new_policies_ignore_older_events():
    old = new_order(reserve_for=HOUR)
    PolicyCheckpoint.objects.all().delete()

    policies.SUBSCRIPTION.ensure_checkpoints()
    policies.SUBSCRIPTION.ensure_checkpoints()

    run_policies(NOW + 2 * HOUR)
    assert later_event_types(old) == []
    young = new_order(reserve_for=HOUR)
    run_policies(NOW + 2 * HOUR)
    assert later_event_types(old) == []
    assert later_event_types(young) == ["OrderCancelled"]


# --- Unpaid orders -----------------------------------------------------------------------------
def test_an_unpaid_order_expires_at_its_time():
    order = new_order(reserve_for=HOUR)

    run_policies(NOW + HOUR - timedelta(seconds=1))
    assert later_event_types(order) == []

    run_policies(NOW + HOUR)
    expired = last_event(order)
    assert isinstance(expired, e.OrderCancelled)
    assert expired.reason_code == "expired"
    assert expired.timestamp == NOW + HOUR
    assert StockItem.objects.get().reserved == 0


def test_events_of_a_policy_name_the_policy_and_their_cause():
    order = new_order(reserve_for=HOUR)
    run_policies(NOW + HOUR)

    created, done = log.read_stream(order.stream)[0].recorded, last_event(order).recorded
    assert done.actor == Actor(
        type="policy", id="expire_unpaid", label="Automatic expiry of unpaid orders"
    )
    assert done.channel == "policy"
    assert done.causation_id == created.event_id
    assert done.correlation_id == created.correlation_id


@pytest.mark.parametrize("kind", ["captured", "authorized"])
def test_a_paid_order_does_not_expire(kind: str):
    order = new_order(reserve_for=HOUR)
    pay(order, kind=kind)

    run_policies(NOW + HOUR)

    assert later_event_types(order) == ["PaymentRecorded"]
    assert not Timer.objects.exists()


@pytest.mark.parametrize("voided_after", [0, 2])
def test_an_order_whose_authorization_was_voided_is_unpaid_again(voided_after: int):
    order = new_order(reserve_for=HOUR)
    pay(order, kind="authorized")
    run_policies(NOW + voided_after * HOUR)
    pay(order, kind="voided")

    run_policies(NOW + timedelta(minutes=59))
    assert last_event(order).type == "PaymentRecorded"
    run_policies(NOW + 2 * HOUR)
    assert last_event(order).type == "OrderCancelled"


def test_a_command_expires_what_the_policy_would_and_says_which(settings: Any):
    settings.RESERVE_FOR_HOURS = 0
    overdue, endless, paid = new_order(reserve_for=HOUR), new_order(), new_order(reserve_for=HOUR)
    give(c.RecordPayment, paid, payment_id="pay-1", kind="authorized", amount="39.80")

    def expire(*options: str) -> str:
        out = StringIO()
        call_command("expire_orders", *options, stdout=out)
        return out.getvalue()

    would = json.loads(expire("--dry-run", "--json"))
    assert Order.objects.get(pk=overdue.pk).status == "pending"
    said = expire()
    again = json.loads(expire("--json"))

    assert [order["order_number"] for order in would["expired"]] == [overdue.order_number]
    assert said.startswith(f"{overdue.order_number} expired: its time ended ")
    assert said.endswith("\n1 order expired.\n")
    assert (again["expired"], again["dry_run"]) == ([], False)
    assert (last_event(overdue).reason_code, last_event(overdue).recorded.channel) == (
        ("expired", "cli")
    )
    assert [Order.objects.get(pk=order.pk).status for order in (endless, paid)] == ["pending"] * 2
    # The timers of the policy find nothing to do.
    run_policies(NOW + 2 * HOUR)
    assert later_event_types(overdue) == ["OrderCancelled"]


@pytest.mark.parametrize(("hours", "expires_at"), [(0, None), (6, NOW + 6 * HOUR)])
def test_a_setting_gives_the_default_time_of_expiry(settings: Any, hours: int, expires_at: Any):
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

    run_policies(NOW)

    assert last_event(order).status == status


def test_an_authorization_does_not_confirm_the_order(settings: Any):
    settings.CONFIRM_WHEN_PAID = True
    order = new_order()
    pay(order, kind="authorized")

    run_policies(NOW)

    assert later_event_types(order) == ["PaymentRecorded"]


def test_a_paid_order_on_hold_is_confirmed_when_the_hold_is_released(settings: Any):
    settings.CONFIRM_WHEN_PAID = True
    order = new_order()
    give(c.PlaceHold, order, reason="address")
    pay(order)
    run_policies(NOW)
    assert last_event(order).type == "PaymentRecorded"

    give(c.ReleaseHold, order)
    run_policies(NOW)

    assert last_event(order).status == OrderStatus.CONFIRMED


@pytest.mark.parametrize("days", [0, 14])
def test_a_delivered_order_is_completed_after_some_days(settings: Any, days: int):
    settings.COMPLETE_AFTER_DAYS = days
    order = new_order()
    deliver(order)

    run_policies(NOW + 14 * DAY - timedelta(seconds=1))
    assert last_event(order).status == OrderStatus.DELIVERED
    run_policies(NOW + 14 * DAY)

    done = OrderStatus.COMPLETED if days else OrderStatus.DELIVERED
    assert last_event(order).status == done


def test_an_expected_return_delays_completing(settings: Any):
    settings.COMPLETE_AFTER_DAYS = 14
    order = new_order()
    deliver(order)
    return_id = request_return(order, 1)
    run_policies(NOW + 14 * DAY)
    assert last_event(order).type == "ReturnRequested"

    give(c.RejectReturn, order, return_id=return_id, reason="worn", timestamp=NOW + 20 * DAY)
    run_policies(NOW + 33 * DAY)
    assert last_event(order).type == "ReturnRejected"
    run_policies(NOW + 34 * DAY)
    assert last_event(order).status == OrderStatus.COMPLETED


# --- Risk --------------------------------------------------------------------------------------
def test_a_doubtful_order_is_held(settings: Any):
    plug(settings, risk=Doubter)
    order = new_order()

    run_policies(NOW)

    held = last_event(order)
    assert isinstance(held, e.OrderHeld)
    assert (held.reason, held.note) == (e.HoldReason.FRAUD_REVIEW, "large")
    [placed] = Doubter.calls("assess")
    assert [event.type for event in placed] == ["OrderCreated", "OrderItemAdded"]


def test_all_orders_are_allowed_by_default():
    order = new_order()
    run_policies(NOW)
    assert later_event_types(order) == []


# --- Money -------------------------------------------------------------------------------------
def test_a_capture_of_a_cancelled_order_leads_to_a_refund():
    order = new_order()
    pay(order, "30.00", name="pay-1")
    pay(order, "9.80", name="pay-2")
    kit.dispatch(kit.cancel(order))

    run_policies(NOW)

    requested = last_event(order)
    assert isinstance(requested, e.RefundRequested)
    assert requested.amount.amount == Decimal("39.80")


def test_cancelling_the_last_unit_of_a_paid_order_leads_to_a_refund():
    order = new_order()
    pay(order)
    give(c.CancelOrderItems, order, items=lines_of(order), reason="sold out")

    run_policies(NOW)

    assert last_event(order).type == "RefundRequested"


def test_a_capture_after_the_cancellation_leads_to_a_refund():
    order = new_order()
    kit.dispatch(kit.cancel(order))
    run_policies(NOW)
    assert later_event_types(order) == ["OrderCancelled"]

    pay(order, "30.00", name="pay-1")
    run_policies(NOW)
    pay(order, "9.80", name="pay-2")
    run_policies(NOW)

    refunds = events_of(order, e.RefundRequested)
    assert [refund.amount.amount for refund in refunds] == [Decimal("30.00"), Decimal("9.80")]
    assert last_event(order).status == OrderStatus.CANCELLED


def test_two_late_captures_lead_to_one_refund():
    order = new_order()
    kit.dispatch(kit.cancel(order))
    pay(order, "30.00", name="pay-1")
    pay(order, "9.80", name="pay-2")

    run_policies(NOW)

    refunds = events_of(order, e.RefundRequested)
    assert [refund.amount.amount for refund in refunds] == [Decimal("39.80")]


@pytest.mark.parametrize(
    ("captured", "quantity", "refund"),
    [
        ("39.80", 1, "19.90"),
        ("39.80", 2, "39.80"),
        # After a partial payment, only the excess over the rest of the order is refunded.
        ("25.00", 1, "5.10"),
        ("10.00", 1, None),
    ],
)
def test_a_received_return_leads_to_a_refund(captured: str, quantity: int, refund: str | None):
    order = new_order()
    pay(order, captured)
    deliver(order)
    return_units(order, quantity)

    run_policies(NOW)

    if refund is None:
        assert last_event(order).type == "ReturnReceived"
        return
    requested = last_event(order)
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
        (None, "OrderAdjustmentAdded"),
    ],
)
def test_a_refund_is_handed_to_the_gateway(settings: Any, answer: Any, ending: str):
    plug(settings, payment=Gateway)
    Gateway.answers["refund"] = answer
    order = new_order()
    pay(order)
    refund = give(c.RequestRefund, order, amount="5.00", reason="late")[0]

    run_policies(NOW)

    assert last_event(order).type == ending
    [call] = Gateway.calls("refund")
    assert call == {
        "order_id": order.pk,
        "payment_ids": ["pay-1"],
        "amount": refund.amount,
    }
    if answer:
        assert last_event(order).refund_id == refund.refund_id
        assert last_event(order).reference == "r-1"


def test_a_refund_made_by_hand_is_not_handed_to_the_gateway(settings: Any):
    plug(settings, payment=Gateway)
    order = new_order()
    pay(order)
    refund = give(c.RequestRefund, order, amount="5.00", reason="late")[0]
    give(c.RecordRefund, order, refund_id=refund.refund_id, outcome="settled")

    run_policies(NOW)

    assert Gateway.requests == []


@pytest.mark.parametrize("is_late", [False, True])
def test_an_authorization_of_a_cancelled_order_is_voided(settings: Any, is_late: bool):
    plug(settings, payment=Gateway)
    order = new_order()
    if is_late:
        kit.dispatch(kit.cancel(order))
        run_policies(NOW)
    pay(order, kind="authorized")
    if not is_late:
        kit.dispatch(kit.cancel(order))

    run_policies(NOW)

    voided = last_event(order)
    assert isinstance(voided, e.PaymentRecorded)
    assert (voided.payment_id, voided.kind) == ("pay-1", e.PaymentKind.VOIDED)
    assert len(Gateway.calls("void")) == 1


@pytest.mark.parametrize("answer", [None, PaymentAnswer(is_done=False, reason="too late")])
def test_a_void_that_the_gateway_refuses_is_not_recorded(settings: Any, answer: Any):
    plug(settings, payment=Gateway)
    Gateway.answers["void"] = answer
    order = new_order()
    pay(order, kind="authorized")
    kit.dispatch(kit.cancel(order))

    run_policies(NOW)

    assert last_event(order).type == "OrderCancelled"


# --- Parcels -----------------------------------------------------------------------------------
def test_a_packed_parcel_is_booked(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.ChangeShippingAddress, order, shipping_address=kit.ADDRESS | {"line1": "2 New Street"})
    shipment_id = pack(order)

    run_policies(NOW)

    tracked = last_event(order)
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
def test_an_unpacked_or_dispatched_parcel_is_not_booked(settings: Any, kind: type[c.Command]):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(kind, order, shipment_id=pack(order))

    run_policies(NOW)

    assert Carrier.calls("book") == []


def test_a_parcel_with_a_tracking_number_is_not_booked(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.UpdateTracking, order, shipment_id=pack(order), tracking_number="T-1")

    run_policies(NOW)

    assert Carrier.requests == []


def test_a_parcel_is_tracked_until_its_delivery(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.DispatchShipment, order, shipment_id=pack(order), tracking_number="T-1")
    Carrier.answers["track"] = Tracking(ask_again_in=6 * HOUR)

    run_policies(NOW)
    run_policies(NOW + 5 * HOUR)
    assert len(Carrier.calls("track")) == 1
    run_policies(NOW + 6 * HOUR)
    assert len(Carrier.calls("track")) == 2

    Carrier.answers["track"] = Tracking(delivered_at=NOW + 9 * HOUR)
    run_policies(NOW + 12 * HOUR)
    assert isinstance(last_event(order), e.ShipmentDelivered)
    assert last_event(order).timestamp == NOW + 9 * HOUR
    run_policies(NOW + 30 * DAY)
    assert [parcel.tracking_number for parcel in Carrier.calls("track")] == ["T-1"] * 3


def test_a_lost_parcel_is_recorded(settings: Any):
    plug(settings, carrier=Carrier)
    Carrier.answers["track"] = Tracking(failed_at=NOW)
    order = new_order()
    give(c.DispatchShipment, order, shipment_id=pack(order))

    run_policies(NOW)

    failed = events_of(order, e.ShipmentFailed)
    assert [event.outcome for event in failed] == [e.DeliveryFailure.LOST]


def test_a_parcel_is_not_tracked_if_the_carrier_reports_by_itself(settings: Any):
    plug(settings, carrier=Carrier)
    order = new_order()
    give(c.DispatchShipment, order, shipment_id=pack(order))

    run_policies(NOW + 30 * DAY)

    assert len(Carrier.calls("track")) == 1
    assert not Timer.objects.exists()


# --- Notices -----------------------------------------------------------------------------------
def test_customers_are_notified(settings: Any):
    plug(settings, notifier=Postman, payment=Gateway)
    shipped, cancelled = new_order(), new_order()
    give(c.DispatchShipment, shipped, shipment_id=pack(shipped))
    pay(cancelled)
    kit.dispatch(kit.cancel(cancelled))

    run_policies(NOW)

    notices = [
        (notice.order_number, str(notice.kind), notice.event.type)
        for notice in Postman.calls("send")
    ]
    assert sorted(notices) == sorted(
        [
            (shipped.order_number, "placed", "OrderCreated"),
            (shipped.order_number, "shipped", "ShipmentDispatched"),
            (cancelled.order_number, "placed", "OrderCreated"),
            (cancelled.order_number, "cancelled", "OrderCancelled"),
            (cancelled.order_number, "refunded", "RefundSettled"),
        ]
    )
    assert {notice.customer.name for notice in Postman.calls("send")} == {"Robin Sample"}
    assert len(set(Postman.keys())) == 5


def test_an_erased_customer_is_not_notified(settings: Any):
    plug(settings, notifier=Postman)
    order = new_order()
    kit.dispatch(kit.cancel(order))
    kit.dispatch(
        c.EraseCustomer(user_id=kit.USER, customer_id=order.customer_id, reason="asked for it")
    )

    run_policies(NOW)

    assert Postman.requests == []


def test_the_log_notifier_writes_no_names(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "ordering_write.ports.notifier")
    order = new_order()

    run_policies(NOW)

    text = f"Order {order.order_number}: the customer is notified that it is placed."
    assert caplog.messages == [text]


# --- All of them -------------------------------------------------------------------------------
def test_a_rebuild_sets_no_timer():
    from ordering_read.engine import rebuild

    new_order()
    run_policies(NOW)
    rebuild.rebuild("order_timeline")
    policies.SUBSCRIPTION.set_timers()

    assert not Timer.objects.exists()


def test_an_event_brings_about_its_status_once():
    order = new_order()
    kit.dispatch(kit.cancel(order))
    cancelled = last_event(order)
    assert became(cancelled, OrderStatus.CANCELLED)
    pay(order, "1.00")
    assert not became(last_event(order), OrderStatus.CANCELLED)
