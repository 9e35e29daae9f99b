"""verify_projections: finds and repairs rows that aren't what the log says."""

import random
from collections.abc import Sequence
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.db.models import Field

from ordering_read.engine import fill, generations, live
from ordering_read.engine import verify as verifying
from ordering_read.engine.table_diff import RowDifference, TableDiff, natural_key
from ordering_read.engine.verify import RowInTheWayError, verify
from ordering_read.models import InventoryLevel, OrderSummary, Projection
from ordering_read.projector import registered
from ordering_write.published import LogReplacedError, OrderStatus, read_log
from tests import kit
from tests.kit_projections import blocking, retry, rows_of, skip
from tests.parallel import at_once
from tests.proof import size

MODELS: list[Any] = [model for projection in registered().values() for model in projection.models]
Model = Any


def order_for_some_days() -> None:
    """Place orders of several customers, products, days and currencies; run all projections."""
    products = [kit.registered_product(on_hand=100) for _ in range(2)]
    for day in range(2):
        customer = kit.registered_customer()
        at = kit.NOW + timedelta(days=day)
        for currency in ("EUR", "USD"):
            lines = [(product, 1) for product in products]
            orders = [
                kit.placed_order(
                    customer,
                    *lines,
                    currency=currency,
                    timestamp=at,
                    tags=["gift"],
                    adjustments=[{"kind": "tax", "label": "VAT", "amount": "1.00"}],
                )
                for _ in range(2)
            ]
            kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED, timestamp=at))
            kit.dispatch(kit.cancel(orders[1], timestamp=at))
    run_all()


def run_all() -> None:
    for name in registered():
        live.run(name)


def register_products(*products: int) -> list[UUID]:
    """Register products with these numbers on hand, and run their projection; returns the ids."""
    keys = [kit.registered_product(on_hand=on_hand).pk for on_hand in products]
    live.run("inventory_level")
    return keys


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


# --- Spoilt rows -------------------------------------------------------------------------------
# Cells of each table that are spoiled.
SPOILED_CELLS = size(30, full=100)
# An SQL expression for a wrong value of a column, by its type.
SPOILED = {
    "boolean": "NOT {column}",
    "uuid": "gen_random_uuid()",
    "uuid[]": "{column} || gen_random_uuid()",
    "tsvector": "{column} || 'spoiled'::tsvector",
    "integer": "coalesce({column}, 0) + 1000",
    "bigint": "coalesce({column}, 0) + 1000",
    "numeric": "coalesce({column}, 0) + 0.0001",
    "date": "{column} + 1000",
    "timestamp with time zone": "coalesce({column}, now()) + interval '1 microsecond'",
    "varchar": "left(translate({column}, 'abcdefEU', 'bcdefgUE') || '~', {length})",
    "varchar[]": "{column} || ''::varchar",
    "text": "{column} || ' '",
    "jsonb": """coalesce({column}, '{{}}') || '{{"spoiled": true}}'""",
}


def spoiled_value(field: "Field[Any, Any]") -> str:
    type_name, _, rest = str(field.db_type(connections["read"])).partition("(")
    expression = SPOILED[type_name + ("[]" if rest.endswith("[]") else "")]
    return expression.format(column=field.column, length=field.max_length)


def spoil(model: Model, row: dict[str, Any], field: "Field[Any, Any]") -> None:
    """Change one column of a row."""
    sql(
        f"UPDATE {model._meta.db_table} SET {field.column} = {spoiled_value(field)} WHERE key = %s",
        row["key"],
    )


def add_surplus_row(model: Model, row: dict[str, Any]) -> None:
    """Add a copy of a row, with other values in the columns that must be unique."""
    fields = [field for field in model._meta.concrete_fields if field.name != "key"]
    unique = {name for constraint in model._meta.constraints for name in constraint.fields[1:]}
    values = [spoiled_value(field) if field.name in unique else field.column for field in fields]
    sql(
        f"INSERT INTO {model._meta.db_table} ({', '.join(field.column for field in fields)})"
        f" SELECT {', '.join(values)} FROM {model._meta.db_table} WHERE key = %s",
        row["key"],
    )


def cells(model: Model, *, of_key: bool) -> list[tuple[dict[str, Any], Any]]:
    """Return each live row with each of its columns that is, or is not, part of the key."""
    key = natural_key(model)
    fields = [
        field
        for field in model._meta.concrete_fields
        if field.name not in ("key", "projection") and (field.column in key) is of_key
    ]
    return [(row, field) for row in model.live.order_by("key").values() for field in fields]


