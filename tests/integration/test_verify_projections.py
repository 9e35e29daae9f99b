"""verify_projections: finds and repairs rows that aren't what the log says."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.db.models import Field

from ordering_read.engine import live
from ordering_read.engine.table_diff import RowDifference, TableDiff, natural_key
from ordering_read.engine.verify import verify
from ordering_read.models import OrderSummary
from ordering_read.projector import registered
from ordering_write.published import OrderStatus, read_log
from tests import kit
from tests.integration.test_verify_command import (
    command,
    live_projection,
    only_live_generations_are_left,
    run_all,
    sql,
    verify_rows,
)
from tests.kit_projections import blocking, retry, rows_of, skip
from tests.proof import IS_PROOF, size

pytestmark = pytest.mark.usefixtures("db")

MODELS: list[Any] = [model for projection in registered().values() for model in projection.models]
Model = Any


# Rows of one stream each, of orders and of products, and rows that mix streams.
NAMES = [*registered()] if IS_PROOF else ["order_view", "stock_ledger", "status_counter", "search"]


@pytest.fixture(scope="module", autouse=True)
def _orders_of_some_days(module_db: None) -> None:
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
                    tags=["gift", "urgent"],
                    adjustments=[{"kind": "tax", "label": "VAT", "amount": "1.00"}],
                )
                for _ in range(2)
            ]
            kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED, timestamp=at))
            kit.dispatch(kit.cancel(orders[1], timestamp=at))
    run_all()


# --- Spoilt rows -------------------------------------------------------------------------------
# Cells of each table that are spoiled, at once and in all.
SPOILED_AT_ONCE = 30
SPOILED_CELLS = size(1, full=100)
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
def test_every_wrong_column_is_found_and_repaired() -> None:
    dice = random.Random(1)
    for model in MODELS:
        before = contents(model)
        spoiled = 0
        while spoiled < SPOILED_CELLS:
            candidates = cells(model, of_key=False)
            chosen = dice.sample(candidates, min(SPOILED_AT_ONCE, len(candidates)))
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
def test_every_row_with_a_wrong_key_is_found_and_repaired() -> None:
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


def test_missing_and_surplus_rows_are_found_and_repaired() -> None:
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


def test_rows_of_a_stream_share_the_first_column_of_their_keys() -> None:
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


# --- Samples -----------------------------------------------------------------------------------
def test_all_rows_of_sampled_streams_are_compared() -> None:
    sql("UPDATE order_line_view SET quantity = 9")
    sql("UPDATE order_summary SET status = 'unknown'")

    differences = verify_rows("order_view", sample=3)

    assert [difference.table for difference in differences] == ["order_summary"] * 3 + [
        "order_line_view"
    ] * 6
    keys = [difference.key for difference in differences]
    assert len({key.get("id") or key["order_id"] for key in keys}) == 3
    assert len(verify_rows("order_view", sample=100)) == 8 + 16


def test_a_sample_is_of_rows_where_rows_mix_streams() -> None:
    sql("UPDATE sales_by_day SET units = 0")

    [table] = verify("sales_by_day", sample=2).tables

    assert (table.folded_rows, table.differing) == (2, 2)


# --- Concurrency -------------------------------------------------------------------------------
@pytest.mark.proof
@pytest.mark.parametrize("sample", [None, 50])
def test_events_that_are_committed_meanwhile_are_no_differences(
    monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    compare = TableDiff.compare
    customer, product = kit.registered_customer(), kit.registered_product(100)
    moved: list[Any] = []

    def move_on_and_compare(self: TableDiff, chosen: Any = None) -> Any:
        if len(moved) < 3:
            moved.append(kit.placed_order(customer, (product, 1)))
            live.run(name)
        return compare(self, chosen)

    monkeypatch.setattr(TableDiff, "compare", move_on_and_compare)
    for name in NAMES:
        moved.clear()
        assert verify_rows(name, sample=sample) == [], name
        assert len(moved) == 3


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
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2))
    refused_orders.add(order.pk)
    for status in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING):
        kit.dispatch(kit.move(order, status))
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    run_all()
    return order


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


def test_wrong_rows_of_parked_streams_are_repaired(refused_orders: set[UUID]) -> None:
    order = place_a_parked_order(refused_orders)
    before = contents(OrderSummary)
    sql("UPDATE order_summary SET status = 'unknown' WHERE id = %s", order.pk)

    assert len(verify_rows("order_view", repaired_by="me")) == 1

    assert contents(OrderSummary) == before


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


def test_skipped_events_are_no_differences(refused_orders: set[UUID]) -> None:
    place_a_parked_order(refused_orders)
    refused_orders.clear()
    for row in blocking():
        skip(row, reason="Nobody needs it", by="me")

    for name in NAMES:
        assert verify_rows(name) == [], name


def test_code_that_fails_on_applied_events_is_an_error(refused_orders: set[UUID]) -> None:
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
