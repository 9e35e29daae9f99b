"""The commands about an existing order: their effect on the order and on the stock."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from config.accounts.models import User
from ordering_write import log
from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain.commands import Command, Privilege
from ordering_write.domain.events import AdjustmentReason
from ordering_write.models import Customer, Order, PersonalData, StockItem
from tests.kit import (
    ADDRESS,
    NOW,
    USER,
    check_rows_equal_log,
    dispatch,
    placed_order,
    registered_product,
)

pytestmark = pytest.mark.usefixtures("db")


def give(command: type[Command], order: Order, /, **fields):
    """Give a command about ``order``; return the last event of the order, None without one."""
    defaults = {"user_id": USER, "timestamp": NOW, "order_id": order.pk}
    events = dispatch(command.model_validate({**defaults, **fields}))
    order_events = [event for event in events if event.recorded.stream == order.stream]
    return order_events[-1] if order_events else None


@pytest.fixture
def lamp() -> StockItem:
    return registered_product(10)


@pytest.fixture
def order(customer: Customer, lamp: StockItem) -> Order:
    """An order of three lamps at 19.90."""
    return placed_order(customer, (lamp, 3))


def line_of(order: Order):
    return next(iter(Order.load(order.pk).lines))


def units(order: Order, quantity: int):
    return [{"line_id": line_of(order), "quantity": quantity}]


def levels(product: StockItem) -> tuple[int, int]:
    product.refresh_from_db()
    return product.on_hand, product.reserved


def pack(order: Order, quantity: int):
    """Return the id of a new, packed shipment with ``quantity`` units."""
    return give(c.CreateShipment, order, items=units(order, quantity)).shipment_id


def ship(order: Order, quantity: int):
    """Return the id of a new, dispatched shipment with ``quantity`` units."""
    shipment_id = pack(order, quantity)
    give(c.DispatchShipment, order, shipment_id=shipment_id)
    return shipment_id


def deliver(order: Order, quantity: int):
    shipment_id = ship(order, quantity)
    give(c.ConfirmDelivery, order, shipment_id=shipment_id)
    return shipment_id


# --- Stock ---------------------------------------------------------------------------------------
def test_a_changed_quantity_reserves_or_releases_the_difference(order, lamp):
    changed = give(c.ChangeItemQuantity, order, line_id=line_of(order), new_quantity=5)
    assert changed.total.amount == Decimal("99.50")
    assert levels(lamp) == (10, 5)

    give(c.ChangeItemQuantity, order, line_id=line_of(order), new_quantity=2)
    assert levels(lamp) == (10, 2)
    check_rows_equal_log()


def test_a_quantity_beyond_the_stock_changes_nothing(order, lamp):
    with pytest.raises(errors.InsufficientInventoryError):
        give(c.ChangeItemQuantity, order, line_id=line_of(order), new_quantity=11)

    assert levels(lamp) == (10, 3)
    check_rows_equal_log()


def test_an_added_line_is_priced_and_reserved(order, lamp):
    shade = registered_product(4)
    added = give(c.AddOrderItem, order, product_id=shade.pk, quantity=2, unit_price="19.90")

    assert (added.item_count, added.total.amount) == (2, Decimal("99.50"))
    assert levels(shade) == (4, 2)
    check_rows_equal_log()


def test_cancelled_units_are_released_and_leave_the_total(order, lamp):
    cancelled = give(c.CancelOrderItems, order, items=units(order, 1), reason="Too many")

    assert (cancelled.total.amount, cancelled.status) == (Decimal("39.80"), "pending")
    assert levels(lamp) == (10, 2)

    last = give(c.CancelOrderItems, order, items=units(order, 2), reason="None at all")
    assert (last.status, last.balance.amount) == ("cancelled", 0)
    assert levels(lamp) == (10, 0)
    check_rows_equal_log()


def test_a_dispatched_shipment_takes_its_units_out_of_stock(order, lamp):
    give(c.ConfirmOrder, order)
    shipment_id = pack(order, 2)
    assert levels(lamp) == (10, 3)

    dispatched = give(
        c.DispatchShipment,
        order,
        shipment_id=shipment_id,
        carrier="Sample Post",
        tracking_number="1Z999",
        dispatched_at=NOW + timedelta(hours=1),
        timestamp=NOW + timedelta(hours=2),
    )
    assert (dispatched.status, dispatched.fulfilment_status) == ("partially_shipped", "partial")
    assert dispatched.timestamp == NOW + timedelta(hours=1)
    assert levels(lamp) == (8, 1)
    check_rows_equal_log()


def test_a_shipment_returned_to_sender_is_back_in_stock_and_a_lost_one_is_not(order, lamp):
    give(c.ConfirmOrder, order)
    returned, lost = ship(order, 2), ship(order, 1)

    failed = give(c.FailDelivery, order, shipment_id=returned, outcome="returned_to_sender")
    assert failed.total.amount == Decimal("19.90")
    assert levels(lamp) == (9, 0)

    give(c.FailDelivery, order, shipment_id=lost, outcome="lost")
    assert levels(lamp) == (9, 0)
    check_rows_equal_log()


def test_units_to_be_sent_again_are_reserved_again(order, lamp):
    give(c.ConfirmOrder, order)
    returned, lost = ship(order, 2), ship(order, 1)

    give(c.FailDelivery, order, shipment_id=returned, outcome="returned_to_sender", resend=True)
    assert levels(lamp) == (9, 2)

    failed = give(c.FailDelivery, order, shipment_id=lost, outcome="lost", resend=True)
    assert levels(lamp) == (9, 3)
    assert failed.status == "processing"
    ship(order, 3)
    assert levels(lamp) == (6, 0)
    check_rows_equal_log()


def test_lost_units_are_not_sent_again_without_stock(order, lamp):
    give(c.ConfirmOrder, order)
    lost = ship(order, 3)
    dispatch(
        c.AdjustStock(user_id=USER, product_id=lamp.pk, delta=-5, reason=AdjustmentReason.THEFT)
    )

    with pytest.raises(errors.InsufficientInventoryError) as refusal:
        give(c.FailDelivery, order, shipment_id=lost, outcome="lost", resend=True)

    [shortage] = refusal.value.shortages
    assert (shortage.requested, shortage.available) == (3, 2)
    assert Order.load(order.pk).shipments[lost].status == "dispatched"
    check_rows_equal_log()


def test_a_return_is_received_in_part_and_rejected_in_part(order, lamp):
    give(c.ConfirmOrder, order)
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")
    deliver(order, 3)
    requested = give(
        c.RequestReturn,
        order,
        items=[{"line_id": line_of(order), "quantity": 3, "reason": "unwanted"}],
    )
    assert requested.return_status == "requested"

    first = give(
        c.ReceiveReturn,
        order,
        return_id=requested.return_id,
        items=[{"line_id": line_of(order), "restock": 1, "damaged": 1}],
    )
    assert first.balance.amount == Decimal("-39.80")
    assert first.payment_status == "credit_owed"
    assert levels(lamp) == (8, 0)

    rest = give(c.RejectReturn, order, return_id=requested.return_id, reason="Worn")
    assert rest.return_status == "partial"
    with pytest.raises(errors.ReturnClosedError):
        give(c.RejectReturn, order, return_id=requested.return_id, reason="Worn")
    check_rows_equal_log()


def test_cancelling_an_order_voids_its_packed_shipments(order, lamp):
    give(c.ConfirmOrder, order)
    pack(order, 2)
    give(c.CancelOrder, order, reason="Not needed")

    assert levels(lamp) == (10, 0)
    [shipment] = Order.load(order.pk).shipments.values()
    assert shipment.status == "voided"
    check_rows_equal_log()


def test_the_status_shipped_dispatches_packed_shipments_too(order, lamp):
    give(c.ConfirmOrder, order)
    pack(order, 2)
    last = give(c.UpdateOrderStatus, order, status="shipped")

    assert last.status == "shipped"
    assert levels(lamp) == (7, 0)
    check_rows_equal_log()


# --- Money ---------------------------------------------------------------------------------------
def test_payments_and_refunds_change_the_payment_status(order):
    pay = {"payment_id": "pay-1", "method": "card"}
    authorized = give(c.RecordPayment, order, kind="authorized", amount="59.70", **pay)
    assert (authorized.payment_status, authorized.authorized.amount) == (
        "authorized",
        Decimal("59.70"),
    )
    captured = give(c.RecordPayment, order, kind="captured", amount="59.70", **pay)
    assert (captured.payment_status, captured.balance.amount) == ("paid", 0)
    assert captured.authorized.amount == 0

    give(c.RequestRefund, order, amount="10.00", reason="Scratched")
    [refund_id] = Order.load(order.pk).refunds
    settled = give(c.RecordRefund, order, outcome="settled", refund_id=refund_id)
    assert (settled.payment_status, settled.refunded.amount) == (
        "partially_refunded",
        Decimal("10.00"),
    )
    check_rows_equal_log()


def test_a_payment_reported_twice_is_recorded_once(order):
    pay = {"payment_id": "pay-1", "kind": "captured"}
    named = {**pay, "reference": "capture-1"}
    give(c.RecordPayment, order, amount="59.70", **named)
    assert give(c.RecordPayment, order, amount="59.70", **named) is None
    assert Order.load(order.pk).captured == Decimal("59.70")

    with pytest.raises(errors.PaymentMismatchError, match=r"captured with 59\.70 EUR"):
        give(c.RecordPayment, order, amount="1.00", **named)
    with pytest.raises(errors.ReferenceNeededError):
        give(c.RecordPayment, order, amount="59.70", **pay)
    check_rows_equal_log()


def test_a_payment_of_a_cancelled_order_is_recorded(order):
    give(c.CancelOrder, order, reason="Not needed")
    captured = give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")

    assert (captured.status, captured.payment_status) == ("cancelled", "credit_owed")
    assert captured.balance.amount == Decimal("-59.70")


def test_a_refund_beyond_the_captured_amount_is_refused(order):
    with pytest.raises(errors.ExceedsCapturedError):
        give(c.RequestRefund, order, amount="1.00", reason="Please")
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")
    give(c.RequestRefund, order, amount="50.00", reason="Please")
    with pytest.raises(errors.ExceedsCapturedError, match=r"10.00 EUR .*, 9.70 can be"):
        give(c.RequestRefund, order, amount="10.00", reason="Please")


def test_a_refund_made_elsewhere_is_recorded_even_beyond_the_captured_amount(order):
    settled = give(c.RecordRefund, order, outcome="settled", amount="5.00", reference="till")

    assert (settled.refunded.amount, settled.attention) == (Decimal("5.00"), ("over_refunded",))
    captured = give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")
    assert (captured.balance.amount, captured.attention) == (Decimal("5.00"), ())
    check_rows_equal_log()


def test_a_refund_made_elsewhere_is_recorded_once(order):
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")
    refund = {"outcome": "settled", "amount": "5.00", "reference": "till-7"}
    assert give(c.RecordRefund, order, **refund).refunded.amount == Decimal("5.00")
    assert give(c.RecordRefund, order, **refund) is None

    with pytest.raises(errors.AmountMissingError):
        give(c.RecordRefund, order, outcome="settled", reference="till-8")
    with pytest.raises(errors.RefundNotFoundError):
        give(c.RecordRefund, order, outcome="failed", refund_id=uuid7())
    with pytest.raises(errors.RefundNotFoundError):
        give(c.RecordRefund, order, outcome="settled", amount="1.00", refund_id=uuid7())


def test_a_failed_refund_can_be_requested_again(order):
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")
    give(c.RequestRefund, order, amount="59.70", reason="Please")
    [refund_id] = Order.load(order.pk).refunds
    give(c.RecordRefund, order, outcome="failed", refund_id=refund_id, reason="expired")

    assert give(c.RequestRefund, order, amount="59.70", reason="Please").amount.amount == Decimal(
        "59.70"
    )


def test_a_user_with_a_refund_limit_is_refused_beyond_it(order, settings):
    settings.REFUND_LIMITS = {"EUR": Decimal(20)}
    limited = {"privileges": frozenset(), "reason": "Please"}
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="59.70")
    give(c.RequestRefund, order, amount="15.00", **limited)
    with pytest.raises(errors.RefundLimitError, match="20 EUR"):
        give(c.RequestRefund, order, amount="5.01", **limited)
    give(c.RequestRefund, order, amount="5.01", privileges={Privilege.ANY_REFUND}, reason="Please")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"currency": "USD", "amount": "1.00"}, errors.CurrencyMismatchError),
        ({"amount": "1.001"}, errors.InvalidAmountError),
        ({"amount": "1.00", "happened_at": NOW + timedelta(days=1)}, errors.InFutureError),
    ],
)
def test_a_payment_in_another_currency_or_in_the_future_is_refused(order, fields, error):
    with pytest.raises(error):
        give(c.RecordPayment, order, payment_id="p", kind="captured", **fields)


def test_an_unpaid_order_cannot_be_packed_if_the_shop_requires_payment(order, settings):
    settings.PAYMENT_BEFORE_PACKING = True
    give(c.ConfirmOrder, order)
    with pytest.raises(errors.PaymentRequiredError):
        pack(order, 1)
    with pytest.raises(errors.PaymentRequiredError):
        give(c.UpdateOrderStatus, order, status="shipped")

    give(c.RecordPayment, order, payment_id="p", kind="authorized", amount="59.70")
    assert pack(order, 1)


# --- Holds, time, addresses, notes ---------------------------------------------------------------
def test_a_hold_stops_goods_but_not_a_cancellation(order):
    held = give(c.PlaceHold, order, reason="fraud_review", note="Check the card")
    assert (held.on_hold, held.fulfilment_status) == (True, "on_hold")
    with pytest.raises(errors.OrderOnHoldError, match="fraud review"):
        give(c.ConfirmOrder, order)
    with pytest.raises(errors.AlreadyOnHoldError):
        give(c.PlaceHold, order, reason="other")

    cancelled = give(c.CancelOrder, order, reason="Fraud")
    assert cancelled.on_hold is False
    with pytest.raises(errors.NotOnHoldError):
        give(c.ReleaseHold, order)


def test_an_unpaid_order_expires_at_its_expiry_time(customer, lamp):
    order = placed_order(customer, (lamp, 3), reserve_for=timedelta(hours=1))
    with pytest.raises(errors.NotExpiredError, match="2026-03-01 13:00 UTC"):
        give(c.ExpireOrder, order)

    expired = give(c.ExpireOrder, order, timestamp=NOW + timedelta(hours=1))
    assert (expired.status, expired.reason_code) == ("cancelled", "expired")
    assert levels(lamp) == (10, 0)


def test_the_shipping_address_can_be_changed_until_a_shipment_leaves(order):
    address = {**ADDRESS, "line1": "2 Example Street"}
    changed = give(c.ChangeShippingAddress, order, shipping_address=address)
    assert (changed.from_address.line1, changed.to_address.line1) == (
        "1 Example Street",
        "2 Example Street",
    )
    assert give(c.ChangeShippingAddress, order, shipping_address=address) is None

    give(c.ConfirmOrder, order)
    ship(order, 1)
    with pytest.raises(errors.OrderAlreadyShippedError):
        give(c.ChangeShippingAddress, order, shipping_address=ADDRESS)


def test_a_return_after_the_return_window_is_refused(order, settings):
    settings.RETURN_WINDOW_DAYS = 14
    give(c.ConfirmOrder, order)
    deliver(order, 3)
    payload = {"items": [{"line_id": line_of(order), "quantity": 1, "reason": "late"}]}
    with pytest.raises(errors.ReturnWindowClosedError, match="until 2026-03-15"):
        give(c.RequestReturn, order, timestamp=NOW + timedelta(days=15), **payload)
    give(c.RequestReturn, order, timestamp=NOW + timedelta(days=13), **payload)


def test_a_redacted_note_is_erased_in_the_log(order):
    note = give(c.AddNote, order, text="The code is 1234", visibility="customer")
    give(c.RedactNote, order, note_id=note.note_id)

    assert give(c.RedactNote, order, note_id=note.note_id) is None
    added: list[Any] = [
        event for event in log.read_stream(order.stream) if event.type == "NoteAdded"
    ]
    assert [event.text for event in added] == ["[erased]"]
    assert not PersonalData.objects.filter(fields__text__contains="1234").exists()
    with pytest.raises(errors.NoteNotFoundError):
        give(c.RedactNote, order, note_id=uuid7())


def test_an_order_has_up_to_20_tags(order):
    give(c.TagOrder, order, tag="gift")
    assert give(c.TagOrder, order, tag="gift") is None
    give(c.UntagOrder, order, tag="gift")
    assert Order.load(order.pk).tags == []
    for number in range(20):
        give(c.TagOrder, order, tag=f"tag-{number}")
    with pytest.raises(errors.TooManyTagsError):
        give(c.TagOrder, order, tag="one-more")


def test_an_order_is_assigned_to_staff_only(order):
    User.objects.create_user("clerk", is_staff=True)
    assert give(c.AssignOrder, order, assignee="clerk").assignee == "clerk"
    with pytest.raises(errors.UnknownAssigneeError):
        give(c.AssignOrder, order, assignee="nobody")
    assert give(c.AssignOrder, order, assignee=None).assignee is None


# --- Refusals ------------------------------------------------------------------------------------
def test_packing_or_cancelling_more_than_the_open_units_is_refused(order):
    give(c.ConfirmOrder, order)
    with pytest.raises(errors.QuantityExceedsOpenError, match=r"4 units of .*, 3 are open"):
        pack(order, 4)
    with pytest.raises(errors.UnknownLineError):
        give(c.CreateShipment, order, items=[{"line_id": uuid7(), "quantity": 1}])
    with pytest.raises(errors.QuantityExceedsOpenError):
        give(c.CancelOrderItems, order, items=units(order, 2) * 2, reason="Twice")
    pack(order, 3)
    with pytest.raises(errors.QuantityExceedsOpenError, match="No unit"):
        give(c.CancelOrderItems, order, items=units(order, 1), reason="Too late")


def test_a_shipment_in_another_status_is_refused(order):
    give(c.ConfirmOrder, order)
    with pytest.raises(errors.ShipmentNotFoundError):
        give(c.DispatchShipment, order, shipment_id=uuid7())
    shipment_id = pack(order, 1)
    with pytest.raises(errors.ShipmentStateError, match="no shipment that is dispatched"):
        give(c.ConfirmDelivery, order, shipment_id=shipment_id)
    give(c.UpdateTracking, order, shipment_id=shipment_id, tracking_number="1Z999")
    give(c.VoidShipment, order, shipment_id=shipment_id)
    with pytest.raises(errors.ShipmentStateError):
        give(c.VoidShipment, order, shipment_id=shipment_id)
    check_rows_equal_log()


def test_a_line_cannot_be_edited_once_picking_has_started(order):
    give(c.ConfirmOrder, order)
    give(c.StartProcessing, order)
    with pytest.raises(errors.NotEditableError, match="is processing"):
        give(c.ChangeItemQuantity, order, line_id=line_of(order), new_quantity=2)


def test_an_order_with_units_in_transit_or_expected_back_cannot_be_completed(order):
    give(c.ConfirmOrder, order)
    arrived, lost = ship(order, 2), ship(order, 1)
    give(c.ConfirmDelivery, order, shipment_id=arrived)
    with pytest.raises(errors.InvalidTransitionError):
        give(c.CompleteOrder, order)
    give(c.FailDelivery, order, shipment_id=lost, outcome="lost")
    requested = give(
        c.RequestReturn,
        order,
        items=[{"line_id": line_of(order), "quantity": 1, "reason": "late"}],
    )
    with pytest.raises(errors.InvalidTransitionError, match="still expected"):
        give(c.CompleteOrder, order)
    give(c.RejectReturn, order, return_id=requested.return_id, reason="Worn")
    assert give(c.CompleteOrder, order).status == "completed"
    check_rows_equal_log()
