"""The settings of database sessions, in spite of poolers.

A pooler refuses the settings that a client sends with its first message, so they are set by a
statement after connecting. A pooler that lends a session for one transaction loses such settings,
or leaves them to other clients: there ``migrate`` makes them the defaults of the role.
"""

import logging
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, transaction
from psycopg import sql

from config.databases.configuration import role_settings

logger = logging.getLogger(__name__)

# The server reports the settings with these names as 0 for sessions that don't use TCP.
_OF_TCP = "tcp_"
# The aliases of the databases whose pooler this process has checked.
_checked: set[str] = set()


class TransactionPoolerError(ImproperlyConfigured):
    """The database is behind a pooler that lends a session for one transaction: set
    DATABASE_POOLER=transaction and DATABASE_DIRECT_URL, or let the pooler give each client a
    session (PgBouncer: pool_mode = session)."""

    def __init__(self) -> None:
        super().__init__(" ".join(str(self.__doc__).split()))


class SettingsNotStoredError(Exception):
    """The settings of sessions can't be stored, because the role may not change another role."""

    def __init__(self, role: str, database: str) -> None:
        super().__init__(
            f"The settings of sessions can't be stored for the role {role} in the database"
            f" {database}: let DATABASE_DIRECT_URL name that role too, or one that may alter it."
        )


class SettingsMissingError(ImproperlyConfigured):
    """Sessions of the pooler lack settings."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"Sessions of the pooler lack the settings {', '.join(names)}: run manage.py migrate,"
            " then RECONNECT in the console of PgBouncer."
        )


def configure(connection: psycopg.Connection[Any], entry: dict[str, Any], alias: str) -> None:
    """Set the settings of a new session of the database ``entry``, by one statement.

    Does nothing if the session is lent for one transaction. Raises TransactionPoolerError if it is,
    and the setting DATABASE_POOLER doesn't say so.
    """
    if entry["POOLER"]:
        return
    session = entry["SESSION"]
    calls = ", set_config(%s, %s, false)" * len(session)
    values = [text for setting in session.items() for text in setting]
    row = connection.execute(f"SELECT pg_backend_pid(){calls}", values).fetchone()
    # A pooler has a number of its own for each client.
    if row and row[0] != connection.info.backend_pid and alias not in _checked:
        _check_lending(connection, row[0])
        _checked.add(alias)


def _check_lending(connection: psycopg.Connection[Any], backend_pid: int) -> None:
    """Raise TransactionPoolerError if a second client gets the session that the first one uses."""
    info = connection.info
    parameters: dict[str, Any] = {**info.get_parameters(), "password": info.password}
    with closing(psycopg.connect(**parameters, autocommit=True)) as other:
        row = other.execute("SELECT pg_backend_pid()").fetchone()
    if row and row[0] == backend_pid:
        raise TransactionPoolerError


def check() -> None:
    """Connect to each database that can be reached, so that a wrong pooler ends the start.

    Raises TransactionPoolerError, and SettingsMissingError without the search path.
    """
    for connection in connections.all():
        with suppress(Error):
            connection.ensure_connection()
            if connection.settings_dict["POOLER"]:
                _check_settings(connection)
        connection.close()


def _check_settings(connection: Any) -> None:
    expected = {
        name: value
        for name, value in role_settings(settings.READ_SCHEMA).items()
        if not name.startswith(_OF_TCP)
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, current_setting(name) FROM unnest(%s::text[]) name", [list(expected)]
        )
        found = dict(cursor.fetchall())
    missing = sorted(name for name, value in expected.items() if found[name] != value)
    if "search_path" in missing:
        raise SettingsMissingError(missing)
    if missing:
        # The service works without its timeouts.
        logger.error("%s", SettingsMissingError(missing))


def store(alias: str, role: str) -> None:
    """Make the settings of sessions the defaults of ``role`` (if empty, ours) in one database.

    Sessions that are open keep theirs. Raises SettingsNotStoredError.
    """
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        user, database = cursor.fetchone()
        role = role or user
        for name, value in role_settings(settings.READ_SCHEMA).items():
            cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
            statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} FROM CURRENT")
            try:
                cursor.execute(statement.format(*map(sql.Identifier, (role, database, name))))
            except Exception as error:
                if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                    raise SettingsNotStoredError(role, database) from error
                raise
