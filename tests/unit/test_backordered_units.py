"""The StockItem aggregate: backordered units, expected units, and the invariants of counters."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from ordering_write.domain import events as e
from ordering_write.domain.errors import (
    ExceedsStockError,
    InPastError,
    InsufficientInventoryError,
    TooManyExpectationsError,
    WouldGoNegativeError,
)
from ordering_write.domain.events import AdjustmentReason
from ordering_write.models import StockItem
from tests.kit import NOW, event, given, state, stocked
from tests.proof import size
from tests.unit.test_stock import reserve


@pytest.fixture
def key() -> tuple[UUID, UUID]:
    return (uuid7(), uuid7())


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


def test_an_adjustment_that_adds_units_is_never_refused(key):
    item = given(*oversold_by_an_earlier_release(key)).when(lambda _: None).aggregate
    assert item.on_hand == -2
    item.adjust(1, reason=AdjustmentReason.FOUND, now=NOW)
    assert item.on_hand == -1


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
