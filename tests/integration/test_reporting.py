"""The views in the schema ``reporting``: what readers by SQL see, and what they don't."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import ProgrammingError, connections, migrations, models, transaction
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation

from ordering_read.engine import live, reporting
from ordering_read.engine.generations import roll_back
from ordering_read.engine.rebuild import rebuild
from ordering_read.models import OrderSummary, Projection, StreamRow
from ordering_read.projector import registered, writing
from tests import kit
from tests.kit_admin import copy_many

pytestmark = pytest.mark.usefixtures("db")


def select(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connections["read"].cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def view_columns() -> dict[str, set[str]]:
    rows = select(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'reporting'"
    )
    views: dict[str, set[str]] = {}
    for view, column in rows:
        views.setdefault(view, set()).add(column)
    return views


@contextmanager
def as_reader() -> Iterator[None]:
    """Act as a member of the role, until the end of the block."""
    with transaction.atomic(using="read"):
        select("SET LOCAL ROLE order_reports")
        yield
        select("RESET ROLE")


# --- The views -----------------------------------------------------------------------------------
def test_each_read_model_has_a_view_with_all_columns(subtests: Any) -> None:
    views = view_columns()

    assert views.keys() == {model._meta.db_table for model in reporting.read_models()}
    for model in reporting.read_models():
        with subtests.test("columns", view=model._meta.db_table):
            table = {str(field.column) for field in model._meta.concrete_fields}
            own_id = {"id"} if issubclass(model, StreamRow) else set()
            assert views[model._meta.db_table] == table - {"key", "projection_id"} | own_id


def test_the_id_of_a_thing_finds_its_row(subtests: Any) -> None:
    customer = kit.registered_customer()
    product = kit.registered_product()
    order = kit.placed_order(customer, (product, 1))
    for name in registered():
        live.run(name)

    for view, thing in {
        "order_summary": order,
        "order_search": order,
        "fulfilment_queue": order,
        "customer_view": customer,
        "customer_search": customer,
        "inventory_level": product,
        "product_search": product,
    }.items():
        with subtests.test("one row", view=view):
            assert len(select(f"SELECT * FROM reporting.{view} WHERE id = %s", thing.pk)) == 1


def test_readers_see_one_row_per_order_throughout_a_rebuild_and_its_rollback() -> None:
    customer = kit.registered_customer()
    order = kit.placed_order(customer, (kit.registered_product(), 1))
    live.run("order_view")
    with writing():
        OrderSummary.objects.update(customer_name="Of the former generation")
    names = []

    def look(*_progress: int) -> None:
        names.extend(
            select("SELECT customer_name FROM reporting.order_summary WHERE id = %s", order.pk)
        )

    rebuild("order_view", progress=look)
    looks_before = len(names)
    look()
    roll_back("order_view")
    look()

    assert OrderSummary.objects.count() == 2
    assert looks_before > 1
    former, new = ("Of the former generation",), (customer.name,)
    assert names == [*[former] * looks_before, new, former]


def test_the_row_of_an_order_is_found_by_an_index_of_its_table() -> None:
    kit.placed_order(kit.registered_customer(), (kit.registered_product(), 1))
    live.run("order_view")
    # In a small table, all plans cost the same.
    copy_many(OrderSummary.live.get())
    select("ANALYZE order_summary")

    plan = select("EXPLAIN SELECT * FROM reporting.order_summary WHERE id = %s", UUID(int=1))

    assert any("Index Cond: (" in line and "(id = " in line for (line,) in plan), plan


# --- The role ------------------------------------------------------------------------------------
def test_the_role_reads_the_views_and_nothing_else(subtests: Any) -> None:
    schema = select("SELECT current_schema()")[0][0]
    tables = [
        name for (name,) in select("SELECT tablename FROM pg_tables WHERE schemaname = %s", schema)
    ]
    assert {"projection", "parked_event", "order_summary"} <= set(tables)

    for view in view_columns():
        with subtests.test("view", name=view), as_reader():
            assert select(f"SELECT count(*) FROM reporting.{view}") == [(0,)]
    for table in tables:
        with (
            subtests.test("table", name=table),
            pytest.raises(ProgrammingError, match="permission denied"),
            as_reader(),
        ):
            select(f'SELECT * FROM {schema}."{table}"')


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM reporting.order_summary",
        "UPDATE reporting.order_summary SET status = 'cancelled'",
        "CREATE VIEW reporting.mine AS SELECT 1",
    ],
)
def test_the_role_changes_nothing(statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), as_reader():
        select(statement)


# --- Migrations ----------------------------------------------------------------------------------
def migration(operation: Operation) -> Migration:
    next_migration = type("NextMigration", (Migration,), {"operations": [operation]})
    return next_migration("0099_next", "ordering_read")


ALTERS = migration(migrations.AlterField("ordersummary", "status", models.TextField()))
ADDS = migration(migrations.AddField("ordersummary", "note", models.TextField(null=True)))


def test_migrate_drops_the_views_before_it_alters_a_column_and_makes_them_again() -> None:
    views = view_columns()

    reporting.drop_views(using="read", plan=[(ALTERS, False)])
    assert view_columns() == {}
    select("ALTER TABLE order_summary ALTER COLUMN currency TYPE varchar(4)")
    reporting.keep_views(using="read")

    assert view_columns() == views
    with as_reader():
        assert select("SELECT count(*) FROM reporting.order_summary") == [(0,)]


def test_the_views_stay_while_columns_are_added(subtests: Any) -> None:
    views = view_columns()
    for name, using, plan in (
        ("nothing to do", "read", []),
        ("a new column", "read", [(ADDS, False)]),
        ("the other side", "default", [(ALTERS, False)]),
    ):
        with subtests.test(name):
            reporting.drop_views(using=using, plan=plan)
            assert view_columns() == views

    reporting.drop_views(using="read", plan=[(ADDS, True)])
    assert view_columns() == {}


def test_views_that_are_up_to_date_stay_as_they_are(django_assert_num_queries: Any) -> None:
    views = "SELECT oid FROM pg_class WHERE relkind = 'v' ORDER BY oid"
    before = select(views)

    with django_assert_num_queries(5, using="read"):
        reporting.keep_views(using="read")

    assert select(views) == before


def test_a_table_of_a_former_release_has_no_view() -> None:
    reporting.drop_views(using="read", plan=[(ALTERS, False)])
    select("ALTER TABLE order_summary DROP COLUMN tags")

    reporting.keep_views(using="read")

    assert "order_summary" not in view_columns()
    assert "customer_view" in view_columns()


def test_a_user_who_may_not_make_the_schema_gets_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    select("DROP SCHEMA reporting CASCADE")
    select("CREATE ROLE tests_without_privileges")
    select("GRANT SELECT ON projection TO tests_without_privileges")
    select("SET LOCAL ROLE tests_without_privileges")

    reporting.keep_views(using="read")

    select("RESET ROLE")
    assert view_columns() == {}
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "CREATE SCHEMA reporting AUTHORIZATION" in record.message
    assert Projection.objects.exists()
