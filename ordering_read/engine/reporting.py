"""The schema ``reporting``: a view per read model, with its live rows, for readers by SQL.

The views follow from the models, so ``migrate`` makes them at its end. Migrations don't know them:
PostgreSQL refuses to alter or drop a column that a view shows, so ``migrate`` drops the views first
if it has to.
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.db import ProgrammingError, connections, migrations, transaction
from django.db.backends.utils import CursorWrapper
from django.db.migrations.migration import Migration

from config.databases.router import side
from ordering_read.engine.table_diff import natural_key
from ordering_read.models import Projection, ReadModel, StreamRow

logger = logging.getLogger(__name__)

SCHEMA = "reporting"
# Roles belong to the whole server: the shops of one server share this one.
ROLE = "order_reports"

# Operations that PostgreSQL accepts while views show the table.
_HARMLESS = (
    migrations.AddConstraint,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AlterModelOptions,
    migrations.CreateModel,
    migrations.RemoveConstraint,
    migrations.RemoveIndex,
)
# One row per thing of a generation. A subquery, so that a promotion shows in all views at once.
_VIEW = """
CREATE VIEW reporting.{table} AS SELECT {columns} FROM {table}
WHERE projection_id = (SELECT id FROM projection WHERE name = '{projection}' AND status = '{live}')
"""
_COLUMNS = """
SELECT relation.relname, attribute.attname
FROM pg_class relation JOIN pg_attribute attribute ON attribute.attrelid = relation.oid
WHERE relation.relname = ANY(%s) AND relation.relkind = 'r' AND pg_table_is_visible(relation.oid)
  AND attribute.attnum > 0 AND NOT attribute.attisdropped
"""
_DESCRIPTION = """
SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'reporting'
"""
_VIEWS = "SELECT viewname FROM pg_views WHERE schemaname = 'reporting'"
# SQL states: no privilege; another process has just made the role.
_NO_PRIVILEGE, _EXISTS = "42501", {"42710", "23505"}


def read_models() -> list[type[ReadModel]]:
    """Return all read models, in the order of their tables."""
    read_models = [model for model in apps.get_models() if issubclass(model, ReadModel)]
    return sorted(read_models, key=lambda model: model._meta.db_table)


def columns(model: type[ReadModel]) -> dict[str, str]:
    """Return the columns of a view, each with its column of the table.

    These are all columns without the generation and the surrogate key. A row of one thing has the
    id of the thing as ``id``.
    """
    names = [
        str(field.column)
        for field in model._meta.concrete_fields
        if field.name not in ("key", "projection")
    ]
    own_id = {"id": natural_key(model)[0]} if issubclass(model, StreamRow) else {}
    return {**own_id, **{name: name for name in names}}


def keep_views(*, using: str, **_kwargs: Any) -> None:
    """Make the schema, its role and the views unless they are up to date (for ``post_migrate``).

    Without the privilege for one of them, a warning says what is missing.
    """
    if using != "read":
        return
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            _keep_views(cursor)
    except ProgrammingError as error:
        if _sqlstate(error) != _NO_PRIVILEGE:
            raise
        logger.warning(
            "The views in the schema %s weren't made, since this user may not: %s. Let an "
            "administrator of the database run CREATE SCHEMA %s AUTHORIZATION %s, then migrate.",
            *(SCHEMA, str(error).strip(), SCHEMA, connections[using].settings_dict["USER"]),
        )


def drop_views(*, using: str, plan: Sequence[tuple[Migration, bool]] = (), **_kwargs: Any) -> None:
    """Drop the views if a migration of ``plan`` may alter a column (for ``pre_migrate``)."""
    operations = [
        operation
        for migration, _ in plan
        if side(migration.app_label) == "read"
        for operation in migration.operations
    ]
    goes_back = any(is_backwards for _, is_backwards in plan)
    if using != "read" or not (goes_back or any(not isinstance(o, _HARMLESS) for o in operations)):
        return
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        _drop_views(cursor)
        if _description(cursor) is not None:
            cursor.execute(f"COMMENT ON SCHEMA {SCHEMA} IS NULL")


def _keep_views(cursor: CursorWrapper) -> None:
    statements = _statements(cursor)
    has_role = _ensure_role(cursor)
    digest = hashlib.sha256("\n".join([*statements, str(has_role)]).encode()).hexdigest()
    wanted = f"Live rows of the read models, made by migrate. Definition {digest[:16]}."
    present = _description(cursor)
    if present == wanted:
        return
    if present is None:
        # CREATE SCHEMA IF NOT EXISTS needs the privilege even if the schema exists.
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA])
        if not cursor.fetchone():
            cursor.execute(f"CREATE SCHEMA {SCHEMA}")
    _drop_views(cursor)
    for statement in statements:
        cursor.execute(statement)
    if has_role:
        cursor.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE}")
        cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {ROLE}")
    cursor.execute(f"COMMENT ON SCHEMA {SCHEMA} IS '{wanted}'")


def _statements(cursor: CursorWrapper) -> list[str]:
    """Return the statements that make the views whose tables have all columns.

    ``migrate`` may have gone to a former state of the tables.
    """
    cursor.execute(_COLUMNS, [[model._meta.db_table for model in read_models()]])
    present = set(cursor.fetchall())
    return [
        _VIEW.format(
            table=model._meta.db_table,
            columns=", ".join(f'"{source}" AS "{name}"' for name, source in wanted.items()),
            projection=model.projection_name,
            live=Projection.Status.LIVE.value,
        )
        for model in read_models()
        if (wanted := columns(model))
        and {(model._meta.db_table, source) for source in wanted.values()} <= present
    ]


def _ensure_role(cursor: CursorWrapper) -> bool:
    """Return True if the role exists; make it if this user may."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
    if cursor.fetchone():
        return True
    try:
        with transaction.atomic(using="read"):
            cursor.execute(f"CREATE ROLE {ROLE} NOLOGIN")
    except Exception as error:
        if _sqlstate(error) in _EXISTS:
            return True
        if _sqlstate(error) != _NO_PRIVILEGE:
            raise
        logger.warning(
            "The role %s wasn't made, since this user may not. Let an administrator of the server "
            "run CREATE ROLE %s NOLOGIN, then migrate.",
            *(ROLE, ROLE),
        )
        return False
    return True


def _drop_views(cursor: CursorWrapper) -> None:
    cursor.execute(_VIEWS)
    if names := [f'{SCHEMA}."{name}"' for (name,) in cursor.fetchall()]:
        cursor.execute(f"DROP VIEW {', '.join(names)}")


def _description(cursor: CursorWrapper) -> str | None:
    cursor.execute(_DESCRIPTION)
    row = cursor.fetchone()
    return row[0] if row else None


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)
