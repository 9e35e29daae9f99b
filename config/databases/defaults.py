"""Defaults of columns for the previous release, which leaves new columns out of its statements."""

from collections.abc import Mapping

from django.db import migrations

# Defaults by column, as SQL.
Defaults = Mapping[str, str]


def set_defaults(tables: Mapping[str, Defaults]) -> list[migrations.RunSQL]:
    """Return the operations that give columns of ``tables`` a default in the database.

    A new field has ``db_default`` instead. These are for columns that were added without one.
    """
    return [
        migrations.RunSQL(
            _alter(table, [f'ALTER COLUMN "{name}" SET DEFAULT {sql}' for name, sql in columns]),
            _alter(table, [f'ALTER COLUMN "{name}" DROP DEFAULT' for name, _ in columns]),
        )
        for table, columns in ((table, defaults.items()) for table, defaults in tables.items())
    ]


def _alter(table: str, actions: list[str]) -> str:
    return f"ALTER TABLE {table} {', '.join(actions)}"
