"""A look at each statement of this process: at the driver, which sees COMMIT and COPY too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
import pytest
from django.db import connection, connections

from config.databases import statements
from config.databases.prepared import PreparedStatements
from tests.patience import PATIENCE_SECONDS

Session = psycopg.Connection[Any]


class Watch(Protocol):
    """Is called before and after each statement of a session; both calls may raise."""

    def before(self, session: Session, statement: str) -> None: ...

    def after(self, session: Session, statement: str) -> None: ...


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let ``watch`` see all statements of Django's sessions, in all threads, within the block."""
    execute, copy = statements.Cursor.execute, statements.Cursor.copy
    commit, fetch = psycopg.Connection.commit, PreparedStatements.fetch
    frequent_commit = PreparedStatements.commit

    def watched_execute(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        watch.before(cursor.connection, _text(query))
        result = execute(cursor, query, *args, **options)
        watch.after(cursor.connection, _text(query))
        return result

    def watched_fetch(prepared: PreparedStatements, query: str, parameters: Any) -> Any:
        watch.before(prepared.connection, _text(query))
        rows = fetch(prepared, query, parameters)
        watch.after(prepared.connection, _text(query))
        return rows

    @contextmanager
    def watched_copy(cursor: Any, query: Any, *args: Any, **options: Any) -> Iterator[Any]:
        watch.before(cursor.connection, _text(query))
        with copy(cursor, query, *args, **options) as rows:
            yield rows
        watch.after(cursor.connection, _text(query))

    def watched_commit(session: Session) -> None:
        watch.before(session, "COMMIT")
        commit(session)
        watch.after(session, "COMMIT")

    def watched_frequent_commit(prepared: PreparedStatements) -> None:
        last, prepared.last = prepared.last, []
        # One by one, so that a program can end between them.
        for statement in last:
            watched_fetch(prepared, *statement)
        watch.before(prepared.connection, "COMMIT")
        frequent_commit(prepared)
        watch.after(prepared.connection, "COMMIT")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements.Cursor, "execute", watched_execute)
        patch.setattr(statements.Cursor, "copy", watched_copy)
        patch.setattr(psycopg.Connection, "commit", watched_commit)
        patch.setattr(PreparedStatements, "fetch", watched_fetch)
        patch.setattr(PreparedStatements, "commit", watched_frequent_commit)
        yield


def _text(query: Any) -> str:
    return " ".join(str(query).split())[:80]


@contextmanager
def observer() -> Iterator[Session]:
    """Yield a session, in autocommit, that no watch sees."""
    parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    with psycopg.connect(**parameters, autocommit=True) as session:
        yield session


def close_all(session: Session) -> None:
    """Close the sessions of this process, and wait until the server has ended them."""
    connections.close_all()
    names = [str(other.settings_dict["NAME"]) for other in connections.all()]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while session.execute(
        "SELECT FROM pg_stat_activity WHERE datname = ANY(%s)"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        [names],
    ).fetchone():
        assert time.monotonic() < deadline, "a session lives on"
        time.sleep(0.001)