def name_of(model: Model, row: dict[str, Any]) -> tuple[str, ...]:
    attributes = {field.column: field.attname for field in model._meta.concrete_fields}
    return tuple(str(row[attributes[column]]) for column in natural_key(model))


def wrong_cells(differences: list[RowDifference]) -> set[tuple[tuple[str, ...], str]]:
    """Return keys of rows, with "missing", "surplus" or a column that differs."""
    return {
        (tuple(str(value) for value in difference.key.values()), fault)
        for difference in differences
        for fault in difference.columns or ["missing" if difference.stored is None else "surplus"]
    }


def contents(model: Model) -> list[list[dict[str, Any]]]:
    """The served rows of all models of the projection of ``model``."""
    name = model.projection_name
    return [rows_of(table, live_projection(name)) for table in registered()[name].models]


@pytest.mark.proof
@pytest.mark.usefixtures("db")
def test_every_wrong_column_is_found_and_repaired() -> None:
    order_for_some_days()
    dice = random.Random(1)
    for model in MODELS:
        before = contents(model)
        spoiled = 0
        while spoiled < SPOILED_CELLS:
            candidates = cells(model, of_key=False)
            chosen = dice.sample(candidates, min(SPOILED_CELLS - spoiled, len(candidates)))
            for row, field in chosen:
                spoil(model, row, field)
            spoiled += len(chosen)

            differences = verify_rows(model.projection_name, repaired_by="tests")

            assert wrong_cells(differences) == {
                (name_of(model, row), field.column) for row, field in chosen
            }
            assert {difference.table for difference in differences} == {model._meta.db_table}
            assert contents(model) == before


@pytest.mark.proof
@pytest.mark.usefixtures("db")
def test_every_row_with_a_wrong_key_is_found_and_repaired() -> None:
    order_for_some_days()
    dice = random.Random(2)
    for model in MODELS:
        before = contents(model)
        for _ in range(size(1, full=3)):
            row, field = dice.choice(cells(model, of_key=True))
            spoil(model, row, field)
            spoiled = model.objects.values().get(key=row["key"])

            differences = verify_rows(model.projection_name, repaired_by="tests")

            assert wrong_cells(differences) == {
                (name_of(model, row), "missing"),
                (name_of(model, spoiled), "surplus"),
            }
            assert contents(model) == before


@pytest.mark.usefixtures("db")
def test_missing_and_surplus_rows_are_found_and_repaired() -> None:
    order_for_some_days()
    dice = random.Random(3)
    for model in MODELS:
        before = contents(model)
        rows = list(model.live.order_by("key").values())
        removed, copied = dice.sample(rows, 2)
        sql(f"DELETE FROM {model._meta.db_table} WHERE key = %s", removed["key"])
        add_surplus_row(model, copied)
        [surplus] = model.live.exclude(key__in=[row["key"] for row in rows]).values()

        differences = verify_rows(model.projection_name, repaired_by="tests")

        assert wrong_cells(differences) == {
            (name_of(model, removed), "missing"),
            (name_of(model, surplus), "surplus"),
        }
        assert contents(model) == before
        assert verify_rows(model.projection_name) == []


@pytest.mark.usefixtures("db")
def test_rows_of_a_stream_share_the_first_column_of_their_keys() -> None:
    order_for_some_days()
    events = read_log(0, 1_000)
    for name, projection in registered().items():
        if projection.sliced_by == "stream":
            generation = live_projection(name)
            tables = [
                TableDiff(model, stored=generation, folded=generation)
                for model in projection.models
            ]

            assert {owner for table in tables for owner in table.owners()} == {
                event.recorded.stream.partition("-")[2]
                for event in events
                if isinstance(event, projection.events)
            }


# --- Output ------------------------------------------------------------------------------------
@pytest.mark.usefixtures("db")
def test_amounts_are_compared_and_shown_to_the_last_digit() -> None:
    [product] = register_products(10)
    sql("UPDATE inventory_level SET list_price = 123456789012345.1234")
    sql("UPDATE inventory_level SET on_hand = 3, name = 'Other'")

    [difference] = verify_rows("inventory_level")

    assert str(difference) == (
        f"inventory_level, product_id {product}: name 'Other' → 'Sample', on_hand 3 → 10, "
        "list_price 123456789012345.1234 → 19.9000"
    )


