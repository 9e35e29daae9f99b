"""What a product in stock allows."""

import pytest
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.errors import InsufficientInventoryError
from tests.kit import NOW, event, given, stocked


def reserve(key, quantity):
    return lambda item: item.reserve(key, quantity, now=NOW)


def reserved(key, quantity, *, on_hand=10):
    past = stocked(on_hand)
    outcome = given(*past).when(reserve(key, quantity))
    return [
        *past,
        e.StockReserved(
            timestamp=NOW,
            product_id=outcome.aggregate.pk,
            order_id=key[0],
            line_id=key[1],
            quantity=quantity,
        ),
    ]


@pytest.fixture
def key():
    return (uuid7(), uuid7())


def test_opening_stock_is_received():
    assert [one.type for one in stocked(5)] == ["StockItemRegistered", "StockReceived"]
    assert [one.type for one in stocked(0)] == ["StockItemRegistered"]


def test_reserving_sets_units_aside(key):
    given(*stocked(10)).when(reserve(key, 4)).then(
        event(e.StockReserved, quantity=4, on_hand=10, reserved=4, available=6)
    )


def test_reserving_again_for_the_same_line_changes_nothing(key):
    given(*reserved(key, 4)).when(reserve(key, 4)).then()


def test_more_than_is_available_is_refused(key):
    past = stocked(3)
    outcome = given(*past).when(reserve(key, 4))
    outcome.then_refused(
        InsufficientInventoryError,
        "Insufficient inventory: 4 requested of SAMPLE-1, 3 available.",
    )


def test_a_shortage_names_the_product_and_both_numbers(key):
    item = given(*reserved(key, 7)).when(lambda _: None).aggregate
    shortage = item.shortage(4)
    assert InsufficientInventoryError([shortage]).members() == {
        "shortages": [{"product_id": str(item.pk), "requested": 4, "available": 3}]
    }
    assert item.shortage(3) is None


def test_what_may_be_back_ordered_can_be_promised_beyond_stock(key):
    given(*stocked(1, backorderable=True)).when(reserve(key, 4)).then(
        event(e.StockReserved, on_hand=1, reserved=4, available=-3)
    )


def test_releasing_gives_units_back_once(key):
    def twice(item):
        item.release(key, 4, now=NOW)
        item.release(key, 4, now=NOW)

    given(*reserved(key, 4)).when(twice).then(
        event(e.StockReleased, quantity=4, on_hand=10, reserved=0, available=10)
    )


def test_dispatching_takes_units_out_of_the_house_once(key):
    def twice(item):
        item.dispatch(key, 4, now=NOW)
        item.dispatch(key, 4, now=NOW)

    given(*reserved(key, 4)).when(twice).then(
        event(e.StockDispatched, quantity=4, on_hand=6, reserved=0, available=6)
    )


def test_another_line_has_nothing_to_release_or_dispatch(key):
    def other(item):
        item.release((key[0], uuid7()), 4, now=NOW)
        item.dispatch((key[0], uuid7()), 4, now=NOW)

    given(*reserved(key, 4)).when(other).then()


def test_receiving_adds_units():
    given(*stocked(10)).when(lambda item: item.receive(5, reference="Note 7", now=NOW)).then(
        event(e.StockReceived, quantity=5, reference="Note 7", on_hand=15, available=15)
    )
