"""Frequent statements, prepared and run by libpq without a cursor.

The cursors of Django and psycopg take four times as long for a short statement as libpq with
psycopg's adapters, and each request of the API runs a few such statements.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import psycopg
from django.db import connections
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer

Parameters = Sequence[Any] | Mapping[str, Any]

# Statements that a connection keeps, as many as psycopg keeps of its own.
_KEPT = 100
_PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")


def fetch(alias: str, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    """Return the rows of a frequent ``statement``, as a cursor of this database returns them."""
    rows: list[tuple[Any, ...]] = connections[alias].fetch(statement, parameters)  # type: ignore[attr-defined]
    return rows


class PreparedStatements:
    """The statements that a connection has prepared, those used last at the end."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        # The names of the statements, by their texts and the types of their parameters.
        self._names: OrderedDict[tuple[str, tuple[int, ...]], bytes] = OrderedDict()
        self._numbers = count()
        # Keeps the dumpers and loaders that it has looked up.
        self._adapters = Transformer(connection)

    @property
    def is_usable(self) -> bool:
        """True unless psycopg must begin a transaction first, or a pooler lends the session."""
        connection = self.connection
        if connection.prepare_threshold is None:
            return False
        status = connection.pgconn.transaction_status
        if status == pq.TransactionStatus.IDLE:
            return connection.autocommit
        return status == pq.TransactionStatus.INTRANS

    def fetch(self, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Return the rows of ``statement``. Raises the errors of psycopg."""
        text, names = _numbered(statement)
        if isinstance(parameters, Mapping):
            parameters = [parameters[name] for name in names]
        adapters = self._adapters
        arguments: Any = adapters.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        key = (statement, adapters.types or ())
        name = self._names.get(key) or self._prepare(key, text)
        self._names.move_to_end(key)
        result = self.connection.pgconn.exec_prepared(name, arguments, adapters.formats)
        self._check(result)
        adapters.set_pgresult(result)
        return adapters.load_rows(0, result.ntuples, tuple)

    def forget(self) -> None:
        """Prepare all statements anew: the server has forgotten some, or refuses their plans."""
        self._names.clear()

    def deallocate(self) -> None:
        """Let the server forget all statements. Call this after a rollback, when psycopg has let
        the server forget its own, and with them maybe these."""
        if self._names and not self.connection.closed:
            self.connection.pgconn.exec_(b"DEALLOCATE ALL")
        self.forget()

    def _prepare(self, key: tuple[str, tuple[int, ...]], text: bytes) -> bytes:
        if len(self._names) >= _KEPT:
            _, oldest = self._names.popitem(last=False)
            self.connection.pgconn.exec_(b"DEALLOCATE " + oldest)
        name = b"frequent_%d" % next(self._numbers)
        self._check(self.connection.pgconn.prepare(name, text, key[1]))
        self._names[key] = name
        return name

    def _check(self, result: Any) -> None:
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return
        if self.connection.closed:
            # Without a state, the class of the error wouldn't say that the connection is lost.
            raise psycopg.OperationalError(result.get_error_message())
        raise errors.error_from_result(result)


@lru_cache(maxsize=1_000)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """Return ``statement`` with PostgreSQL's placeholders, and the names of its parameters by their
    numbers; no names if the parameters are a sequence."""
    names: list[str] = []
    positions = count(1)

    def placeholder(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match[1]
        if name is None:
            return f"${next(positions)}"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PLACEHOLDER.sub(placeholder, statement).encode(), tuple(names)