def command(*arguments: str) -> tuple[str, str]:
    """The output of `verify_projections`, and its error."""
    out = StringIO()
    try:
        call_command("verify_projections", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


@pytest.mark.usefixtures("db")
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


@pytest.mark.usefixtures("db")
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


@pytest.mark.usefixtures("db")
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
@pytest.mark.usefixtures("db")
def test_all_rows_of_sampled_streams_are_compared() -> None:
    order_for_some_days()
    sql("UPDATE order_line_view SET quantity = 9")
    sql("UPDATE order_summary SET status = 'unknown'")

    differences = verify_rows("order_view", sample=3)

    assert [difference.table for difference in differences] == ["order_summary"] * 3 + [
        "order_line_view"
    ] * 6
    keys = [difference.key for difference in differences]
    assert len({key.get("id") or key["order_id"] for key in keys}) == 3
    assert len(verify_rows("order_view", sample=100)) == 8 + 16


@pytest.mark.usefixtures("db")
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


@pytest.mark.usefixtures("db")
def test_a_sample_is_of_rows_where_rows_mix_streams() -> None:
    order_for_some_days()
    sql("UPDATE sales_by_day SET units = 0")

    [table] = verify("sales_by_day", sample=2).tables

    assert (table.folded_rows, table.differing) == (2, 2)


@pytest.mark.usefixtures("db")
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


# --- Concurrency -------------------------------------------------------------------------------
@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("sample", [None, 50])
def test_events_that_are_committed_meanwhile_are_no_differences(
    monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    order_for_some_days()
    compare = TableDiff.compare
    customer, product = kit.registered_customer(), kit.registered_product(100)
    moved: list[Any] = []

    def move_on_and_compare(self: TableDiff, chosen: Any = None) -> Any:
        if len(moved) < 3:
            moved.append(kit.placed_order(customer, (product, 1)))
            live.run(name)
        return compare(self, chosen)

    monkeypatch.setattr(TableDiff, "compare", move_on_and_compare)
    for name in registered():
        moved.clear()
        assert verify_rows(name, sample=sample) == [], name
        assert len(moved) == 3


@pytest.mark.usefixtures("db")
def test_rows_behind_the_log_are_compared_at_their_position() -> None:
    register_products(10)
    kit.registered_product()

    assert verify_rows("inventory_level") == []
    assert InventoryLevel.live.count() == 1


@pytest.mark.usefixtures("committed")
def test_commands_and_runners_go_on_during_a_verification() -> None:
    # Rows of streams, and rows that mix streams: one of each kind is spoiled.
    names = ("order_timeline", "order_view", "sales_by_day", "sales_by_product")
    customer, product = kit.registered_customer(), kit.registered_product(10_000)
    live.run(*names)
    over = Event()

    def place() -> None:
        while not over.is_set():
            kit.placed_order(customer, (product, 1))

    def work() -> None:
        while not over.is_set():
            live.run(*names)

    def spoil_and_verify() -> list[set[str]]:
        try:
            first = wrong_projections()
            sql("UPDATE order_timeline SET actor = '?'")
            sql("UPDATE sales_by_product SET units = units + 7")
            return [first, wrong_projections(), wrong_projections()]
        finally:
            over.set()

    def wrong_projections() -> set[str]:
        return {name for name in names if verify_rows(name, repaired_by="tests")}

    _, _, wrong = at_once([place, work, spoil_and_verify])

    assert wrong == [set(), {"order_timeline", "sales_by_product"}, set()]
    assert OrderSummary.live.count() > 3
    assert only_live_generations_are_left()


@pytest.mark.usefixtures("db")
def test_a_verification_deletes_the_generation_of_a_killed_one() -> None:
    register_products(10)
    orphan = generations.add("inventory_level", Projection.Status.SHADOW)
    fill.begin(orphan, until=live_projection("inventory_level").position)
    next(fill.fill_slice(orphan, 0, batch=1))

    assert verify_rows("inventory_level") == []

    assert only_live_generations_are_left()
    assert InventoryLevel.objects.count() == 1


@pytest.mark.usefixtures("db")
def test_an_interrupted_verification_leaves_no_generation() -> None:
    register_products(10)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify("inventory_level", progress=interrupt)

    assert only_live_generations_are_left()
    assert InventoryLevel.objects.count() == 1


@pytest.mark.usefixtures("db")
def test_a_projection_that_is_being_rebuilt_is_refused() -> None:
    other = connections["read"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(7301002, hashtext('order_view'))")

        _, error = command("order_view")
    finally:
        other.close()

    assert error.startswith("order_view is being rebuilt")


@pytest.mark.usefixtures("db")
def test_rows_of_a_replaced_log_are_refused() -> None:
    register_products(10)
    Projection.objects.filter(name="inventory_level").update(event_id=UUID(int=1))

    with pytest.raises(LogReplacedError, match="so that the effects of its events may be wrong"):
        verify("inventory_level")


# --- Parked events -----------------------------------------------------------------------------
@pytest.fixture
def refused_orders(monkeypatch: pytest.MonkeyPatch) -> set[UUID]:
    """Orders in this set: all projections refuse their events but the first three."""
    orders: set[UUID] = set()

    def refuse(apply: Any) -> Any:
        def apply_or_refuse(self: Any, batch: Sequence[Any], projection_id: int) -> None:
            for event in batch:
                if getattr(event, "order_id", None) in orders and event.recorded.version > 3:
                    raise ValueError("no such colour")
            apply(self, batch, projection_id)

        return apply_or_refuse

    for projection_type in {type(projection) for projection in registered().values()}:
        monkeypatch.setattr(projection_type, "apply", refuse(projection_type.apply))
    return orders


def place_a_parked_order(refused_orders: set[UUID]) -> kit.Order:
    """Place orders of which one is parked in all projections, and return it."""
    order_for_some_days()
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2))
    refused_orders.add(order.pk)
    for status in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING):
        kit.dispatch(kit.move(order, status))
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    run_all()
    return order


