"""Faults of the databases, in a sentence for people: unreachable, not migrated, not ours to use."""

from collections.abc import Iterator

import django.db
import psycopg
from django.db import connections
from django.db.migrations.exceptions import InconsistentMigrationHistory

from config.databases import executor
from config.databases.base import DatabaseUnavailable

# SQL states of statements that name a table, column, function or schema that isn't there.
_MISSING_STATES = {"42P01", "42703", "42883", "3F000"}
# SQL states of migrations that make a table, column or object that is there.
_PRESENT_STATES = {"42P07", "42701", "42710"}
_FORBIDDEN_STATE = "42501"


def sentence(error: BaseException) -> str:
    """Return what is wrong with the databases and what to do; empty if the code is wrong.

    Asks the databases whether their tables are those of this release.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, DatabaseUnavailable):
            return f"{cause}"
        if isinstance(cause, InconsistentMigrationHistory):
            return f"{cause} Restore the database whole, or begin with an empty one."
    states = {cause.sqlstate for cause in causes if isinstance(cause, psycopg.Error)}
    reason = " ".join(f"{error}".split())
    if states & _MISSING_STATES:
        return _not_migrated()
    if states & _PRESENT_STATES:
        return (
            f"The tables of a database aren't those of its migrations: {reason}. Restore the"
            " database whole, or begin with an empty one."
        )
    if _FORBIDDEN_STATE in states:
        return f"The role of a database lacks a right: {reason}. Let it own its database."
    if isinstance(error, (django.db.OperationalError, django.db.InterfaceError)):
        return f"A database failed: {reason}. Try again."
    return ""


def _not_migrated() -> str:
    try:
        names = [
            str(connections[alias].settings_dict["NAME"])
            for alias in connections
            if executor.unapplied(alias)
        ]
    except django.db.Error as error:
        return sentence(error)
    if not names:
        return ""
    databases = " and ".join(map(repr, dict.fromkeys(names)))
    return f"The tables of this release are missing in {databases}: run manage.py migrate."


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error:
        yield error
        following = error.__cause__ or error.__context__
        if following is None:
            return
        error = following
