"""Rebuilds: the same rows from the log, while readers are served and the log grows."""

from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from ordering_read.engine import live
from ordering_read.engine.generations import BusyError, IncompleteError, follow
from ordering_read.engine.rebuild import rebuild
from ordering_read.engine.table_diff import TableDiff
from ordering_read.management.commands.rebuild_projections import Command
from ordering_read.models import InventoryLevel, OrderLine, OrderSummary, Projection
from ordering_read.projections.inventory_level import InventoryProjection
from ordering_read.projector import registered
from ordering_write.published import DomainEvent, OrderStatus
from tests import kit
from tests.proof import size

pytestmark = pytest.mark.usefixtures("db")


def generations(name: str) -> dict[int, str]:
    return dict(Projection.objects.filter(name=name).values_list("generation", "status"))


def generation(name: str, number: int) -> Projection:
    return Projection.objects.get(name=name, generation=number)


def order_for_a_day() -> None:
    """Place, ship and cancel orders."""
    customer = kit.registered_customer()
    product = kit.registered_product(on_hand=100)
    orders = [kit.placed_order(customer, (product, 1), (product, 2)) for _ in range(4)]
    kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED))
    kit.dispatch(kit.move(orders[0], OrderStatus.SHIPPED))
    kit.dispatch(kit.cancel(orders[1]))


# Fills in batches of other sizes have a test of their own for each projection.
@pytest.mark.proof
@pytest.mark.parametrize("batch", [7, 1, 500][: size(1, full=3)])
def test_rebuilt_rows_equal_the_live_rows(settings: Any, batch: int) -> None:
    order_for_a_day()
    for name in registered():
        live.run(name)
    settings.PROJECTION_BATCH = batch

    for name, projection in registered().items():
        rebuilt = rebuild(name, batch=batch)

        assert generations(name) == {1: "retired", 2: "live"}
        assert {table.table: table.differing for table in rebuilt.compared} == {
            model._meta.db_table: 0 for model in projection.models
        }
    assert OrderSummary.live.count() == 4
    assert OrderLine.live.count() == 8


def test_rows_that_differ_are_listed_and_the_new_ones_take_over() -> None:
    first, second = kit.registered_product(), kit.registered_product()
    live.run("inventory_level")
    with connections["read"].cursor() as cursor:
        cursor.execute("UPDATE inventory_level SET on_hand = 3 WHERE product_id = %s", [first.pk])
        cursor.execute("DELETE FROM inventory_level WHERE product_id = %s", [second.pk])

    levels, _reservations = rebuild("inventory_level").compared

    assert (levels.stored_rows, levels.folded_rows) == (1, 2)
    assert levels.differing == 2
    assert sorted(str(difference) for difference in levels.differences) == [
        f"inventory_level, product_id {first.pk}: on_hand 3 → 10",
        f"inventory_level, product_id {second.pk}: missing",
    ]
    assert InventoryLevel.live.get(product_id=first.pk).on_hand == 10
    assert InventoryLevel.live.count() == 2


def test_generations_are_compared_at_one_position_only() -> None:
    kit.registered_product()
    live.run("inventory_level")
    rebuild("inventory_level")
    kit.registered_product()
    retired, promoted = generation("inventory_level", 1), generation("inventory_level", 2)

    diff = TableDiff(InventoryLevel, stored=retired, folded=promoted)

    list(follow(retired))

    assert diff.compare() is None
    assert diff.differences([]) is None
    list(follow(promoted))
    levels = diff.compare()
    assert levels is not None
    assert (levels.stored_rows, levels.folded_rows) == (2, 2)
    assert not levels.differing


def test_readers_are_served_the_old_rows_until_the_new_ones_are_complete() -> None:
    for _ in range(3):
        kit.registered_product()
    live.run("inventory_level")
    progress = set()

    rebuild(
        "inventory_level",
        batch=1,
        progress=lambda done, total: progress.add((done, total, InventoryLevel.live.count())),
    )

    assert progress == {(done, 6, 3) for done in range(7)}
    assert InventoryLevel.live.count() == 3


def test_events_that_are_committed_during_a_rebuild_are_in_the_new_rows() -> None:
    kit.registered_product()
    live.run("inventory_level")
    remaining = iter([True, True, True, False])

    def commit_another(done: int, total: int) -> None:
        if next(remaining, False):
            kit.registered_product()
            live.run("inventory_level")

    rebuilt = rebuild("inventory_level", progress=commit_another)

    assert InventoryLevel.live.count() == 4
    assert generation("inventory_level", 2).position == 8
    assert [table.differing for table in rebuilt.compared] == [0, 0]


def test_the_former_rows_stay_until_the_next_rebuild() -> None:
    kit.registered_product()
    for _ in range(3):
        rebuild("inventory_level")

    assert generations("inventory_level") == {3: "retired", 4: "live"}
    kept = InventoryLevel.objects.values_list("projection__generation", flat=True)
    assert sorted(kept) == [3, 4]


