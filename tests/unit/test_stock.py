"""The StockItem aggregate: reservations, movements, price and policy."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    DiscontinuedError,
    ExceedsStockError,
    InPastError,
    InsufficientInventoryError,
    TooManyExpectationsError,
    WouldGoNegativeError,
)
from ordering_write.domain.events import AdjustmentReason
from ordering_write.domain.values import Money
from ordering_write.models import StockItem
from tests.kit import NOW, event, given, state, stocked
from tests.proof import size


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


def test_an_adjustment_that_adds_units_is_never_refused(key):
    item = given(*oversold_by_an_earlier_release(key)).when(lambda _: None).aggregate
    assert item.on_hand == -2
    item.adjust(1, reason=AdjustmentReason.FOUND, now=NOW)
    assert item.on_hand == -1


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


# --- Units on hand and promised units --------------------------------------------------------
OLDEST, MIDDLE, NEWEST = [(uuid7(), uuid7()) for _ in range(3)]


def backorderable(on_hand, *units):
    """A product with a reservation of each number of ``units``, the oldest first."""
    item = StockItem.fold(stocked(on_hand, backorderable=True))
    for key, quantity in zip((OLDEST, MIDDLE, NEWEST), units, strict=False):
        item.reserve(key, quantity, now=NOW)
    return item


def backordered_of(item):
    """The backordered units of the three lines, the oldest first."""
    return [item.backorders.get(key, 0) for key in (OLDEST, MIDDLE, NEWEST)]


def oversold_by_an_earlier_release(key):
    """The events of a product of which 12 units were dispatched when 10 were on hand."""
    past = stocked(10, backorderable=True)
    fields = {"timestamp": NOW, "product_id": past[0].product_id, "quantity": 12}
    fields |= {"order_id": key[0], "line_id": key[1]}
    return [*past, e.StockReserved(**fields), e.StockDispatched(**fields)]


def test_units_that_are_not_on_hand_are_backordered(key):
    given(*stocked(3, backorderable=True)).when(reserve(key, 5)).then(
        event(
            e.StockReserved,
            quantity=5,
            backordered=2,
            backorders=[e.Backorder(order_id=key[0], line_id=key[1], backordered=2)],
        )
    )


def test_an_event_of_a_product_that_is_not_oversold_names_no_backorders(key):
    given(*stocked(5, backorderable=True)).when(reserve(key, 5)).then(
        event(e.StockReserved, quantity=5, backordered=0, backorders=None)
    )


def test_units_that_come_in_back_the_oldest_line_first():
    item = backorderable(0, 5, 5)
    item.receive(5, now=NOW)
    assert backordered_of(item) == [0, 5, 0]
    item.receive(3, now=NOW)
    assert backordered_of(item) == [0, 2, 0]
    item.receive(9, now=NOW)
    assert (backordered_of(item), item.backordered, item.available) == ([0, 0, 0], 0, 7)


def test_more_units_of_an_older_line_take_none_from_a_newer_line():
    item = backorderable(4, 2, 2)
    item.extend(OLDEST, 3, now=NOW)
    assert backordered_of(item) == [3, 0, 0]


def test_released_units_back_the_oldest_line():
    item = backorderable(5, 5, 2, 2)
    item.release(OLDEST, 3, now=NOW)
    assert backordered_of(item) == [0, 0, 1]


def test_backordered_units_are_released_before_others():
    item = backorderable(3, 5, 2)
    item.release(OLDEST, 1, now=NOW)
    assert backordered_of(item) == [1, 2, 0]
    item.release(OLDEST, 2, now=NOW)
    assert backordered_of(item) == [0, 1, 0]


def test_returned_units_back_the_oldest_line():
    item = backorderable(2, 2, 3)
    item.dispatch(OLDEST, 2, now=NOW)
    item.take_back(OLDEST, 2, now=NOW)
    assert (backordered_of(item), item.on_hand) == ([0, 1, 0], 2)


def test_the_newest_lines_lose_units_that_are_missing_on_the_shelf():
    item = backorderable(9, 3, 3, 3)
    item.adjust(-4, reason=AdjustmentReason.THEFT, now=NOW)
    assert backordered_of(item) == [0, 1, 3]
    item.adjust(2, reason=AdjustmentReason.FOUND, now=NOW)
    assert backordered_of(item) == [0, 0, 2]


def test_dispatching_more_than_is_on_hand_for_the_line_is_refused():
    item = backorderable(7, 5, 20)
    with pytest.raises(ExceedsStockError) as refusal:
        item.dispatch(MIDDLE, 20, now=NOW)
    assert str(refusal.value) == (
        "20 units of SAMPLE-1 were asked for, 2 are in stock for this order."
    )
    [shortage] = refusal.value.members()["shortages"]
    assert (shortage["requested"], shortage["available"]) == (20, 2)
    with pytest.raises(ExceedsStockError, match="3 units of SAMPLE-1 were asked for, 2 are"):
        item.dispatch(MIDDLE, 3, now=NOW)
    item.dispatch(MIDDLE, 2, now=NOW)
    assert (item.on_hand, backordered_of(item)) == (5, [0, 18, 0])


def test_units_dispatched_by_an_earlier_release_are_missing_on_the_shelf(key):
    item = given(*oversold_by_an_earlier_release(key)).when(lambda _: None).aggregate
    item.reserve(OLDEST, 3, now=NOW)
    item.receive(4, now=NOW)
    assert (item.on_hand, backordered_of(item)) == (2, [1, 0, 0])


def test_no_units_are_allocated_while_units_are_missing_on_the_shelf(key):
    past = oversold_by_an_earlier_release(key)
    fields = {"timestamp": NOW, "product_id": past[0].product_id, "quantity": 3}
    fields |= {"order_id": OLDEST[0], "line_id": OLDEST[1]}
    item = StockItem.fold([*past, e.StockReserved(**fields)])
    assert (item.on_hand, item.backordered, backordered_of(item)) == (-2, 3, [3, 0, 0])


def test_events_of_an_earlier_release_are_allocated_to_the_oldest_lines():
    item = backorderable(7, 5, 5)
    item.receive(1, now=NOW)
    unsaid = {"backordered": None, "backorders": None}
    events = [event.model_copy(update=unsaid) for event in item.pending_events]
    past = stocked(7, backorderable=True)
    folded = StockItem.fold([*past, *events])
    assert (backordered_of(folded), folded.backordered) == ([0, 2, 0], 2)


# --- Expected units --------------------------------------------------------------------------
DAYS = [NOW + timedelta(days=number) for number in range(60)]


def expected(*pairs):
    """So many units, each at the start of a day: ``(units, day)``."""
    return [e.Expectation(at=DAYS[day], quantity=quantity) for quantity, day in pairs]


def expecting(*pairs):
    """A product without stock that expects so many units: ``(units, day)``."""
    item = StockItem.fold(stocked(0))
    for quantity, day in pairs:
        item.expect_units(quantity, at=DAYS[day], now=NOW)
    return item


def test_units_are_expected_at_a_time():
    given(*stocked()).when(lambda item: item.expect_units(5, at=DAYS[2], now=NOW)).then(
        event(e.StockExpected, quantity=5, at=DAYS[2], expected=expected((5, 2)), on_hand=10)
    )


def test_the_earliest_expected_units_come_first():
    item = expecting((5, 4), (7, 2), (3, 3))
    assert item.expectations == expected((7, 2), (3, 3), (5, 4))


def test_the_number_of_expected_units_is_replaced_and_withdrawn():
    item = expecting((5, 2), (7, 3))
    item.expect_units(6, at=DAYS[2], now=NOW)
    item.expect_units(0, at=DAYS[3], now=NOW)
    assert item.expectations == expected((6, 2))
    item.expect_units(0, at=DAYS[2], now=DAYS[9])
    assert item.expectations == []


def test_expecting_the_same_again_raises_no_event():
    item = expecting((5, 2))
    before = item.version
    item.expect_units(5, at=DAYS[2], now=NOW)
    item.expect_units(0, at=DAYS[3], now=NOW)
    assert item.version == before


def test_units_that_come_in_are_those_expected_first():
    item = expecting((5, 2), (7, 3))
    item.receive(6, now=NOW)
    assert item.expectations == expected((6, 3))
    assert item.raised_events[-1].expected == expected((6, 3))
    item.receive(20, now=NOW)
    assert item.expectations == []


def test_units_are_not_expected_in_the_past_nor_at_too_many_times():
    item = expecting(*((1, day) for day in range(1, 51)))
    with pytest.raises(InPastError, match="lies in the past"):
        item.expect_units(1, at=NOW, now=NOW)
    with pytest.raises(TooManyExpectationsError):
        item.expect_units(1, at=DAYS[51], now=NOW)
    item.expect_units(2, at=DAYS[50], now=NOW)


# --- Invariants ------------------------------------------------------------------------------
KEYS = [OLDEST, MIDDLE, NEWEST]
a_key, a_few = st.sampled_from(KEYS), st.integers(1, 6)
STEPS = st.one_of(
    st.tuples(st.just("reserve"), a_key, a_few),
    st.tuples(st.just("extend"), a_key, a_few),
    st.tuples(st.just("release"), a_key, a_few),
    st.tuples(st.just("dispatch"), a_key, a_few),
    st.tuples(st.just("take_back"), a_key, a_few),
    st.tuples(st.just("receive"), a_few),
    st.tuples(st.just("expect_units"), a_few, st.integers(1, 9)),
    st.tuples(st.just("adjust"), st.integers(-6, 6).filter(bool)),
    st.tuples(st.just("set_policy"), st.booleans()),
)


def do(item, step, *details):
    match step:
        case "adjust":
            item.adjust(*details, reason=AdjustmentReason.COUNT, now=NOW)
        case "expect_units":
            quantity, day = details
            item.expect_units(quantity, at=DAYS[day], now=NOW)
        case "set_policy":
            item.set_policy(reorder_point=0, backorderable=details[0], now=NOW)
        case _:
            getattr(item, step)(*details, now=NOW)


def check_that_the_oldest_were_served(before, after):
    """Check that no line got units while an older line waits."""
    waiting = [key for key in KEYS if key in after]
    served = [key for key in KEYS if before.get(key, 0) > after.get(key, 0)]
    assert not waiting or all(key <= waiting[0] for key in served)


@pytest.mark.proof
@hypothesis.settings(deadline=None, max_examples=size(100, full=5_000))
@hypothesis.given(st.lists(STEPS, max_size=30))
def test_the_counters_equal_the_reservations_and_never_exceed_the_stock(steps):
    past = stocked(8)
    item = StockItem.fold(past)
    for step in steps:
        before = state(item)
        try:
            do(item, *step)
        except (ExceedsStockError, InsufficientInventoryError, WouldGoNegativeError):
            assert state(item) == before
        assert item.on_hand >= 0
        assert item.reserved == sum(item.reservations.values())
        assert item.backorderable or item.available >= 0
        assert item.backordered == sum(item.backorders.values()) == max(-item.available, 0)
        assert all(0 < units <= item.reservations[key] for key, units in item.backorders.items())
        if step[0] == "receive":
            check_that_the_oldest_were_served(before["backorders"], item.backorders)
    events: list[Any] = [*past, *item.pending_events]
    assert state(StockItem.fold(events)) == state(item)
    levels = [(event.on_hand, event.reserved, event.available) for event in events]
    assert levels[-1] == (item.on_hand, item.reserved, item.available)
