"""Verifying the read models: whatever is spoiled in them is found, and repaired."""

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

MODELS: list[Any] = [model for projection in registered().values() for model in projection.models]
Model = Any


def some_days() -> None:
    """Orders of several customers, products, days and currencies, in all projections."""
    products = [kit.registered_product(on_hand=100) for _ in range(2)]
    for day in range(2):
        customer = kit.registered_customer()
        at = kit.NOW + timedelta(days=day)
        for currency in ("EUR", "USD"):
            lines = [(product, 1) for product in products]
            orders = [
                kit.placed_order(customer, *lines, currency=currency, timestamp=at, tags=["gift"])
                for _ in range(2)
            ]
            kit.dispatch(kit.move(orders[0], OrderStatus.CONFIRMED, timestamp=at))
            kit.dispatch(kit.cancel(orders[1], timestamp=at))
    run_all()


def run_all() -> None:
    for name in registered():
        live.run(name)


def stocked(*products: int) -> list[UUID]:
    """Products with these numbers on hand, which readers see."""
    keys = [kit.registered_product(on_hand=on_hand).pk for on_hand in products]
    live.run("inventory_level")
    return keys


def sql(statement: str, *parameters: Any) -> None:
    with connections["read"].cursor() as cursor:
        cursor.execute(statement, parameters)


def served(name: str) -> Projection:
    return Projection.objects.get(name=name, status=Projection.Status.LIVE)


def found(name: str, **options: Any) -> list[RowDifference]:
    differences: list[RowDifference] = []
    verify(name, on_difference=differences.append, **options)
    return differences


def nothing_is_left() -> bool:
    statuses = Projection.objects.values_list("status", flat=True)
    return set(statuses) == {"live"}


# --- Spoiling ----------------------------------------------------------------------------------
# What a column becomes, by its type, whatever it was.
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
    kind, _, rest = str(field.db_type(connections["read"])).partition("(")
    expression = SPOILED[kind + ("[]" if rest.endswith("[]") else "")]
    return expression.format(column=field.column, length=field.max_length)


def spoil(model: Model, row: dict[str, Any], field: "Field[Any, Any]") -> None:
    """Change one cell."""
    sql(
        f"UPDATE {model._meta.db_table} SET {field.column} = {spoiled_value(field)} WHERE key = %s",
        row["key"],
    )


def add_surplus_row(model: Model, row: dict[str, Any]) -> None:
    """Add a row like this one, but for what must be unique."""
    fields = [field for field in model._meta.concrete_fields if field.name != "key"]
    unique = {name for one in model._meta.constraints for name in one.fields[1:]}
    values = [spoiled_value(field) if field.name in unique else field.column for field in fields]
    sql(
        f"INSERT INTO {model._meta.db_table} ({', '.join(field.column for field in fields)})"
        f" SELECT {', '.join(values)} FROM {model._meta.db_table} WHERE key = %s",
        row["key"],
    )


def cells(model: Model, *, of_key: bool) -> list[tuple[dict[str, Any], Any]]:
    """The rows that are served, each with each column that is, or isn't, of the key."""
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


def found_cells(differences: list[RowDifference]) -> set[tuple[tuple[str, ...], str]]:
    """Names of rows, with "missing", "surplus" or a column that differs."""
    return {
        (tuple(str(value) for value in one.key.values()), what)
        for one in differences
        for what in one.columns or ["missing" if one.stored is None else "surplus"]
    }


def contents(model: Model) -> list[list[dict[str, Any]]]:
    """All rows that the projection of ``model`` serves."""
    name = model.projection_name
    return [rows_of(each, served(name)) for each in registered()[name].models]


@pytest.mark.usefixtures("db")
def test_every_cell_that_was_spoiled_is_found_and_repaired() -> None:
    some_days()
    dice = random.Random(1)
    for model in MODELS:
        before = contents(model)
        spoiled = 0
        while spoiled < 100:
            there = cells(model, of_key=False)
            chosen = dice.sample(there, min(100 - spoiled, len(there)))
            for row, field in chosen:
                spoil(model, row, field)
            spoiled += len(chosen)

            differences = found(model.projection_name, repaired_by="tests")

            assert found_cells(differences) == {
                (name_of(model, row), field.column) for row, field in chosen
            }
            assert {one.table for one in differences} == {model._meta.db_table}
            assert contents(model) == before


