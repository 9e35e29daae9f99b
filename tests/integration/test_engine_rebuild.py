"""Rebuilding: the same rows from the log, while readers are served and the log grows."""

from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from ordering_read.engine import live
from ordering_read.engine.base import registered
from ordering_read.engine.compare import differing_rows
from ordering_read.engine.rebuild import RebuildRunningError, rebuild
from ordering_read.models import InventoryLevel, OrderLine, OrderSummary, Projection
from ordering_read.projections.inventory_level import InventoryProjection
from ordering_write.published import DomainEvent, OrderStatus
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


def generations(name: str) -> dict[int, str]:
    return dict(Projection.objects.filter(name=name).values_list("generation", "status"))


def generation(name: str, number: int) -> Projection:
    return Projection.objects.get(name=name, generation=number)


def a_day() -> None:
    """Orders that were placed, shipped and cancelled."""
    customer = kit.registered_customer()
    product = kit.registered_product(on_hand=100)
    orders = [kit.placed_order(customer, (product, 1), (product, 2)) for _ in range(4)]
    kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED))
    kit.dispatch(kit.move(orders[0], OrderStatus.SHIPPED))
    kit.dispatch(kit.cancel(orders[1]))


def ignore(count: int) -> None:
    pass


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_result_equals_the_live_rows(settings: Any, batch: int) -> None:
    a_day()
    for name in registered():
        live.run(name)
    settings.PROJECTION_BATCH = batch

    for name, projection in registered().items():
        rebuild(name, progress=ignore)

        assert generations(name) == {1: "retired", 2: "live"}
        differing = differing_rows(generation(name, 1), generation(name, 2))
        assert differing == {model._meta.db_table: 0 for model in projection.models}
    assert OrderSummary.live.count() == 4
    assert OrderLine.live.count() == 8


def test_a_difference_is_seen() -> None:
    kit.registered_product()
    live.run("inventory_level")
    rebuild("inventory_level", progress=ignore)

    with connections["read"].cursor() as cursor:
        cursor.execute(
            "UPDATE inventory_level SET on_hand = 0 WHERE projection_id = %s",
            [generation("inventory_level", 2).pk],
        )

    differing = differing_rows(generation("inventory_level", 1), generation("inventory_level", 2))
    assert differing == {"inventory_level": 2}


def test_readers_see_the_old_rows_until_the_new_ones_are_complete(settings: Any) -> None:
    settings.PROJECTION_BATCH = 1
    for _ in range(3):
        kit.registered_product()
    live.run("inventory_level")
    seen = []

    rebuild(
        "inventory_level",
        progress=lambda count: seen.append(InventoryLevel.live.count()),
    )

    assert seen == [3, 3, 3]
    assert InventoryLevel.live.count() == 3


def test_events_that_come_meanwhile_are_in_the_new_rows() -> None:
    kit.registered_product()
    live.run("inventory_level")
    more = iter([True, True, True, False])

    def commit_another(count: int) -> None:
        if next(more, False):
            kit.registered_product()
            live.run("inventory_level")

    rebuild("inventory_level", progress=commit_another)

    assert InventoryLevel.live.count() == 4
    assert generation("inventory_level", 2).position == 8


def test_the_former_rows_stay_until_the_next_rebuild() -> None:
    kit.registered_product()
    for _ in range(3):
        rebuild("inventory_level", progress=ignore)

    assert generations("inventory_level") == {3: "retired", 4: "live"}
    kept = InventoryLevel.objects.values_list("projection__generation", flat=True)
    assert sorted(kept) == [3, 4]


def test_a_rebuild_that_was_killed_is_begun_anew(settings: Any) -> None:
    settings.PROJECTION_BATCH = 1
    kit.registered_product()
    kit.registered_product()

    def kill(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild("inventory_level", progress=kill)
    assert generations("inventory_level") == {1: "live", 2: "building"}

    rebuild("inventory_level", progress=ignore)

    assert InventoryLevel.live.count() == 2
    assert generations("inventory_level") == {1: "retired", 2: "live"}


def test_a_projection_that_fails_leaves_the_live_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        raise ValueError("no such colour")

    kit.registered_product()
    live.run("inventory_level")
    monkeypatch.setattr(InventoryProjection, "apply", fail)

    with pytest.raises(ValueError, match="no such colour"):
        rebuild("inventory_level", progress=ignore)

    assert InventoryLevel.live.count() == 1


def test_two_rebuilds_of_one_projection_are_refused() -> None:
    other = connections["read"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(7301002, hashtext('order_view'))")

        with pytest.raises(RebuildRunningError, match="order_view is being rebuilt already"):
            rebuild("order_view", progress=ignore)
        rebuild("inventory_level", progress=ignore)
    finally:
        other.close()


def test_the_command_rebuilds_all_or_those_named() -> None:
    a_day()
    out = StringIO()

    call_command("rebuild_projections", stdout=out)
    call_command("rebuild_projections", "order_view", stdout=out)

    lines = out.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines] == [*registered(), "order_view"]
    assert " events in " in lines[0]


def test_the_command_refuses_an_unknown_name_before_it_does_anything() -> None:
    with pytest.raises(CommandError, match="There is no projection 'nothing'; there are: "):
        call_command("rebuild_projections", "order_view", "nothing")

    assert generations("order_view") == {1: "live"}
