"""The Order aggregate: its guards, its refusals and the events that it raises."""

from datetime import timedelta
from decimal import Decimal

import pytest
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.commands import RegisterCustomer
from ordering_write.domain.errors import (
    InvalidTransitionError,
    OrderAlreadyShippedError,
    StatusNotSettableError,
    VersionConflictError,
)
from ordering_write.domain.events import OrderStatus
from ordering_write.domain.values import Money
from ordering_write.models import Order, SavedWithoutEventsError, save
from tests.kit import NOW, USER, event, given, moved, placed, shipped, stocked

S = OrderStatus
# The moves that bring an order to each status.
WAYS = {
    S.PENDING: (),
    S.CONFIRMED: (S.CONFIRMED,),
    S.PROCESSING: (S.CONFIRMED, S.PROCESSING),
    S.SHIPPED: (S.CONFIRMED, S.PROCESSING, S.SHIPPED),
    S.DELIVERED: (S.CONFIRMED, S.SHIPPED, S.DELIVERED),
    S.COMPLETED: (S.CONFIRMED, S.SHIPPED, S.DELIVERED, S.COMPLETED),
    S.CANCELLED: (S.CANCELLED,),
}
SETTABLE = (S.CONFIRMED, S.PROCESSING, S.SHIPPED, S.DELIVERED, S.COMPLETED, S.CANCELLED)
# The table of section 4.3 of the domain, for whole orders.
ALLOWED = {
    (S.PENDING, S.CONFIRMED),
    (S.PENDING, S.CANCELLED),
    (S.CONFIRMED, S.PROCESSING),
    (S.CONFIRMED, S.SHIPPED),
    (S.CONFIRMED, S.CANCELLED),
    (S.PROCESSING, S.SHIPPED),
    (S.PROCESSING, S.CANCELLED),
    (S.SHIPPED, S.DELIVERED),
    (S.DELIVERED, S.COMPLETED),
}
EVENTS: dict[OrderStatus, list[type[e.DomainEvent]]] = {
    S.CONFIRMED: [e.OrderStatusChanged],
    S.PROCESSING: [e.OrderStatusChanged],
    S.SHIPPED: [e.ShipmentCreated, e.ShipmentDispatched],
    S.DELIVERED: [e.ShipmentDelivered],
    S.COMPLETED: [e.OrderStatusChanged],
    S.CANCELLED: [e.OrderCancelled],
}


def move(status: OrderStatus):
    return lambda order: order.move_to(status, now=NOW, shipment_id=uuid7())


def refusal(before: OrderStatus, status: OrderStatus) -> tuple[type[InvalidTransitionError], str]:
    if status == S.CANCELLED and before in (S.SHIPPED, S.DELIVERED, S.COMPLETED):
        return OrderAlreadyShippedError, "Cannot cancel shipped order"
    if before == status:
        return InvalidTransitionError, f"Order 2026-000001 is {status} already."
    return (
        InvalidTransitionError,
        f"Order 2026-000001 is {before}; it can't become {status}.",
    )


def test_every_move_from_every_status(subtests: pytest.Subtests) -> None:
    for status in SETTABLE:
        for before in WAYS:
            with subtests.test(status=status, before=before):
                past = moved(*WAYS[before])
                assert Order.fold(past).status == before
                outcome = given(*past).when(move(status))
                if (before, status) in ALLOWED:
                    raised = EVENTS[status]
                    outcome.then(
                        *(event(event_type) for event_type in raised[:-1]),
                        event(raised[-1], order_id=past[0].order_id),
                    )
                    assert outcome.aggregate.status == status
                else:
                    outcome.then_refused(*refusal(before, status))


def test_allowed_moves_are_those_that_are_not_refused(subtests: pytest.Subtests) -> None:
    for before in WAYS:
        with subtests.test(before=before):
            order = Order.fold(moved(*WAYS[before]))
            assert set(order.allowed_moves()) == {to for since, to in ALLOWED if since == before}


def test_a_refused_move_says_what_is_allowed():
    order = Order.fold(moved(S.CONFIRMED))
    with pytest.raises(InvalidTransitionError) as caught:
        order.confirm(now=NOW)
    assert caught.value.members() == {
        "order_status": "confirmed",
        "allowed_transitions": ["processing", "shipped", "cancelled"],
    }


@pytest.mark.parametrize("status", [S.PENDING, S.PARTIALLY_SHIPPED])
def test_statuses_that_follow_from_facts_cannot_be_set(status):
    given(*placed()).when(move(status)).then_refused(
        StatusNotSettableError, f"The status {status} follows from facts and can't be set."
    )


# --- Placing ----------------------------------------------------------------------------------
def test_placing_raises_an_event_for_the_order_then_one_for_each_line():
    created, first, second = placed(2, 1, unit_price="19.90")
    given().when(lambda _: Order.create(created=created, items=[first, second])).then(
        event(e.OrderCreated, status=S.PENDING, total=Money.of(Decimal(0), "EUR"), item_count=0),
        event(e.OrderItemAdded, status=S.PENDING, total=eur("39.80"), item_count=1),
        event(e.OrderItemAdded, total=eur("59.70"), balance=eur("59.70"), item_count=2),
    )


def test_adjustments_change_the_total():
    created, line = placed(1, unit_price="100.00")
    fields = {"timestamp": NOW, "order_id": created.order_id, "label": "Spring"}
    outcome = given().when(
        lambda _: Order.create(
            created=created,
            items=[line],
            adjustments=[
                e.OrderAdjustmentAdded(kind="discount", amount=eur("10.00"), **fields),
                e.OrderAdjustmentAdded(kind="shipping", amount=eur("4.90"), **fields),
            ],
        )
    )
    outcome.then(
        event(e.OrderCreated),
        event(e.OrderItemAdded, total=eur("100.00")),
        event(e.OrderAdjustmentAdded, total=eur("90.00")),
        event(e.OrderAdjustmentAdded, total=eur("94.90")),
    )


