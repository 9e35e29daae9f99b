"""The StockItem aggregate: reservations, movements, price and policy."""

from decimal import Decimal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    DiscontinuedError,
    InsufficientInventoryError,
    WouldGoNegativeError,
)
from ordering_write.domain.events import AdjustmentReason
from ordering_write.domain.values import Money
from ordering_write.models import StockItem
from tests.kit import NOW, event, given, stocked


def reserve(key, quantity):
    return lambda item: item.reserve(key, quantity, now=NOW)


def stock_with_reservation(key, quantity, *, on_hand=10):
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
def key() -> tuple[UUID, UUID]:
    return (uuid7(), uuid7())


def test_opening_stock_is_received():
    assert [event.type for event in stocked(5)] == ["StockItemRegistered", "StockReceived"]
    assert [event.type for event in stocked(0)] == ["StockItemRegistered"]


def test_reserving_sets_units_aside(key):
    given(*stocked(10)).when(reserve(key, 4)).then(
        event(e.StockReserved, quantity=4, on_hand=10, reserved=4, available=6)
    )


def test_reserving_again_for_the_same_line_changes_nothing(key):
    given(*stock_with_reservation(key, 4)).when(reserve(key, 4)).then()


def test_reserving_more_than_is_available_is_refused(key):
    past = stocked(3)
    outcome = given(*past).when(reserve(key, 4))
    outcome.then_refused(
        InsufficientInventoryError,
        "Insufficient inventory: 4 requested of SAMPLE-1, 3 available.",
    )


def test_a_shortage_names_the_product_and_both_numbers(key):
    item = given(*stock_with_reservation(key, 7)).when(lambda _: None).aggregate
    shortage = item.shortage(4)
    assert InsufficientInventoryError([shortage]).members() == {
        "shortages": [{"product_id": str(item.pk), "requested": 4, "available": 3}]
    }
    assert item.shortage(3) is None


def test_a_backorderable_product_is_reserved_beyond_its_stock(key):
    given(*stocked(1, backorderable=True)).when(reserve(key, 4)).then(
        event(e.StockReserved, on_hand=1, reserved=4, available=-3)
    )


def test_releasing_gives_units_back_once(key):
    def twice(item):
        item.release(key, 4, now=NOW)
        item.release(key, 4, now=NOW)

    given(*stock_with_reservation(key, 4)).when(twice).then(
        event(e.StockReleased, quantity=4, on_hand=10, reserved=0, available=10)
    )


def test_dispatching_takes_units_off_hand_once(key):
    def twice(item):
        item.dispatch(key, 4, now=NOW)
        item.dispatch(key, 4, now=NOW)

    given(*stock_with_reservation(key, 4)).when(twice).then(
        event(e.StockDispatched, quantity=4, on_hand=6, reserved=0, available=6)
    )


def test_another_line_has_nothing_to_release_or_dispatch(key):
    def other(item):
        item.release((key[0], uuid7()), 4, now=NOW)
        item.dispatch((key[0], uuid7()), 4, now=NOW)

    given(*stock_with_reservation(key, 4)).when(other).then()


def test_receiving_adds_units():
    given(*stocked(10)).when(lambda item: item.receive(5, reference="Note 7", now=NOW)).then(
        event(e.StockReceived, quantity=5, reference="Note 7", on_hand=15, available=15)
    )


def test_a_larger_reservation_of_a_line_sets_more_units_aside(key):
    given(*stock_with_reservation(key, 4)).when(lambda item: item.extend(key, 6, now=NOW)).then(
        event(e.StockReserved, quantity=6, on_hand=10, reserved=10, available=0)
    )


def test_a_larger_reservation_of_a_line_is_refused_beyond_the_stock(key):
    given(*stock_with_reservation(key, 4)).when(
        lambda item: item.extend(key, 7, now=NOW)
    ).then_refused(
        InsufficientInventoryError,
        "Insufficient inventory: 7 requested of SAMPLE-1, 6 available.",
    )


def test_returned_units_are_available_again(key):
    def there_and_back(item):
        item.dispatch(key, 4, now=NOW)
        item.take_back(key, 3, now=NOW)

    given(*stock_with_reservation(key, 4)).when(there_and_back).then(
        event(e.StockDispatched, quantity=4, on_hand=6, reserved=0, available=6),
        event(e.StockReturned, quantity=3, on_hand=9, reserved=0, available=9),
    )


# --- The books and the shelf -------------------------------------------------------------------
def adjust(delta):
    return lambda item: item.adjust(
        delta, reason=AdjustmentReason.DAMAGE, comment="Fell down", now=NOW
    )


