"""verify_projections: the rows it lists and repairs, in the tables of the stock."""

from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from ordering_read.engine import fill, generations, live
from ordering_read.engine import verify as verifying
from ordering_read.engine.table_diff import RowDifference, TableDiff
from ordering_read.engine.verify import RowInTheWayError, verify
from ordering_read.models import InventoryLevel, Projection
from ordering_read.projector import registered
from ordering_write.published import LogReplacedError
from tests import kit

pytestmark = pytest.mark.usefixtures("db")


def run_all() -> None:
    for name in registered():
        live.run(name)


def sql(statement: str, *parameters: Any) -> None:
    with connections["read"].cursor() as cursor:
        cursor.execute(statement, parameters)


def live_projection(name: str) -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def verify_rows(name: str, **options: Any) -> list[RowDifference]:
    differences: list[RowDifference] = []
    verify(name, on_difference=differences.append, **options)
    return differences


def only_live_generations_are_left() -> bool:
    statuses = Projection.objects.values_list("status", flat=True)
    return set(statuses) == {"live"}


def register_products(*products: int) -> list[UUID]:
    """Register products with these numbers on hand, and run their projection; returns the ids."""
    keys = [kit.registered_product(on_hand=on_hand).pk for on_hand in products]
    live.run("inventory_level")
    return keys


def command(*arguments: str) -> tuple[str, str]:
    """The output of `verify_projections`, and its error."""
    out = StringIO()
    try:
        call_command("verify_projections", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


# --- Output ------------------------------------------------------------------------------------
def test_amounts_are_compared_and_shown_to_the_last_digit() -> None:
    [product] = register_products(10)
    sql("UPDATE inventory_level SET list_price = 123456789012345.1234")
    sql("UPDATE inventory_level SET on_hand = 3, name = 'Other'")

    [difference] = verify_rows("inventory_level")

    assert str(difference) == (
        f"inventory_level, product_id {product}: name 'Other' → 'Sample', on_hand 3 → 10, "
        "list_price 123456789012345.1234 → 19.9000"
    )


def test_a_lost_database_ends_the_command_with_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*_args: Any, **_options: Any) -> None:
        raise OperationalError("server closed the connection\n\tunexpectedly")

    monkeypatch.setattr(TableDiff, "compare", lost)

    _, error = command("inventory_level")

    assert error == (
        "A database was lost: server closed the connection unexpectedly. What was repaired stays:"
        " try again."
    )


def test_the_command_lists_wrong_rows_and_repairs_them_on_request(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "robin")
    first, second = register_products(10, 20)
    sql("UPDATE inventory_level SET on_hand = 3 WHERE product_id = %s", first)
    sql("DELETE FROM inventory_level WHERE product_id = %s", second)
    listed = (
        "inventory_level:\n"
        f"  inventory_level, product_id {first}: on_hand 3 → 10\n"
        f"  inventory_level, product_id {second}: missing\n"
    )

    others = "  stock_reservation: 0 rows, all right.\n"

    assert command("inventory_level") == (
        f"{listed}  inventory_level: 2 rows, 2 wrong.\n{others}",
        "2 rows aren't what the log says; --repair corrects them.",
    )
    assert InventoryLevel.live.get().on_hand == 3
    assert command("inventory_level", "--repair") == (
        f"{listed}  inventory_level: 2 rows, 2 wrong, now repaired.\n{others}",
        "",
    )
    assert {row.on_hand for row in InventoryLevel.live.all()} == {10, 20}
    assert caplog.messages[-2:] == [
        f"inventory_level, product_id {product} was repaired by robin."
        for product in (first, second)
    ]
    assert command("inventory_level", "--all") == (
        f"inventory_level:\n  inventory_level: 2 rows, all right.\n{others}",
        "",
    )
    assert only_live_generations_are_left()


def test_the_command_verifies_all_projections_and_refuses_an_unknown_name_first() -> None:
    run_all()
    output, error = command()
    assert [line[:-1] for line in output.splitlines() if not line.startswith(" ")] == [
        *registered()
    ]
    assert not error

    output, error = command("order_view", "nothing")
    assert not output
    assert error.startswith("There is no projection 'nothing'; there are: ")


# --- Samples -----------------------------------------------------------------------------------
def test_only_sampled_rows_are_repaired() -> None:
    register_products(10, 20, 30)
    sql("UPDATE inventory_level SET on_hand = on_hand + 1")

    repaired = {
        difference.key["product_id"]
        for difference in verify_rows("inventory_level", sample=2, repaired_by="me")
    }

    right = InventoryLevel.live.filter(on_hand__in=[10, 20, 30])
    assert {str(row.product_id) for row in right} == repaired
    assert len(repaired) == 2


def test_a_row_outside_the_sample_can_prevent_a_repair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong, other = (kit.registered_product(sku=sku) for sku in ("FIRST", "SECOND"))
    live.run("inventory_level")
    sql("UPDATE inventory_level SET sku = 'THIRD' WHERE product_id = %s", wrong.pk)
    sql("UPDATE inventory_level SET sku = 'FIRST' WHERE product_id = %s", other.pk)
    monkeypatch.setattr(
        verifying.published.replay, "sample_streams", lambda *_, **__: [f"stock-{wrong.pk}"]
    )

    with pytest.raises(RowInTheWayError, match=r"is in the way: .*Repair without --sample"):
        verify("inventory_level", sample=1, repaired_by="me")

    assert InventoryLevel.live.get(product_id=wrong.pk).sku == "THIRD"
    assert only_live_generations_are_left()
    assert len(verify_rows("inventory_level", repaired_by="me")) == 2
    assert InventoryLevel.live.get(product_id=wrong.pk).sku == "FIRST"


# --- Other processes ---------------------------------------------------------------------------
def test_rows_behind_the_log_are_compared_at_their_position() -> None:
    register_products(10)
    kit.registered_product()

    assert verify_rows("inventory_level") == []
    assert InventoryLevel.live.count() == 1


def test_a_verification_deletes_the_generation_of_a_killed_one() -> None:
    register_products(10)
    orphan = generations.add("inventory_level", Projection.Status.SHADOW)
    fill.begin(orphan, until=live_projection("inventory_level").position)
    next(fill.fill_slice(orphan, 0, batch=1))

    assert verify_rows("inventory_level") == []

    assert only_live_generations_are_left()
    assert InventoryLevel.objects.count() == 1


def test_an_interrupted_verification_leaves_no_generation() -> None:
    register_products(10)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify("inventory_level", progress=interrupt)

    assert only_live_generations_are_left()
    assert InventoryLevel.objects.count() == 1


def test_a_projection_that_is_being_rebuilt_is_refused() -> None:
    other = connections["read"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(7301002, hashtext('order_view'))")

        _, error = command("order_view")
    finally:
        other.close()

    assert error.startswith("order_view is being rebuilt")


def test_rows_of_a_replaced_log_are_refused() -> None:
    register_products(10)
    Projection.objects.filter(name="inventory_level").update(event_id=UUID(int=1))

    with pytest.raises(LogReplacedError, match="so that the effects of its events may be wrong"):
        verify("inventory_level")