def test_an_event_carries_only_the_outcome_that_it_changed():
    given(*placed()).when(lambda order: order.confirm(now=NOW)).then(
        event(e.OrderStatusChanged, status=S.CONFIRMED, total=None, balance=None, item_count=None)
    )


def test_adding_a_tag_twice_changes_nothing():
    def twice(order: Order) -> None:
        order.tag("gift", now=NOW)
        order.tag("gift", now=NOW)

    assert given(*placed()).when(twice).then(event(e.OrderTagged)).aggregate.tags == ["gift"]


# --- Unit counters -------------------------------------------------------------------------------
def test_cancelling_releases_every_unit():
    past = placed(2, 1)
    first, second = (added for added in past if isinstance(added, e.OrderItemAdded))
    outcome = given(*past).when(
        lambda order: order.cancel("Too slow", reason_code="customer", now=NOW)
    )
    outcome.then(
        event(
            e.OrderCancelled,
            reason="Too slow",
            reason_code="customer",
            status=S.CANCELLED,
            released=[
                e.ReleasedUnits(line_id=first.line_id, product_id=first.product_id, quantity=2),
                e.ReleasedUnits(line_id=second.line_id, product_id=second.product_id, quantity=1),
            ],
        )
    )
    assert [(line.cancelled, line.open) for line in outcome.aggregate.lines.values()] == [
        (2, 0),
        (1, 0),
    ]


def test_a_shipped_order_cannot_be_cancelled(subtests: pytest.Subtests) -> None:
    for later in [(), (S.DELIVERED,), (S.DELIVERED, S.COMPLETED)]:
        with subtests.test(later=later):
            given(*moved(*later, events=shipped())).when(
                lambda order: order.cancel("Too late", now=NOW)
            ).then_refused(OrderAlreadyShippedError, "Cannot cancel shipped order")


def test_shipping_packs_and_dispatches_all_units_as_one_shipment():
    past = moved(S.CONFIRMED, events=placed(3))
    units = [e.Units(line_id=past[1].line_id, quantity=3)]
    shipment_id = uuid7()
    later = NOW + timedelta(hours=1)
    outcome = given(*past).when(
        lambda order: order.ship_everything(shipment_id=shipment_id, now=later)
    )
    outcome.then(
        event(e.ShipmentCreated, shipment_id=shipment_id, items=units, status=S.PROCESSING),
        event(e.ShipmentDispatched, items=units, status=S.SHIPPED, dispatched_at=later),
    )
    [line] = outcome.aggregate.lines.values()
    assert (line.packed, line.shipped, line.open) == (0, 3, 0)


def test_delivery_counts_the_units_that_arrived():
    outcome = given(*shipped()).when(lambda order: order.deliver_everything(now=NOW))
    outcome.then(event(e.ShipmentDelivered, status=S.DELIVERED))
    assert [line.delivered for line in outcome.aggregate.lines.values()] == [2, 1]


def test_an_order_of_which_some_units_left_is_partially_shipped():
    past = moved(S.CONFIRMED, events=placed(3))
    order = Order.fold(past)
    fields = {
        "timestamp": NOW,
        "order_id": order.id,
        "shipment_id": uuid7(),
        "items": [e.Units(line_id=past[1].line_id, quantity=2)],
    }
    order.evolve(e.ShipmentCreated(**fields))
    assert order.status == S.PROCESSING
    order.evolve(e.ShipmentDispatched(**fields, dispatched_at=NOW))
    assert order.status == S.PARTIALLY_SHIPPED
    assert order.allowed_moves() == [S.SHIPPED]
    with pytest.raises(OrderAlreadyShippedError):
        order.cancel("Too late", now=NOW)
    order.ship_everything(shipment_id=uuid7(), now=NOW)
    assert order.status == S.SHIPPED


# --- Events and saving ------------------------------------------------------------------------
def test_reading_the_pending_events_clears_them():
    order = Order.fold(placed())
    order.confirm(now=NOW)
    assert [event.type for event in order.raised_events] == ["OrderStatusChanged"]
    assert [event.type for event in order.pending_events] == ["OrderStatusChanged"]
    assert order.pending_events == []
    assert order.raised_events == ()


def test_an_aggregate_cannot_be_saved_without_its_events():
    order = Order.fold(placed())
    _ = order.pending_events
    command = RegisterCustomer(user_id=USER, name="Robin Sample", email="robin@example.com")
    with pytest.raises(SavedWithoutEventsError):
        save([order], caused_by=command)
    with pytest.raises(SavedWithoutEventsError):
        order.save()


def test_the_expected_version_must_be_the_present_one():
    order = Order.fold(placed(1))
    order.expect(None)
    order.expect(2)
    with pytest.raises(
        VersionConflictError, match="You expected version 1, but it is at version 2"
    ):
        order.expect(1)


def test_streams_are_named_by_kind_and_id():
    order, stock = placed(), stocked()
    assert Order.fold(order).stream == f"order-{order[0].order_id}"
    assert given(*stock).when(lambda item: item.receive(1, now=NOW)).aggregate.stream == (
        f"stock-{stock[0].product_id}"
    )


def eur(amount: str) -> Money:
    return Money.of(Decimal(amount), "EUR")
