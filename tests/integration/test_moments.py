"""The times of facts: between the year 2000 and now, and in the order of what happened."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from ordering_write.domain import commands as c
from ordering_write.domain import errors
from ordering_write.domain import events as e
from ordering_write.domain.commands import Command
from ordering_write.handlers import all_handlers
from ordering_write.models import Customer, Order
from tests.kit import NOW, USER, dispatch, placed_order, registered_product, stored

pytestmark = pytest.mark.usefixtures("db")

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def order(customer: Customer) -> Order:
    """A confirmed order, placed and paid at NOW."""
    order = placed_order(customer, (registered_product(), 2), auto_confirm=True)
    give(c.RecordPayment, order, payment_id="p", kind="captured", amount="39.80")
    return order


def give(command_type: type[Command], order: Order, /, **payload: Any) -> Any:
    """Give a command at NOW; return its first event."""
    envelope = {"user_id": USER, "timestamp": NOW, "order_id": order.pk}
    return dispatch(command_type.model_validate({**envelope, **payload}))[0]


def pack(order: Order) -> Any:
    """Return the id of a packed parcel with one unit."""
    [line_id] = stored(order.stream).lines
    items = [{"line_id": line_id, "quantity": 1}]
    return give(c.CreateShipment, order, items=items).shipment_id


def test_every_time_in_a_command_is_the_time_of_a_fact() -> None:
    times = {
        f"{command_type.__name__}.{name}"
        for command_type in all_handlers()
        for name, schema in command_type.model_json_schema()["properties"].items()
        if name not in Command.model_fields and "date-time" in str(schema)
    }
    # Units are expected in the future.
    assert times - {"ExpectStock.at"} == {
        "ConfirmDelivery.delivered_at",
        "DispatchShipment.dispatched_at",
        "FailDelivery.failed_at",
        "ImportOrder.completed_at",
        "ImportOrder.confirmed_at",
        "ImportOrder.placed_at",
        "RecordPayment.happened_at",
        "RecordRefund.happened_at",
    }


def test_a_time_is_a_text_with_its_offset_from_the_year_2000_on(
    subtests: pytest.Subtests, order: Order
) -> None:
    refused: list[Any] = [
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59", "1999-12-31T23:59:59Z"),
        *("2026-03-01", "2026-03-01T12:00:00", "1772366400", 1772366400, True, ""),
        *("2000-01-01T00:00:00+00:01", datetime(2026, 3, 1)),
        *("2026-03-01T12:00:00+14:01", "2026-03-01T12:00:00-23:59"),
    ]
    payment = {"user_id": USER, "order_id": order.pk, "payment_id": "p", "kind": "failed"}
    for at in refused:
        with subtests.test(at=str(at)), pytest.raises(ValidationError):
            c.RecordPayment.model_validate({**payment, "amount": "1", "happened_at": at})
    earliest = c.RecordPayment.model_validate(
        {**payment, "amount": "1", "happened_at": "2000-01-01T01:00:00+01:00"}
    )
    assert earliest.happened_at == datetime(2000, 1, 1, tzinfo=UTC)


def test_a_time_in_the_future_is_refused_in_every_command(
    subtests: pytest.Subtests, order: Order
) -> None:
    packed, dispatched = pack(order), pack(order)
    give(c.DispatchShipment, order, shipment_id=dispatched)
    payment = {"payment_id": "q", "kind": "captured", "amount": "1"}
    lost = {"shipment_id": dispatched, "outcome": "lost"}
    cases: list[tuple[type[Command], str, dict[str, Any]]] = [
        (c.DispatchShipment, "dispatched_at", {"shipment_id": packed}),
        (c.ConfirmDelivery, "delivered_at", {"shipment_id": dispatched}),
        (c.FailDelivery, "failed_at", lost),
        (c.RecordPayment, "happened_at", payment),
        (c.RecordRefund, "happened_at", {"outcome": "settled", "amount": "1"}),
    ]
    for command_type, name, payload in cases:
        for at in (NOW + 6 * MINUTE, "9999-12-31T23:59:59-14:00"):
            with (
                subtests.test(command_type.__name__, at=str(at)),
                pytest.raises(errors.InFutureError) as refusal,
            ):
                give(command_type, order, **payload, **{name: at})
            assert refusal.value.pointer == f"#/{name}"


def test_a_time_that_another_clock_has_ahead_becomes_now(order: Order) -> None:
    dispatched = give(
        c.DispatchShipment, order, shipment_id=pack(order), dispatched_at=NOW + 4 * MINUTE
    )
    assert dispatched.dispatched_at == NOW

    delivered = give(c.ConfirmDelivery, order, shipment_id=dispatched.shipment_id)
    assert delivered.timestamp == NOW


def test_nothing_is_dispatched_or_refunded_before_its_order(order: Order) -> None:
    too_early = NOW - timedelta(seconds=1)
    with pytest.raises(errors.TooEarlyError, match="2026-03-01 12:00:00 UTC"):
        give(c.DispatchShipment, order, shipment_id=pack(order), dispatched_at=too_early)
    with pytest.raises(errors.TooEarlyError):
        give(c.RecordRefund, order, outcome="settled", amount="1", happened_at=too_early)


def test_a_payment_may_be_older_than_its_order(order: Order) -> None:
    paid = give(
        c.RecordPayment,
        order,
        payment_id="earlier",
        kind="authorized",
        amount="1",
        happened_at=NOW - HOUR,
    )
    assert paid.timestamp == NOW - HOUR


def test_no_parcel_arrives_or_is_lost_before_its_own_dispatch(order: Order) -> None:
    first, second = pack(order), pack(order)
    give(c.DispatchShipment, order, shipment_id=first, timestamp=NOW + HOUR)
    give(c.DispatchShipment, order, shipment_id=second, timestamp=NOW + 3 * HOUR)
    later = {"timestamp": NOW + 4 * HOUR}

    with pytest.raises(errors.TooEarlyError) as refusal:
        give(c.ConfirmDelivery, order, shipment_id=second, delivered_at=NOW + 2 * HOUR, **later)
    assert refusal.value.pointer == "#/delivered_at"
    with pytest.raises(errors.TooEarlyError):
        give(
            c.FailDelivery,
            order,
            shipment_id=second,
            outcome="lost",
            failed_at=NOW + 2 * HOUR,
            **later,
        )

    delivered = give(
        c.ConfirmDelivery, order, shipment_id=first, delivered_at=NOW + 2 * HOUR, **later
    )
    assert isinstance(delivered, e.ShipmentDelivered)
    assert stored(order.stream).delivered_at == NOW + 2 * HOUR
