"""The database backend: PostgreSQL; a new connection starts the embedded server if needed."""

import select
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error
from django.db.backends.postgresql import base, client
from django.db.backends.postgresql.psycopg_any import BaseTzLoader

from config import telemetry
from config.databases import embedded, programs, sessions, statements
from config.databases.prepared import Parameters, PreparedStatements


class DatabaseUnavailable(psycopg.OperationalError):
    """The database can't be reached."""

    def __init__(self, database: str, reason: psycopg.OperationalError) -> None:
        # The messages of psycopg have several lines.
        super().__init__(f"Cannot reach database {database!r}: {' '.join(str(reason).split())}")


class TimeLoader(BaseTzLoader):
    """Loads times with a time zone, as Django's loader does, in a tenth of its time."""

    timezone = UTC

    def load(self, data: Any) -> datetime:
        try:
            return datetime.fromisoformat(bytes(data).decode()).astimezone(UTC)
        except ValueError:
            # Not a time of Python, such as infinity: psycopg says so.
            time: datetime = super().load(data)
            return time


class DatabaseClient(client.DatabaseClient):
    """Runs ``dbshell``, with the psql of the wheel if none is installed."""

    def runshell(self, parameters: Iterable[str]) -> None:
        self.connection.ensure_connection()
        super().runshell(parameters)

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        [psql, *args], env = super().settings_to_cmd_args_env(settings_dict, parameters)
        return [shutil.which(psql) or str(programs.in_wheel() / psql), *args], env


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        return {**super().get_connection_params(), "cursor_factory": statements.Cursor}

    def init_connection_state(self) -> None:
        super().init_connection_state()
        try:
            sessions.configure(self.connection, self.settings_dict, self.alias)
        except BaseException:
            # Without its settings, nobody may use this session.
            self.close()
            raise

    def fetch(self, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Return the rows of a frequent ``statement``; see ``config.databases.prepared``."""
        self.validate_thread_sharing()
        self.close_if_health_check_failed()
        self.ensure_connection()
        if self._needs_cursor:
            with self.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        rows: list[tuple[Any, ...]] = self._wrapped(self._fetch, statement, parameters)
        return rows

    def run_last(self, statement: str, parameters: Parameters) -> None:
        """Run a frequent ``statement`` before COMMIT; see ``config.databases.prepared``."""
        if self._ends_with_commit:
            self._wrapped(self._keep_last, statement, parameters)
        else:
            self.fetch(statement, parameters)

    def run_after_commit(self, statement: str, parameters: Parameters) -> None:
        """Run a frequent ``statement`` after COMMIT; see ``config.databases.prepared``."""
        if self._ends_with_commit:
            self._prepared.after_commit.append((statement, parameters))
        else:

            def run() -> None:
                self.fetch(statement, parameters)

            # Django names the function in its record of a failure, and a partial has no name.
            self.on_commit(run, robust=True)

    @property
    def _needs_cursor(self) -> bool:
        # The spans of statements are those of cursors.
        return self.queries_logged or telemetry.IS_ON or not self._prepared.is_usable

    @property
    def _ends_with_commit(self) -> bool:
        """True if the end of this block of ``atomic`` is a COMMIT to which statements can be added.

        False for a block within another.
        """
        is_outermost = self.in_atomic_block and self.commit_on_exit and not self.savepoint_ids
        return is_outermost and self.connection is not None and not self._needs_cursor

    def _wrapped(self, run: Any, statement: str, parameters: Parameters) -> Any:
        for wrapper in reversed(self.execute_wrappers):
            run = partial(wrapper, run)
        return run(statement, parameters, False, {"connection": self, "cursor": None})

    def _keep_last(self, statement: str, parameters: Parameters, *_options: Any) -> None:
        self._prepared.last.append((statement, parameters))

    def _fetch(self, statement: str, parameters: Parameters, *_options: Any) -> Any:
        self.validate_no_broken_transaction()
        is_first = self._prepared.is_outside
        with self.wrap_database_errors:
            try:
                return self._prepared.fetch(statement, parameters)
            except psycopg.Error as error:
                # After another statement of a transaction, its owner must begin again.
                if not (is_first and statements.may_be_stale(error)):
                    raise
            statements.forget_all(self.connection)
            return self._prepared.fetch(statement, parameters)

    def _commit(self) -> None:
        if self.connection is None or self._needs_cursor or self._prepared.is_unused:
            super()._commit()  # type: ignore[misc]
            return
        try:
            with self.wrap_database_errors:
                self._prepared.commit()
        finally:
            if self.connection and self.connection.closed:
                # An interrupted program goes on with a new connection.
                self.close()

    def _set_autocommit(self, autocommit: bool) -> None:
        try:
            super()._set_autocommit(autocommit)  # type: ignore[misc]
        except Error:
            # Django would keep the lost session, and take each later block for one within another.
            self.close()
            raise

    def _rollback(self) -> None:
        super()._rollback()  # type: ignore[misc]
        self._prepared.roll_back()

    def _savepoint_rollback(self, sid: str) -> None:
        super()._savepoint_rollback(sid)  # type: ignore[misc]
        self._prepared.deallocate()

    def is_usable(self) -> bool:
        if self.connection.closed:
            return False
        # Called before each request. A server sends a message before it closes a connection, so
        # without a message ``super().is_usable()`` and its round trip aren't needed.
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = self._connect(conn_params)
        connection.adapters.register_loader("timestamptz", TimeLoader)
        self._prepared = connection.frequent = PreparedStatements(connection)
        return connection

    def _connect(self, conn_params: dict[str, Any]) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            if not settings.EMBEDDED:
                raise DatabaseUnavailable(self.settings_dict["NAME"], error) from error
        try:
            # The port changes if another program took it while the server was down.
            port = embedded.EmbeddedServer(settings.DATA_DIR).start()
            self.settings_dict["PORT"] = port
            return super().get_new_connection({**conn_params, "port": port})
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(self.settings_dict["NAME"], error) from error
