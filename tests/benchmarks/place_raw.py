"""A contestant: sends the statements of the service's dispatches again, by psycopg alone.

The dispatches are recorded on the database of DATABASE_URL while a round is prepared. COPY_URL
leads to a copy of that database, from before, where they are sent again.
"""

import os
from typing import Any

import django
import psycopg
from django.db import connection

from config.databases.prepared import PreparedStatements
from tests.benchmarks.contestant import serve

_Statement = tuple[Any, Any, bool]
# Stands for a commit among the statements.
_COMMIT = "COMMIT"


class Recorder:
    """Records the statements of Django's connection, with their commits."""

    def __init__(self) -> None:
        self.statements: list[_Statement] = []
        self._execute = psycopg.Cursor.execute
        self._commit = psycopg.Connection.commit
        self._fetch = PreparedStatements.fetch
        self._frequent_commit = PreparedStatements.commit

    def __enter__(self) -> None:
        recorder = self

        def execute(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
            if cursor.connection is connection.connection:
                recorder.statements.append((query, params, cursor.connection.autocommit))
            return recorder._execute(cursor, query, params, **options)

        def fetch(statements: Any, query: str, params: Any) -> Any:
            own = statements.connection
            if own is connection.connection:
                recorder.statements.append((query, params, own.autocommit))
            return recorder._fetch(statements, query, params)

        def commit(committing: Any) -> None:
            if committing is connection.connection:
                recorder.statements.append((_COMMIT, None, False))
            recorder._commit(committing)

        def frequent_commit(statements: Any) -> None:
            if statements.connection is connection.connection:
                recorder.statements += [(*statement, False) for statement in statements.last]
                recorder.statements.append((_COMMIT, None, False))
                recorder.statements += [(*statement, True) for statement in statements.after_commit]
            recorder._frequent_commit(statements)

        psycopg.Cursor.execute = execute  # type: ignore[assignment]
        psycopg.Connection.commit = commit  # type: ignore[method-assign,assignment]
        PreparedStatements.fetch = fetch  # type: ignore[method-assign,assignment]
        PreparedStatements.commit = frequent_commit  # type: ignore[method-assign,assignment]

    def __exit__(self, *_error: object) -> None:
        psycopg.Cursor.execute = self._execute  # type: ignore[method-assign]
        psycopg.Connection.commit = self._commit  # type: ignore[method-assign]
        PreparedStatements.fetch = self._fetch  # type: ignore[method-assign]
        PreparedStatements.commit = self._frequent_commit  # type: ignore[method-assign]


def main() -> None:
    django.setup()
    from tests.benchmarks.shop import Shop

    recorder = Recorder()
    copy = psycopg.connect(os.environ["COPY_URL"], prepare_threshold=2, options="-c TimeZone=UTC")
    with recorder:
        shop = Shop()

    def prepare(orders: int) -> None:
        with recorder:
            shop.place(orders)

    def run(_orders: int) -> None:
        cursor = copy.cursor()
        for query, params, autocommit in recorder.statements:
            if query == _COMMIT:
                copy.commit()
                continue
            if autocommit != copy.autocommit:
                copy.autocommit = autocommit
            cursor.execute(query, params)
            if cursor.description:
                cursor.fetchall()
        recorder.statements.clear()

    run(0)
    serve(run, prepare=prepare)


if __name__ == "__main__":
    main()
