"""Databases for tests: two that migrations have made, kept from run to run, and copies of them."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management.sql import emit_post_migrate_signal
from django.db import connections, transaction
from psycopg import sql

from config.databases.embedded import EmbeddedServer
from config.databases.executor import SideExecutor
from config.databases.router import side
from config.shop_apps import ServiceApp
from ordering_write import subscriptions

ALIASES = ("default", "read")
# Advisory lock of the process that makes the kept databases; the others wait for them.
_LOCK = 0x7E57
# Apps whose rows are deleted after a test, beside those of the service and of a shop; roles,
# permissions and schedules stay.
_EMPTIED = {"accounts", "exports", "knox", "sessions", "admin"}


class Databases:
    """New databases on the embedded server, or on that of DATABASE_URL, until ``drop``.

    They are empty, or copies of the databases ``like``, to which nobody may be connected.
    """

    def __init__(self, *names: str, like: Sequence[str] = ()) -> None:
        self.names = _names(*names)
        with _server() as server:
            for name, template in zip(self.names, like or ["template1"] * len(names), strict=True):
                _run(server, "CREATE DATABASE {} TEMPLATE {}", name, template)

    @property
    def urls(self) -> list[str]:
        return [urlsplit(_server_url())._replace(path=f"/{name}").geturl() for name in self.names]

    def drop(self) -> None:
        with _server() as server:
            for name in self.names:
                _run(server, "DROP DATABASE {} WITH (FORCE)", name)


class MigratedDatabases(Databases):
    """A write and a read database, migrated, with the rows that ``migrate`` adds at its end."""

    def __init__(self, *, keep: bool) -> None:
        with _templates(keep=keep) as templates:
            super().__init__("write", "read", like=templates)
        with connected_to(self.names):
            for alias in ALIASES:
                # In each run anew: these rows follow the code, not the migrations.
                with transaction.atomic(using=alias):
                    emit_post_migrate_signal(verbosity=0, interactive=False, db=alias, apps=apps)


@contextmanager
def connected_to(names: Sequence[str]) -> Iterator[None]:
    """Let Django's connections lead to the databases of these ``names`` within the block."""
    former = [str(settings.DATABASES[alias]["NAME"]) for alias in ALIASES]
    connect_to(names)
    try:
        yield
    finally:
        connect_to(former)