@pytest.mark.usefixtures("db")
def test_every_row_whose_key_was_spoiled_is_found_and_repaired() -> None:
    some_days()
    dice = random.Random(2)
    for model in MODELS:
        before = contents(model)
        for _ in range(3):
            row, field = dice.choice(cells(model, of_key=True))
            spoil(model, row, field)
            spoiled = model.objects.values().get(key=row["key"])

            differences = found(model.projection_name, repaired_by="tests")

            assert found_cells(differences) == {
                (name_of(model, row), "missing"),
                (name_of(model, spoiled), "surplus"),
            }
            assert contents(model) == before


@pytest.mark.usefixtures("db")
def test_missing_and_surplus_rows_are_found_and_repaired() -> None:
    some_days()
    dice = random.Random(3)
    for model in MODELS:
        before = contents(model)
        rows = list(model.live.order_by("key").values())
        removed, copied = dice.sample(rows, 2)
        sql(f"DELETE FROM {model._meta.db_table} WHERE key = %s", removed["key"])
        add_surplus_row(model, copied)
        [surplus] = model.live.exclude(key__in=[row["key"] for row in rows]).values()

        differences = found(model.projection_name, repaired_by="tests")

        assert found_cells(differences) == {
            (name_of(model, removed), "missing"),
            (name_of(model, surplus), "surplus"),
        }
        assert contents(model) == before
        assert found(model.projection_name) == []


@pytest.mark.usefixtures("db")
def test_rows_of_a_stream_share_the_first_column_of_their_keys() -> None:
    some_days()
    events = read_log(0, 1_000)
    for name, projection in registered().items():
        if projection.sliced_by == "stream":
            generation = served(name)
            tables = [
                TableDiff(model, stored=generation, folded=generation)
                for model in projection.models
            ]

            assert {owner for table in tables for owner in table.owners()} == {
                event.recorded.stream.partition("-")[2]
                for event in events
                if isinstance(event, projection.events)
            }


# --- What is told ------------------------------------------------------------------------------
@pytest.mark.usefixtures("db")
def test_amounts_are_compared_and_told_to_the_last_digit() -> None:
    [product] = stocked(10)
    sql("UPDATE inventory_level SET list_price = 123456789012345.1234")
    sql("UPDATE inventory_level SET on_hand = 3, name = 'Other'")

    [difference] = found("inventory_level")

    assert str(difference) == (
        f"inventory_level, product_id {product}: name 'Other' → 'Sample', on_hand 3 → 10, "
        "list_price 123456789012345.1234 → 19.9000"
    )