def kill_after_two_events(done: int, total: int) -> None:
    if done >= 2:
        raise KeyboardInterrupt


def start_and_kill_a_rebuild(name: str) -> None:
    """Register two products, and kill a rebuild after two events."""
    kit.registered_product()
    kit.registered_product()
    live.run(name)
    with pytest.raises(KeyboardInterrupt):
        rebuild(name, batch=1, progress=kill_after_two_events)
    assert generations(name) == {1: "live", 2: "building"}


def test_a_killed_rebuild_resumes_where_it_was() -> None:
    start_and_kill_a_rebuild("inventory_level")
    progress = set()

    rebuild("inventory_level", batch=1, progress=lambda done, total: progress.add(done))

    assert progress == {2, 3, 4}
    assert InventoryLevel.live.count() == 2
    assert generations("inventory_level") == {1: "retired", 2: "live"}


def test_a_rebuild_that_other_code_began_starts_again() -> None:
    start_and_kill_a_rebuild("inventory_level")
    Projection.objects.filter(generation=2).update(code_fingerprint="of other code")

    rebuild("inventory_level")

    assert generations("inventory_level") == {1: "retired", 2: "live"}
    assert InventoryLevel.objects.count() == 4


def test_a_rebuild_without_promotion_is_promoted_by_the_next() -> None:
    kit.registered_product()
    live.run("inventory_level")
    out = StringIO()

    call_command("rebuild_projections", "inventory_level", "--no-promote", stdout=out)

    assert "inventory_level, generation 2, is ready" in out.getvalue()
    assert generations("inventory_level") == {1: "live", 2: "building"}
    kit.registered_product()
    rebuild("inventory_level")
    assert generations("inventory_level") == {1: "retired", 2: "live"}
    assert InventoryLevel.live.count() == 2


def test_a_failed_rebuild_leaves_the_live_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, batch: Sequence[DomainEvent], projection_id: int) -> None:
        raise ValueError("no such colour")

    kit.registered_product()
    live.run("inventory_level")
    monkeypatch.setattr(InventoryProjection, "apply", fail)

    with pytest.raises(
        IncompleteError, match=r"version 1\): ValueError: no such colour\. Those stay"
    ):
        rebuild("inventory_level")

    assert InventoryLevel.live.count() == 1
    assert generations("inventory_level") == {1: "live"}


def test_a_second_rebuild_of_a_projection_is_refused() -> None:
    other = connections["read"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(7301002, hashtext('order_view'))")

        with pytest.raises(BusyError, match="order_view is being rebuilt or verified"):
            rebuild("order_view")
        rebuild("inventory_level")
    finally:
        other.close()


def test_the_lock_of_a_lost_machine_is_released_within_seconds() -> None:
    """The server learns from TCP keepalives only that the session is dead."""
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
    with connections["read"].cursor() as cursor:
        if cursor.connection.info.host.startswith("/"):
            pytest.skip("the server is on this machine")
        cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        idle, interval, count = map(int, cursor.fetchone())
    assert 0 < idle + interval * count < 15


@pytest.mark.parametrize("option", [[], ["--all"]])
def test_rebuild_projections_rebuilds_all_projections(
    option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(Command, "_rebuild", lambda _, name, options: names.append(name))

    call_command("rebuild_projections", *option)

    assert names == list(registered())


def test_rebuild_projections_rebuilds_the_named_projections() -> None:
    order_for_a_day()
    for name in ("inventory_level", "order_view"):
        live.run(name)
    out = StringIO()

    call_command("rebuild_projections", "inventory_level", "order_view", stdout=out)

    lines = [line for line in out.getvalue().splitlines() if not line.startswith(" ")]
    assert [line.partition(":")[0] for line in lines] == ["inventory_level", "order_view"]
    assert " events in " in lines[0]
    assert out.getvalue().endswith(
        "  order_summary: 4 rows, the same as before.\n"
        "  order_line_view: 8 rows, the same as before.\n"
    )


def test_rebuild_projections_lists_rows_that_differ() -> None:
    product = kit.registered_product()
    live.run("inventory_level")
    with connections["read"].cursor() as cursor:
        cursor.execute("UPDATE inventory_level SET on_hand = 3")
    out = StringIO()

    call_command("rebuild_projections", "inventory_level", stdout=out)

    assert out.getvalue().splitlines()[1:] == [
        "  inventory_level: 1 rows, 1 before, of which 1 differ; the new ones are what the log"
        " says.",
        f"    inventory_level, product_id {product.pk}: on_hand 3 → 10",
        "  stock_reservation: 0 rows, the same as before.",
    ]


def test_rebuild_projections_refuses_an_unknown_name_first() -> None:
    with pytest.raises(CommandError, match="There is no projection 'nothing'; there are: "):
        call_command("rebuild_projections", "order_view", "nothing")

    assert generations("order_view") == {1: "live"}
