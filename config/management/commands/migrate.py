"""`manage.py migrate`: Django's command, for the databases of both sides."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connection, connections

from config.databases import sessions
from config.databases.executor import SideExecutor

SIDES = ("default", "read")
_OUR_LABELS = {"ordering_write", "ordering_read"}

# SQL states of a migration that requests have kept from its tables: deadlock, lock timeout.
_LOCKED_STATES = {"40P01", "55P03"}
_TRIES = 5


# Django's command has no other place to choose an executor.
migrate.MigrationExecutor = SideExecutor  # type: ignore[attr-defined]


class Command(migrate.Command):
    help = "Updates the schema of both databases, or of the one that --database names."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return {**super().get_check_kwargs(options), "databases": _databases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        for database in _databases(options):
            _check_owner(database)
            if database == "read" and settings.READ_SCHEMA:
                _make_schema(settings.READ_SCHEMA)
            with _unlimited_pauses(database):
                self._migrate(*args, **{**options, "database": database})
            if settings.DATABASE_POOLER:
                _store_session_settings(database)

    def _migrate(self, *args: Any, **options: Any) -> None:
        """Run Django's command, again if a migration was rolled back because of requests."""
        for _ in range(_TRIES - 1):
            try:
                super().handle(*args, **options)
                return
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) not in _LOCKED_STATES:
                    raise
                self.stderr.write(f"Requests hold the tables; trying again: {error}".rstrip())
        super().handle(*args, **options)


def _databases(options: dict[str, Any]) -> tuple[str, ...]:
    return (options["database"],) if options["database"] else SIDES


def _check_owner(database: str) -> None:
    """Refuse the database of another Django project, to which a variable may lead by mistake."""
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return
        cursor.execute("SELECT DISTINCT app FROM django_migrations")
        labels = {label for (label,) in cursor.fetchall()}
    strange = sorted(labels - {app.label for app in apps.get_app_configs()})
    if strange and not labels & _OUR_LABELS:
        raise CommandError(
            f"The database {connections[database].settings_dict['NAME']} belongs to another Django "
            f"project (apps {', '.join(strange)}): correct or unset DATABASE_URL."
        )


def _store_session_settings(database: str) -> None:
    try:
        sessions.store(database, settings.POOLED_ROLES[database])
    except sessions.SettingsNotStoredError as error:
        raise CommandError(f"{error}") from error


@contextmanager
def _unlimited_pauses(database: str) -> Iterator[None]:
    """Let a migration pause between two statements as long as a slow machine needs.

    Django computes the state of all models within the migration's transaction. On a slow machine
    this takes longer than the pauses that requests may have in a transaction.
    """
    name = "idle_in_transaction_session_timeout"
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT current_setting(%s)", [name])
        [limit] = cursor.fetchone()
        cursor.execute("SELECT set_config(%s, '0', false)", [name])
    yield
    # After an error the command ends, and its connection with it.
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [name, limit])


def _make_schema(name: str) -> None:
    """Create the schema of the read models in the database that both sides share."""
    with connection.cursor() as cursor:
        # CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if the schema exists.
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name])
        if not cursor.fetchone():
            cursor.execute(f"CREATE SCHEMA {connection.ops.quote_name(name)}")