def command(*arguments: str) -> tuple[str, str]:
    """What `verify_projections` says, and what it ends with."""
    out = StringIO()
    try:
        call_command("verify_projections", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


@pytest.mark.usefixtures("db")
def test_a_database_that_is_lost_meanwhile_ends_the_command_with_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(*_args: Any, **_options: Any) -> None:
        raise OperationalError("server closed the connection\n\tunexpectedly")

    monkeypatch.setattr(TableDiff, "compare", lost)

    _told, ended = command("inventory_level")

    assert ended == (
        "A database was lost: server closed the connection unexpectedly. What was repaired stays:"
        " try again."
    )


@pytest.mark.usefixtures("db")
def test_the_command_tells_what_is_wrong_and_mends_it_when_asked(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "robin")
    first, second = stocked(10, 20)
    sql("UPDATE inventory_level SET on_hand = 3 WHERE product_id = %s", first)
    sql("DELETE FROM inventory_level WHERE product_id = %s", second)
    told = (
        "inventory_level:\n"
        f"  inventory_level, product_id {first}: on_hand 3 → 10\n"
        f"  inventory_level, product_id {second}: missing\n"
    )

    others = "  stock_reservation: 0 rows, all right.\n"

    assert command("inventory_level") == (
        f"{told}  inventory_level: 2 rows, 2 wrong.\n{others}",
        "2 rows aren't what the log says; --repair corrects them.",
    )
    assert InventoryLevel.live.get().on_hand == 3
    assert command("inventory_level", "--repair") == (
        f"{told}  inventory_level: 2 rows, 2 wrong, now repaired.\n{others}",
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
    assert nothing_is_left()


@pytest.mark.usefixtures("db")
def test_the_command_verifies_all_projections_or_none_when_a_name_is_unknown() -> None:
    run_all()
    said, error = command()
    assert [line[:-1] for line in said.splitlines() if not line.startswith(" ")] == [*registered()]
    assert not error

    said, error = command("order_view", "nothing")
    assert not said
    assert error.startswith("There is no projection 'nothing'; there are: ")


# --- Samples -----------------------------------------------------------------------------------
@pytest.mark.usefixtures("db")
def test_of_a_sample_of_streams_all_rows_are_compared() -> None:
    some_days()
    sql("UPDATE order_line_view SET quantity = 9")
    sql("UPDATE order_summary SET status = 'unknown'")

    differences = found("order_view", sample=3)

    assert [one.table for one in differences] == ["order_summary"] * 3 + ["order_line_view"] * 6
    assert len({one.key["id" if "id" in one.key else "order_id"] for one in differences}) == 3
    assert len(found("order_view", sample=100)) == 8 + 16


@pytest.mark.usefixtures("db")
def test_of_a_sample_that_was_repaired_only_its_rows_were() -> None:
    stocked(10, 20, 30)
    sql("UPDATE inventory_level SET on_hand = on_hand + 1")

    repaired = {
        one.key["product_id"] for one in found("inventory_level", sample=2, repaired_by="me")
    }

    right = InventoryLevel.live.filter(on_hand__in=[10, 20, 30])
    assert {str(row.product_id) for row in right} == repaired
    assert len(repaired) == 2


@pytest.mark.usefixtures("db")
def test_where_rows_mix_streams_a_sample_is_of_rows() -> None:
    some_days()
    sql("UPDATE sales_by_day SET units = 0")

    [table] = verify("sales_by_day", sample=2).tables

    assert (table.folded_rows, table.differing) == (2, 2)


@pytest.mark.usefixtures("db")
def test_a_row_in_the_way_of_a_sample_is_told_of_and_nothing_is_repaired(
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
    assert nothing_is_left()
    assert len(found("inventory_level", repaired_by="me")) == 2
    assert InventoryLevel.live.get(product_id=wrong.pk).sku == "FIRST"


# --- While the rest goes on --------------------------------------------------------------------
@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("sample", [None, 50])
def test_events_that_come_meanwhile_are_no_differences(
    monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    some_days()
    compare = TableDiff.compare
    moved: list[Any] = []

    def move_on_first(self: TableDiff, chosen: Any = None) -> Any:
        if len(moved) < 3:
            moved.append(kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1)))
            run_all()
        return compare(self, chosen)

    monkeypatch.setattr(TableDiff, "compare", move_on_first)
    for name in registered():
        moved.clear()
        assert found(name, sample=sample) == [], name
        assert len(moved) == 3


@pytest.mark.usefixtures("db")
def test_rows_behind_the_log_are_compared_where_they_are() -> None:
    stocked(10)
    kit.registered_product()

    assert found("inventory_level") == []
    assert InventoryLevel.live.count() == 1


@pytest.mark.usefixtures("committed")
def test_orders_and_workers_go_on_meanwhile() -> None:
    customer, product = kit.registered_customer(), kit.registered_product(10_000)
    run_all()
    over = Event()

    def place() -> None:
        while not over.is_set():
            kit.placed_order(customer, (product, 1))

    def work() -> None:
        while not over.is_set():
            run_all()

    def spoil_and_verify() -> list[set[str]]:
        try:
            first = wrong_now()
            sql("UPDATE order_timeline SET actor = '?'")
            sql("UPDATE sales_by_product SET units = units + 7")
            return [first, wrong_now(), wrong_now()]
        finally:
            over.set()

    def wrong_now() -> set[str]:
        return {name for name in registered() if found(name, repaired_by="tests")}

    _, _, wrong = at_once([place, work, spoil_and_verify])

    assert wrong == [set(), {"order_timeline", "sales_by_product"}, set()]
    assert OrderSummary.live.count() > 10
    assert nothing_is_left()


@pytest.mark.usefixtures("db")
def test_what_a_killed_one_left_is_deleted_by_the_next() -> None:
    stocked(10)
    orphan = generations.add("inventory_level", Projection.Status.SHADOW)
    fill.begin(orphan, until=served("inventory_level").position)
    next(fill.fill_slice(orphan, 0, batch=1))

    assert found("inventory_level") == []

    assert nothing_is_left()
    assert InventoryLevel.objects.count() == 1


@pytest.mark.usefixtures("db")
def test_what_is_interrupted_leaves_nothing() -> None:
    stocked(10)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify("inventory_level", progress=interrupt)

    assert nothing_is_left()
    assert InventoryLevel.objects.count() == 1


@pytest.mark.usefixtures("db")
def test_a_projection_that_is_being_rebuilt_is_left_alone() -> None:
    other = connections["read"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(7301002, hashtext('order_view'))")

        _, error = command("order_view")
    finally:
        other.close()

    assert error.startswith("order_view is being rebuilt")


@pytest.mark.usefixtures("db")
def test_rows_of_a_log_that_was_replaced_are_not_compared() -> None:
    stocked(10)
    Projection.objects.filter(name="inventory_level").update(event_id=UUID(int=1))

    with pytest.raises(LogReplacedError, match="so that what was made from it may be wrong"):
        verify("inventory_level")


# --- What is parked ----------------------------------------------------------------------------
@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[UUID]:
    """Orders whose events, but for the first three, no projection applies while they are in it."""
    orders: set[UUID] = set()

    def refuse(apply: Any) -> Any:
        def applied(self: Any, batch: Sequence[Any], projection_id: int) -> None:
            for event in batch:
                if getattr(event, "order_id", None) in orders and event.recorded.version > 3:
                    raise ValueError("no such colour")
            apply(self, batch, projection_id)

        return applied

    for kind in {type(projection) for projection in registered().values()}:
        monkeypatch.setattr(kind, "apply", refuse(kind.apply))
    return orders


def an_order_that_is_parked(refused: set[UUID]) -> kit.Order:
    some_days()
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2))
    refused.add(order.pk)
    for status in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING):
        kit.dispatch(kit.move(order, status))
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    run_all()
    return order


