"""Migrations of one of the two databases, without work for what they don't change in it."""

from typing import Any

from django.conf import settings
from django.db import connections, transaction
from django.db.migrations import AlterField, Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django.db.models import Field

from config.databases.router import side


class SideExecutor(MigrationExecutor):
    """Applies all migrations, and only records those that change nothing in this database.

    These are the migrations of apps with tables in the other database, and of texts about fields.
    Django would render models anew after each of their operations, which takes most of the time of
    an upgrade. The models that it has rendered will do: no relation joins the tables of the two
    databases, and no statement depends on such a text.
    """

    def apply_migration(
        self, state: ProjectState, migration: Migration, *args: Any, **options: Any
    ) -> ProjectState:
        is_own = side(migration.app_label) == self.connection.alias
        if is_own and not _changes_no_column(state, migration):
            return super().apply_migration(state, migration, *args, **options)
        if self.progress_callback:
            self.progress_callback("apply_start", migration, False)
        # A state without rendered models renders none.
        rendered = state.__dict__.pop("apps", None)
        migration.mutate_state(state, preserve=False)
        if rendered is not None:
            state.__dict__["apps"] = rendered
        self.record_migration(migration)  # type: ignore[call-arg, arg-type]
        if self.progress_callback:
            self.progress_callback("apply_success", migration, False)
        return state

    def migrate(self, *args: Any, **options: Any) -> ProjectState:
        state = super().migrate(*args, **options)
        # Receivers of post_migrate see all models, as they are after the last migration.
        state.__dict__.pop("apps", None)
        return state


def unapplied(alias: str) -> int:
    """Return the number of migrations of this release that the database ``alias`` lacks."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        if alias == "read" and settings.READ_SCHEMA:
            # Behind a pooler, the path would lead to the migrations of the write side.
            cursor.execute("SELECT set_config('search_path', %s, true)", [settings.READ_SCHEMA])
        executor = MigrationExecutor(connections[alias])
        return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _changes_no_column(state: ProjectState, migration: Migration) -> bool:
    """Return True if the migration alters nothing but attributes of fields that no column has."""
    return all(
        isinstance(operation, AlterField)
        and _column(operation.field)
        == _column(
            state.models[migration.app_label, operation.model_name_lower].fields[operation.name]
        )
        for operation in migration.operations
    )


def _column(field: "Field[Any, Any]") -> tuple[Any, ...]:
    _, path, arguments, options = field.deconstruct()
    for name in {*field.non_db_attrs} - {"db_column"}:
        options.pop(name, None)
    if "base_field" in options:
        options["base_field"] = _column(options["base_field"])
    return path, arguments, options