@pytest.mark.usefixtures("db")
def test_rows_of_parked_streams_are_no_differences(refused_orders: set[UUID]) -> None:
    order = place_a_parked_order(refused_orders)
    # The code is corrected, but the parked events haven't been retried.
    refused_orders.clear()

    for name in ("order_view", "order_timeline", "status_counter"):
        verified = verify(name)
        assert verified.parked_streams == [f"order-{order.pk}"], name
        assert not any(table.differing for table in verified.tables), name
    output, error = command("status_counter")
    assert output.splitlines()[1] == (
        f"  order-{order.pk}: parked, so that its rows are behind; see `parked`."
    )
    assert not error


@pytest.mark.usefixtures("db")
def test_wrong_rows_of_parked_streams_are_repaired(refused_orders: set[UUID]) -> None:
    order = place_a_parked_order(refused_orders)
    before = contents(OrderSummary)
    sql("UPDATE order_summary SET status = 'unknown' WHERE id = %s", order.pk)

    assert len(verify_rows("order_view", repaired_by="me")) == 1

    assert contents(OrderSummary) == before


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("sample", [None, 50])
def test_events_that_are_retried_meanwhile_are_no_differences(
    refused_orders: set[UUID], monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    place_a_parked_order(refused_orders)
    refused_orders.clear()
    compare = TableDiff.compare
    retried = []

    def retry_and_compare(self: TableDiff, chosen: Any = None) -> Any:
        retried.extend(retry(blocking(projection=name)))
        return compare(self, chosen)

    monkeypatch.setattr(TableDiff, "compare", retry_and_compare)
    for name in ("order_view", "order_timeline", "status_counter", "stock_ledger"):
        retried.clear()
        verified = verify(name, sample=sample)
        assert verified.parked_streams == []
        assert bool(retried) is (name != "stock_ledger")
        assert not any(table.differing for table in verified.tables), name


@pytest.mark.usefixtures("db")
def test_skipped_events_are_no_differences(refused_orders: set[UUID]) -> None:
    place_a_parked_order(refused_orders)
    refused_orders.clear()
    for row in blocking():
        skip(row, reason="Nobody needs it", by="me")

    for name in registered():
        assert verify_rows(name) == [], name


@pytest.mark.usefixtures("db")
def test_code_that_fails_on_applied_events_is_an_error(refused_orders: set[UUID]) -> None:
    order_for_some_days()
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2))
    for status in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING):
        kit.dispatch(kit.move(order, status))
    run_all()
    refused_orders.add(order.pk)

    _, error = command("order_view")

    assert error == (
        "order_view can't apply now what it has applied before: ValueError: no such colour."
    )
    assert only_live_generations_are_left()