@pytest.mark.usefixtures("db")
def test_rows_of_parked_streams_are_behind_and_not_wrong(refused: set[UUID]) -> None:
    order = an_order_that_is_parked(refused)
    # The code is repaired, but what it has parked wasn't tried again yet.
    refused.clear()

    for name in ("order_view", "order_timeline", "status_counter"):
        verified = verify(name)
        assert verified.parked_streams == [f"order-{order.pk}"], name
        assert not any(table.differing for table in verified.tables), name
    said, error = command("status_counter")
    assert said.splitlines()[1] == (
        f"  order-{order.pk}: parked, so that its rows are behind; see `parked`."
    )
    assert not error


@pytest.mark.usefixtures("db")
def test_rows_of_parked_streams_that_were_spoiled_are_repaired(refused: set[UUID]) -> None:
    order = an_order_that_is_parked(refused)
    before = contents(OrderSummary)
    sql("UPDATE order_summary SET status = 'unknown' WHERE id = %s", order.pk)

    assert len(found("order_view", repaired_by="me")) == 1

    assert contents(OrderSummary) == before


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("sample", [None, 50])
def test_what_is_retried_meanwhile_is_no_difference(
    refused: set[UUID], monkeypatch: pytest.MonkeyPatch, sample: int | None
) -> None:
    an_order_that_is_parked(refused)
    refused.clear()
    compare = TableDiff.compare
    retried = []

    def retry_first(self: TableDiff, chosen: Any = None) -> Any:
        retried.extend(retry(blocking(projection=name)))
        return compare(self, chosen)

    monkeypatch.setattr(TableDiff, "compare", retry_first)
    for name in ("order_view", "order_timeline", "status_counter", "stock_ledger"):
        retried.clear()
        verified = verify(name, sample=sample)
        assert verified.parked_streams == []
        assert bool(retried) is (name != "stock_ledger")
        assert not any(table.differing for table in verified.tables), name


@pytest.mark.usefixtures("db")
def test_rows_lack_what_was_skipped(refused: set[UUID]) -> None:
    an_order_that_is_parked(refused)
    refused.clear()
    for row in blocking():
        skip(row, reason="Nobody needs it", by="me")

    for name in registered():
        assert found(name) == [], name


@pytest.mark.usefixtures("db")
def test_code_that_no_longer_applies_what_it_did_is_told_of(refused: set[UUID]) -> None:
    some_days()
    order = kit.placed_order(kit.registered_customer(), (kit.registered_product(), 2))
    for status in (OrderStatus.CONFIRMED, OrderStatus.PROCESSING):
        kit.dispatch(kit.move(order, status))
    run_all()
    refused.add(order.pk)

    _, error = command("order_view")

    assert error == (
        "order_view can't apply now what it has applied before: ValueError: no such colour."
    )
    assert nothing_is_left()
