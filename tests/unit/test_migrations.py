"""Migrations leave the previous release able to run until it is restarted."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from config.databases import executor

# Numbers of the last migrations of releases before the check; their columns have defaults by now.
EXEMPT = {"ordering_read": "0021", "ordering_write": "0016"}
# Statements of the previous release name these.
GONE = (
    migrations.RemoveField,
    migrations.DeleteModel,
    migrations.AlterModelTable,
)


def _ours() -> list[str]:
    return [
        app.label
        for app in apps.get_app_configs()
        if app.path.startswith(str(settings.BASE_DIR)) and ".venv" not in app.path
    ]


def faults(operations: Sequence[Operation], app: str, state: ProjectState) -> Iterator[str]:
    """Yield the operations with which statements of the previous release fail."""
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from faults(operation.database_operations, app, state)
            continue
        if _breaks(operation, app, state):
            yield operation.describe()
        operation.state_forwards(app, state)


def _breaks(operation: Operation, app: str, state: ProjectState) -> bool:
    if isinstance(operation, migrations.AddField):
        return not (operation.field.null or operation.field.has_db_default())
    if isinstance(operation, migrations.AlterField):
        former = state.models[app, operation.model_name_lower].fields[operation.name]
        return former.null and not operation.field.null
    if isinstance(operation, migrations.RenameField):
        field = state.models[app, operation.model_name_lower].fields[operation.old_name]
        return not field.db_column
    if isinstance(operation, migrations.RenameModel):
        return "db_table" not in state.models[app, operation.old_name_lower].options
    return isinstance(operation, GONE)


def test_the_previous_release_can_run_on_the_tables_of_every_migration() -> None:
    # A new database skips the migrations that a database in use applies one by one.
    loader = MigrationLoader(None, replace_migrations=False)
    checked = {
        f"{app}.{name}": list(
            faults(
                loader.graph.nodes[app, name].operations,
                app,
                loader.project_state((app, name), at_end=False),
            )
        )
        for app, name in loader.graph.nodes
        if app in _ours() and name[:4] > EXEMPT.get(app, "0001")
    }
    assert checked.keys() >= {"ordering_read.0022_outdated", "ordering_write.0019_defaults"}
    assert {name: found for name, found in checked.items() if found} == {}


@pytest.mark.parametrize(
    ("operation", "breaks"),
    [
        (migrations.AddField("order", "note", models.TextField()), True),
        (migrations.AddField("order", "note", models.TextField(default="")), True),
        (migrations.AddField("order", "note", models.TextField(null=True)), False),
        (migrations.AddField("order", "note", models.TextField(db_default="")), False),
        (migrations.AlterField("order", "city", models.TextField()), True),
        (migrations.AlterField("order", "city", models.TextField(null=True)), False),
        (migrations.RemoveField("order", "city"), True),
        (migrations.RenameField("order", "city", "town"), True),
        (migrations.RenameModel("Order", "Purchase"), True),
        (migrations.DeleteModel("Order"), True),
        (
            migrations.SeparateDatabaseAndState(
                state_operations=[migrations.RemoveField("order", "city")]
            ),
            False,
        ),
        (
            migrations.SeparateDatabaseAndState(
                database_operations=[migrations.RemoveField("order", "city")]
            ),
            True,
        ),
    ],
)
def test_operations_that_break_the_previous_release_are_found(operation: Any, breaks: bool) -> None:
    state = ProjectState()
    state.add_model(ModelState("shop", "Order", [("city", models.TextField(null=True))]))

    assert bool(list(faults([operation], "shop", state))) == breaks


def migration_of(operation: Operation) -> migrations.Migration:
    class Migration(migrations.Migration):
        operations = [operation]

    return Migration("0002", "shop")


def test_migrations_that_change_no_column_are_recognised(subtests: pytest.Subtests) -> None:
    state = ProjectState()
    name = models.CharField("Name", max_length=10)
    tags = ArrayField(models.CharField(max_length=10), default=list)
    state.add_model(ModelState("shop", "Item", [("name", name), ("tags", tags)]))
    altered: list[tuple[str, str, models.Field[Any, Any], bool]] = [
        ("a help text", "name", models.CharField(max_length=10, help_text="Any."), True),
        ("a label", "name", models.CharField("Title", max_length=10), True),
        ("choices", "name", models.CharField(max_length=10, choices=[("a", "A")]), True),
        ("a text of an array", "tags", ArrayField(tags.base_field.clone(), default=list), True),
        ("a length", "name", models.CharField(max_length=11), False),
        ("a column's name", "name", models.CharField(max_length=10, db_column="title"), False),
        ("null", "name", models.CharField(max_length=10, null=True), False),
        ("a default", "name", models.CharField(max_length=10, db_default=""), False),
        (
            "a length in an array",
            "tags",
            ArrayField(models.CharField(max_length=11), default=list),
            False,
        ),
    ]
    for change, field_name, field, changes_no_column in altered:
        with subtests.test("a change", of=change):
            migration = migration_of(migrations.AlterField("Item", field_name, field))

            assert executor._changes_no_column(state, migration) is changes_no_column

    adding = migration_of(migrations.AddField("Item", "note", models.TextField(default="")))
    assert not executor._changes_no_column(state, adding)
