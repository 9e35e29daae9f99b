"""Filling a generation from the log, in slices and batches of any size."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connections

from ordering_read.engine import fill, live
from ordering_read.models import FillSlice, Projection
from ordering_read.projections.order_view import OrderProjection
from ordering_read.projector import registered
from ordering_write import published
from ordering_write.published import DomainEvent, OrderStatus, events
from tests import kit
from tests.kit_projections import rows_of

pytestmark = pytest.mark.usefixtures("db")


def a_day() -> None:
    """Orders that were placed, shipped and cancelled; all projections have seen it."""
    customer = kit.registered_customer()
    product = kit.registered_product(on_hand=100)
    orders = [kit.placed_order(customer, (product, 1), (product, 2)) for _ in range(4)]
    kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED))
    kit.dispatch(kit.move(orders[0], OrderStatus.SHIPPED))
    kit.dispatch(kit.cancel(orders[1]))
    for name in registered():
        live.run(name)


def served(name: str) -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def scratch(name: str) -> Projection:
    return Projection.objects.create(
        name=name, generation=2, version=1, status=Projection.Status.SHADOW
    )


def assert_equal_rows(one: Projection, other: Projection) -> None:
    for model in registered()[one.name].models:
        assert rows_of(model, one) == rows_of(model, other)


@pytest.mark.parametrize("batch", [1, 3, 5_000])
@pytest.mark.parametrize("name", registered())
def test_it_makes_the_rows_that_following_made(name: str, batch: int) -> None:
    a_day()
    generation = scratch(name)

    applied = list(fill.fill(generation, until=served(name).position, batch=batch))

    assert sum(applied) == generation.events_total
    assert generation.position == served(name).position
    assert_equal_rows(served(name), generation)
    assert not FillSlice.objects.exists()


@pytest.mark.parametrize("name", registered())
def test_slices_make_them_together(name: str) -> None:
    a_day()
    generation = scratch(name)
    fill.begin(generation, until=served(name).position, slices=3, batch=2)
    numbers = list(generation.slices.values_list("number", flat=True))

    events = [sum(fill.fill_slice(generation, number, batch=2)) for number in numbers]
    fill.finish(generation)

    assert sum(events) == generation.events_total
    assert_equal_rows(served(name), generation)


def test_it_stops_at_the_position_and_following_goes_on_from_there() -> None:
    a_day()
    generation = scratch("order_view")
    position = served("order_view").position
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))

    list(fill.fill(generation, until=position))

    assert_equal_rows(served("order_view"), generation)
    live.run("order_view")
    generations = Projection.objects.filter(pk=generation.pk)
    apply = live.subscriber(registered()["order_view"])
    list(published.follow(generations, apply, batch=100))
    assert_equal_rows(served("order_view"), generation)


def remove_an_order_event() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "DELETE FROM event_position USING event"
            " WHERE event.id = event_position.event_id AND type = 'OrderItemAdded' AND version = 3"
        )
        cursor.execute("DELETE FROM event WHERE type = 'OrderItemAdded' AND version = 3")


def test_a_missing_event_is_noticed_before_it_begins() -> None:
    a_day()
    remove_an_order_event()

    with pytest.raises(published.LogGapError, match=r"4 of the \d+ events .* are missing"):
        fill.begin(scratch("order_view"), until=served("order_view").position)


def test_an_event_that_goes_meanwhile_is_noticed() -> None:
    a_day()
    generation = scratch("order_view")
    fill.begin(generation, until=served("order_view").position)
    remove_an_order_event()
    list(fill.fill_slice(generation, 0))

    with pytest.raises(published.LogGapError, match="some have gone from the log meanwhile"):
        fill.finish(generation)


def test_whoever_is_killed_repeats_one_batch_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    a_day()
    generation = scratch("order_view")
    fill.begin(generation, until=served("order_view").position)
    begun = fill.fill_slice(generation, 0, batch=4)
    applied = next(begun)
    apply = OrderProjection.apply

    def killed(self: OrderProjection, batch: Sequence[DomainEvent], projection_id: int) -> None:
        apply(self, batch, projection_id)
        raise KeyboardInterrupt

    monkeypatch.setattr(OrderProjection, "apply", killed)
    with pytest.raises(KeyboardInterrupt):
        next(begun)
    monkeypatch.setattr(OrderProjection, "apply", apply)

    assert FillSlice.objects.get().events == applied
    rest = sum(fill.fill_slice(generation, 0, batch=4))
    assert applied + rest == generation.events_total
    fill.finish(generation)
    assert_equal_rows(served("order_view"), generation)


# --- What kills ----------------------------------------------------------------------------------
class Killed(BaseException):
    """Stands in for the end of the process: nothing that it did since its last commit is left."""


@pytest.mark.parametrize("name", ["order_view", "sales_by_day"])
def test_what_kills_whoever_applies_it_is_parked_after_three_starts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a generation that is sliced by stream, and in one that mixes them."""
    a_day()
    added = [e for e in published.read_log(0, 1_000) if isinstance(e, events.OrderItemAdded)]
    poison = added[4]
    kind = type(registered()[name])
    apply = kind.apply

    def apply_or_die(self: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        apply(self, batch, projection_id)
        if any(event.recorded.event_id == poison.recorded.event_id for event in batch):
            raise Killed

    monkeypatch.setattr(kind, "apply", apply_or_die)
    generation = scratch(name)
    fill.begin(generation, until=served(name).position)

    for _ in range(3):
        with pytest.raises(Killed):
            list(fill.fill_slice(generation, 0, batch=100))
    list(fill.fill_slice(generation, 0, batch=100))
    fill.finish(generation)

    [parked] = generation.parked_events.exclude(category="waiting")
    assert (parked.event_id, parked.category) == (poison.recorded.event_id, "crash")
    generation.refresh_from_db()
    assert generation.position == served(name).position
    assert generation.parked_streams == 1


def test_a_process_that_is_killed_by_somebody_else_parks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_day()
    generation = scratch("order_view")
    fill.begin(generation, until=served("order_view").position)
    apply, kills = OrderProjection.apply, iter([True, True])

    def apply_or_die(self: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        if next(kills, False):
            raise Killed
        apply(self, batch, projection_id)

    monkeypatch.setattr(OrderProjection, "apply", apply_or_die)
    for _ in range(2):
        with pytest.raises(Killed):
            list(fill.fill_slice(generation, 0, batch=100))

    # From here on its events go one by one.
    applied = list(fill.fill_slice(generation, 0, batch=100))

    assert set(applied) <= {0, 1}
    fill.finish(generation)
    assert not generation.parked_events.exists()
    assert_equal_rows(served("order_view"), generation)