def connect_to(names: Sequence[str]) -> None:
    """Let Django's connections lead to the write and the read database of these ``names``."""
    connections.close_all()
    # Content types have other ids in each database.
    ContentType.objects.clear_cache()
    for alias, name in zip(ALIASES, names, strict=True):
        settings.DATABASES[alias]["NAME"] = name


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll both databases back at the end of the block."""
    with ExitStack() as stack:
        for alias in ALIASES:
            stack.enter_context(transaction.atomic(using=alias))
            with connections[alias].cursor() as cursor:
                # The transaction may be idle for any time.
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield
        for alias in ALIASES:
            transaction.set_rollback(True, using=alias)


def empty_databases() -> None:
    """Delete the rows of both databases, as after a test; new checkpoints begin anew."""
    for alias in ALIASES:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(_deletion(alias))
    subscriptions.ensure_checkpoints()


@cache
def _deletion(alias: str) -> str:
    """Return the statements that empty the tables of a database."""
    models = apps.get_models(include_auto_created=True)
    of_service = {app.label for app in apps.get_app_configs() if isinstance(app, ServiceApp)}
    labels = {label for label in _EMPTIED | of_service if side(label) == alias}
    tables = [model._meta.db_table for model in models if model._meta.app_label in labels]
    # Skips the trigger of the append-only log, and foreign keys: any order of tables will do.
    statements = ["SET LOCAL session_replication_role = replica"]
    return "; ".join([*statements, *(f"DELETE FROM {table}" for table in tables)])


class KeptRows:
    """The rows that the tables of the write side have now, to be put back in other tests."""

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}
        with connections["default"].cursor() as cursor:
            for model in apps.get_app_config("ordering_write").get_models():
                table = model._meta.db_table
                with cursor.copy(f"COPY {table} TO STDOUT") as copy:
                    self._rows[table] = b"".join(copy)

    def put_back(self) -> None:
        """Replace the rows of the tables."""
        with transaction.atomic(), connections["default"].cursor() as cursor:
            # Skips the trigger of the append-only log, and foreign keys.
            deletions = [f"DELETE FROM {table}" for table in self._rows]
            statements = ["SET LOCAL session_replication_role = replica", *deletions]
            cursor.execute("; ".join(statements))
            for table, rows in self._rows.items():
                if rows:
                    with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                        copy.write(rows)


@contextmanager
def _templates(*, keep: bool) -> Iterator[list[str]]:
    """Yield the names of databases as the migrations make them: kept ones, or new ones to drop.

    Kept ones carry a hash of all migrations in their names; with another hash they are made anew.
    """
    kept, ours = (_kept_names(apps) for apps in (_migrated_apps(), _migrated_apps(of_shops=False)))
    with _server() as server:
        server.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        if settings.EMBEDDED:
            _drop_leftovers(server, [*kept, *ours])
        names = kept if keep else _names("default", "read")
        present = _databases(server)
        if not set(names) <= present:
            # The migrations of a shop's app follow ours.
            _migrate(server, names, like=ours if set(ours) <= present else ())
        try:
            yield names
        finally:
            if not keep:
                for name in names:
                    _run(server, "DROP DATABASE {}", name)


def _names(*names: str) -> list[str]:
    """Return names of new databases that tell which process made them."""
    suffix = f"{os.getpid()}_{uuid4().hex[:8]}"
    return [f"tests_{name}_{suffix}" for name in names]


def _migrate(server: psycopg.Connection[Any], names: Sequence[str], *, like: Sequence[str]) -> None:
    # Renamed when whole: a run that is killed meanwhile leaves nothing half made.
    drafts = Databases("write", "read", like=like)
    with connected_to(drafts.names):
        for alias in ALIASES:
            executor = SideExecutor(connections[alias])
            executor.migrate(executor.loader.graph.leaf_nodes())
    for name, draft in zip(names, drafts.names, strict=True):
        _run(server, "DROP DATABASE IF EXISTS {}", name)
        _run(server, "ALTER DATABASE {} RENAME TO {}", draft, name)


def _migrated_apps(*, of_shops: bool = True) -> list[AppConfig]:
    return [
        app
        for app in apps.get_app_configs()
        if of_shops or app.name.partition(".")[0] not in settings.SHOP_APPS
    ]


def _kept_names(apps: Sequence[AppConfig]) -> list[str]:
    digest = _hash_of_migrations(apps)
    return [f"tests_{alias}_{digest}" for alias in ALIASES]


def _hash_of_migrations(apps: Sequence[AppConfig]) -> str:
    digest = hashlib.sha256()
    for app in apps:
        for file in sorted(Path(app.path, "migrations").glob("*.py")):
            digest.update(f"{app.label}/{file.name}".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _drop_leftovers(server: psycopg.Connection[Any], wanted: Sequence[str]) -> None:
    """Drop databases of test runs that were killed, and of former migrations."""
    for name in _databases(server) - set(wanted):
        if pid := re.fullmatch(r"tests_\w+_([0-9]+)_[0-9a-f]{8}", name):
            is_left = not Path("/proc", pid[1]).exists()
        else:
            is_left = name.startswith("tests_")
        if is_left:
            _run(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def _databases(server: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in server.execute("SELECT datname FROM pg_database")}


def _server_url() -> str:
    if settings.EMBEDDED:
        return EmbeddedServer(settings.DATA_DIR).url("postgres")
    return os.environ["DATABASE_URL"]


@contextmanager
def _server() -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection, in autocommit, that may make databases."""
    if settings.EMBEDDED:
        EmbeddedServer(settings.DATA_DIR).start()
    with closing(psycopg.connect(_server_url(), autocommit=True)) as connection:
        yield connection


def _run(server: psycopg.Connection[Any], statement: str, *names: str) -> None:
    server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
