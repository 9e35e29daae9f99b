"""Fills of a generation from the log, in slices and batches of any size."""

from collections.abc import Iterator, Sequence
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
from tests.proof import IS_PROOF

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="module", autouse=True)
def _day(module_db: None) -> None:
    """Place, ship and cancel orders."""
    customer = kit.registered_customer()
    product = kit.registered_product(on_hand=100)
    orders = [kit.placed_order(customer, (product, 1), (product, 2)) for _ in range(4)]
    kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED))
    kit.dispatch(kit.move(orders[0], OrderStatus.SHIPPED))
    kit.dispatch(kit.cancel(orders[1]))


def live_projection(name: str) -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def shadow(name: str, *, number: int = 2) -> Projection:
    """An empty generation of a projection."""
    return Projection.objects.create(
        name=name, generation=number, version=1, status=Projection.Status.SHADOW
    )


def fill_whole(generation: Projection, *, until: int, batch: int = fill.BATCH) -> Iterator[int]:
    """Fill a generation in one slice; yields the number of events of each batch."""
    fill.begin(generation, until=until)
    yield from fill.fill_slice(generation, 0, batch=batch)
    fill.finish(generation)


def assert_equal_rows(expected: Projection, generation: Projection) -> None:
    for model in registered()[expected.name].models:
        assert rows_of(model, generation) == rows_of(model, expected)


@pytest.mark.proof
@pytest.mark.parametrize("name", registered())
def test_a_fill_makes_the_same_rows_as_following_the_log(
    name: str, subtests: pytest.Subtests
) -> None:
    live.run(name)
    # Slices of all projections are filled in small batches below.
    in_small_batches = IS_PROOF or name in ("order_view", "sales_by_day")
    for number, batch in enumerate((5_000, 3, 1) if in_small_batches else (5_000,), start=2):
        with subtests.test("a fill", batch=batch):
            generation = shadow(name, number=number)

            applied = list(
                fill_whole(generation, until=live_projection(name).position, batch=batch)
            )

            assert sum(applied) == generation.events_total
            assert generation.position == live_projection(name).position
            assert_equal_rows(live_projection(name), generation)
            assert not FillSlice.objects.exists()


@pytest.mark.parametrize("name", registered())
def test_slices_together_make_the_same_rows_as_following_the_log(name: str) -> None:
    live.run(name)
    generation = shadow(name)
    fill.begin(generation, until=live_projection(name).position, slices=3, batch=2)
    numbers = list(generation.slices.values_list("number", flat=True))

    events = [sum(fill.fill_slice(generation, number, batch=2)) for number in numbers]
    fill.finish(generation)

    assert sum(events) == generation.events_total
    assert_equal_rows(live_projection(name), generation)


def test_following_goes_on_from_the_position_at_which_a_fill_stops() -> None:
    live.run("order_view")
    generation = shadow("order_view")
    position = live_projection("order_view").position
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))

    list(fill_whole(generation, until=position))

    assert_equal_rows(live_projection("order_view"), generation)
    live.run("order_view")
    subscriber = live.subscriber(registered()["order_view"])
    generations = Projection.objects.filter(pk=generation.pk)
    list(published.follow(generations, subscriber, batch=100))
    assert_equal_rows(live_projection("order_view"), generation)


def remove_an_order_event() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "DELETE FROM event_position USING event"
            " WHERE event.id = event_position.event_id AND type = 'OrderItemAdded' AND version = 3"
        )
        cursor.execute("DELETE FROM event WHERE type = 'OrderItemAdded' AND version = 3")


def test_a_missing_event_is_noticed_before_a_fill_begins() -> None:
    live.run("order_view")
    remove_an_order_event()

    with pytest.raises(published.LogGapError, match=r"4 of the \d+ events .* are missing"):
        fill.begin(shadow("order_view"), until=live_projection("order_view").position)


def test_an_event_that_is_deleted_during_a_fill_is_noticed() -> None:
    live.run("order_view")
    generation = shadow("order_view")
    fill.begin(generation, until=live_projection("order_view").position)
    remove_an_order_event()
    list(fill.fill_slice(generation, 0))

    with pytest.raises(published.LogGapError, match="the log lost events in the meantime"):
        fill.finish(generation)


def test_a_killed_fill_repeats_at_most_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    live.run("order_view")
    generation = shadow("order_view")
    fill.begin(generation, until=live_projection("order_view").position)
    batches = fill.fill_slice(generation, 0, batch=4)
    applied = next(batches)
    apply = OrderProjection.apply

    def apply_and_die(
        self: OrderProjection, batch: Sequence[DomainEvent], projection_id: int
    ) -> None:
        apply(self, batch, projection_id)
        raise KeyboardInterrupt

    monkeypatch.setattr(OrderProjection, "apply", apply_and_die)
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    monkeypatch.setattr(OrderProjection, "apply", apply)

    assert FillSlice.objects.get().events == applied
    rest = sum(fill.fill_slice(generation, 0, batch=4))
    assert applied + rest == generation.events_total
    fill.finish(generation)
    assert_equal_rows(live_projection("order_view"), generation)


# --- Killed processes --------------------------------------------------------------------------
class Killed(BaseException):
    """Stands for the end of the process: everything since its last commit is rolled back."""


@pytest.mark.parametrize("name", ["order_view", "sales_by_day"])
def test_an_event_that_kills_its_process_is_parked_after_three_starts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers a projection that is sliced by stream, and a projection that mixes streams."""
    live.run(name)
    added = [e for e in published.read_log(0, 1_000) if isinstance(e, events.OrderItemAdded)]
    poison = added[4]
    projection_type = type(registered()[name])
    apply = projection_type.apply

    def apply_or_die(self: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        apply(self, batch, projection_id)
        if any(event.recorded.event_id == poison.recorded.event_id for event in batch):
            raise Killed

    monkeypatch.setattr(projection_type, "apply", apply_or_die)
    generation = shadow(name)
    fill.begin(generation, until=live_projection(name).position)

    for _ in range(3):
        with pytest.raises(Killed):
            list(fill.fill_slice(generation, 0, batch=100))
    list(fill.fill_slice(generation, 0, batch=100))
    fill.finish(generation)

    [parked_event] = generation.parked_events.exclude(category="waiting")
    assert (parked_event.event_id, parked_event.category) == (poison.recorded.event_id, "crash")
    generation.refresh_from_db()
    assert generation.position == live_projection(name).position
    assert generation.parked_streams == 1


def test_a_process_that_is_killed_from_outside_parks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live.run("order_view")
    generation = shadow("order_view")
    fill.begin(generation, until=live_projection("order_view").position)
    apply, kills = OrderProjection.apply, iter([True, True])

    def apply_or_die(self: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        if next(kills, False):
            raise Killed
        apply(self, batch, projection_id)

    monkeypatch.setattr(OrderProjection, "apply", apply_or_die)
    for _ in range(2):
        with pytest.raises(Killed):
            list(fill.fill_slice(generation, 0, batch=100))

    # The events of the batch are applied one by one from here on.
    applied = list(fill.fill_slice(generation, 0, batch=100))

    assert set(applied) <= {0, 1}
    fill.finish(generation)
    assert not generation.parked_events.exists()
    assert_equal_rows(live_projection("order_view"), generation)
