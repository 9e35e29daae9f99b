"""Migrations leave the previous release able to run until it is restarted."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

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
