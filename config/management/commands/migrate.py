"""`manage.py migrate`: Django's command, for the databases of both sides."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import connection

SIDES = ("default", "read")


class Command(migrate.Command):
    help = "Updates the schema of both databases, or of the one that --database names."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return {**super().get_check_kwargs(options), "databases": _databases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        for database in _databases(options):
            if database == "read" and settings.READ_SCHEMA:
                _make_schema(settings.READ_SCHEMA)
            super().handle(*args, **{**options, "database": database})


def _databases(options: dict[str, Any]) -> tuple[str, ...]:
    return (options["database"],) if options["database"] else SIDES


def _make_schema(name: str) -> None:
    """Create the schema of the read models in the database that both sides share."""
    with connection.cursor() as cursor:
        # CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if the schema exists.
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name])
        if not cursor.fetchone():
            cursor.execute(f"CREATE SCHEMA {connection.ops.quote_name(name)}")