@pytest.mark.parametrize(("delta", "left"), [(5, 15), (-6, 4)])
def test_an_adjustment_brings_the_books_in_line(key, delta, left):
    given(*stock_with_reservation(key, 4)).when(adjust(delta)).then(
        event(
            e.StockAdjusted,
            delta=delta,
            reason="damage",
            comment="Fell down",
            on_hand=left,
            reserved=4,
            available=left - 4,
        )
    )


def test_reserved_units_cannot_be_adjusted_away(key):
    given(*stock_with_reservation(key, 4)).when(adjust(-7)).then_refused(
        WouldGoNegativeError, "3 units of SAMPLE-1 would be left, and 4 are reserved."
    )


def test_reserved_units_of_a_backorderable_product_can_be_adjusted_away(key):
    past = given(*stocked(10, backorderable=True)).when(reserve(key, 12)).aggregate
    past.adjust(-10, reason=AdjustmentReason.THEFT, now=NOW)
    assert (past.on_hand, past.available) == (0, -12)
    with pytest.raises(WouldGoNegativeError, match=r"^-1 units of SAMPLE-1 would be left"):
        past.adjust(-1, reason=AdjustmentReason.THEFT, now=NOW)


# --- Price and policy --------------------------------------------------------------------------
PRICE = Money.of(Decimal("19.90"), "EUR")


def test_the_list_price_is_set_and_removed():
    def twice_each(item):
        for price in (PRICE, PRICE, None, None):
            item.set_list_price(price, now=NOW)

    given(*stocked()).when(twice_each).then(
        event(e.ListPriceChanged, list_price=PRICE, on_hand=10),
        event(e.ListPriceChanged, list_price=None, on_hand=10),
    )


def test_a_product_has_a_list_price_in_each_currency():
    dollars, yen = Money.of(Decimal("21.50"), "USD"), Money.of(Decimal("3000"), "JPY")
    item = StockItem.fold(stocked())
    for price in (PRICE, dollars, yen):
        item.set_list_price(price, now=NOW)
    assert item.price == item.price_in("EUR") == PRICE
    assert (item.price_in("USD"), item.price_in("GBP")) == (dollars, PRICE)

    item.set_list_price(None, currency="USD", now=NOW)
    assert list(item.prices) == ["EUR", "JPY"]
    item.set_list_price(None, currency="EUR", now=NOW)
    assert item.prices == {"JPY": yen}
    item.set_list_price(None, currency="GBP", now=NOW)
    assert len(item.raised_events) == 5


def test_a_list_price_of_an_earlier_release_replaces_the_one_before():
    dollars = Money.of(Decimal("21.50"), "USD")
    fields = {"timestamp": NOW, "product_id": uuid7()}
    past = [e.ListPriceChanged(list_price=price, **fields) for price in (PRICE, dollars)]
    assert StockItem.fold([*stocked(), *past]).prices == {"USD": dollars}


def test_a_product_is_renamed():
    def twice(item):
        for _ in range(2):
            item.rename("Lamp", now=NOW)

    given(*stocked()).when(twice).then(
        event(e.StockItemRenamed, name="Lamp", name_before="Sample 1")
    )


def test_no_more_units_of_a_discontinued_product_are_ordered(key):
    item = StockItem.fold(stock_with_reservation(key, 4))
    for _ in range(2):
        item.discontinue(now=NOW)
    with pytest.raises(DiscontinuedError, match=r"^SAMPLE-1 isn't sold any more\.$"):
        item.order_more(key, 1, now=NOW)
    item.dispatch(key, 4, now=NOW)
    item.reinstate(now=NOW)
    item.reinstate(now=NOW)
    item.order_more(key, 1, now=NOW)
    assert [event.type for event in item.raised_events] == [
        "StockItemDiscontinued",
        "StockDispatched",
        "StockItemReinstated",
        "StockReserved",
    ]


def test_setting_the_same_policy_again_raises_no_event():
    def twice(item):
        for _ in range(2):
            item.set_policy(reorder_point=3, backorderable=True, now=NOW)

    given(*stocked()).when(twice).then(
        event(e.StockPolicyChanged, reorder_point=3, backorderable=True, available=10)
    )


def test_backordering_stays_allowed_while_units_are_oversold(key):
    item = given(*stocked(1, backorderable=True)).when(reserve(key, 4)).aggregate

    def forbid(item):
        item.set_policy(reorder_point=0, backorderable=False, now=NOW)

    with pytest.raises(WouldGoNegativeError) as refusal:
        forbid(item)
    assert str(refusal.value) == ("3 units of SAMPLE-1 are oversold; receive them first.")
    item.receive(3, now=NOW)
    forbid(item)
    assert not item.backorderable
