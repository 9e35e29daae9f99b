"""Frequent statements, prepared and run by libpq without a cursor.

The cursors of Django and psycopg take four times as long for a short statement as libpq with
psycopg's adapters, and each request of the API runs a few such statements.
"""

import logging
import re
import select
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

import psycopg
from django.db import connections
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer

from config.databases.statements import deallocate_all

Parameters = Sequence[Any] | Mapping[str, Any]
Statement = tuple[str, Parameters]

logger = logging.getLogger(__name__)

# Statements that a connection keeps, as many as psycopg keeps of its own.
_KEPT = 100
_PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


def fetch(alias: str, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    """Return the rows of a frequent ``statement``, as a cursor of this database returns them."""
    rows: list[tuple[Any, ...]] = connections[alias].fetch(statement, parameters)  # type: ignore[attr-defined]
    return rows


def run_last(alias: str, statement: str, parameters: Parameters) -> None:
    """Run ``statement`` as the last one of the transaction, in one trip with COMMIT.

    Its errors are raised at the end of the transaction. Within another transaction, and where
    frequent statements have a cursor, it runs now.
    """
    connections[alias].run_last(statement, parameters)  # type: ignore[attr-defined]


def run_after_commit(alias: str, statement: str, parameters: Parameters) -> None:
    """Run ``statement`` after the COMMIT of this transaction, in one trip with it.

    An error is logged: the transaction has taken effect.
    """
    connections[alias].run_after_commit(statement, parameters)  # type: ignore[attr-defined]


class _Bound(NamedTuple):
    """A prepared statement with its parameters, as libpq sends it."""

    name: bytes
    arguments: Any
    formats: Any


class PreparedStatements:
    """The statements that a connection has prepared, those used last at the end."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        # The names of the statements, by their texts and the types of their parameters.
        self._names: OrderedDict[tuple[str, tuple[int, ...]], bytes] = OrderedDict()
        self._numbers = count()
        # Keeps the dumpers and loaders that it has looked up.
        self._adapters = Transformer(connection)
        self._input = select.poll()
        self._input.register(connection.fileno(), select.POLLIN)
        # Statements that wait for COMMIT, to run before or after it.
        self.last: list[Statement] = []
        self.after_commit: list[Statement] = []

    @property
    def is_usable(self) -> bool:
        """True unless a pooler lends the session, or the transaction has failed."""
        if self.connection.prepare_threshold is None:
            return False
        status = self.connection.pgconn.transaction_status
        return status in (pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS)

    @property
    def is_outside(self) -> bool:
        """True before the first statement of a transaction, and in autocommit."""
        return self.connection.pgconn.transaction_status == pq.TransactionStatus.IDLE

    @property
    def is_unused(self) -> bool:
        """True if the transaction has no statement, and none waits for its COMMIT."""
        return self.is_outside and not self.last

    def fetch(self, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Return the rows of ``statement``, which begins the transaction if there is none.

        Raises the errors of psycopg.
        """
        begin = self._begin()
        bound = self._bind(statement, parameters)
        if begin:
            messages: list[bytes | _Bound] = [*begin, bound]
            began, result = self._exchange(messages)
            self._check(began)
        else:
            result = self.connection.pgconn.exec_prepared(*bound)
        self._check(result)
        self._adapters.set_pgresult(result)
        return self._adapters.load_rows(0, result.ntuples, tuple)

    def commit(self) -> None:
        """Commit, with the statements that wait for it, in one trip.

        Raises the errors of psycopg. An error after COMMIT is logged.
        """
        last, after = self.last, self.after_commit
        self.last, self.after_commit = [], []
        bound = [self._bind(*statement) for statement in last]
        until_commit: list[bytes | _Bound] = [*self._begin(), *bound, b"COMMIT"]
        results = self._exchange([*until_commit, *(self._bind(*statement) for statement in after)])
        for result in results[: len(until_commit)]:
            self._check(result)
        try:
            for result in results[len(until_commit) :]:
                self._check(result)
        except psycopg.Error:
            logger.exception("A statement after COMMIT has failed.")

    def forget(self) -> None:
        """Prepare all statements anew: the server has forgotten some, or refuses their plans."""
        self._names.clear()

    def roll_back(self) -> None:
        """Forget the statements that wait for COMMIT. Call this after a rollback."""
        self.last, self.after_commit = [], []
        self.deallocate()

    def deallocate(self) -> None:
        """Let the server forget all statements. Call this after a rollback, also to a savepoint,
        when psycopg has let the server forget its own, and with them maybe these."""
        if self._names and not self.connection.closed:
            deallocate_all(self.connection)
        self.forget()

    def _begin(self) -> Sequence[bytes]:
        """Return the message that must precede a statement, if any."""
        return [b"BEGIN"] if self.is_outside and not self.connection.autocommit else []

    def _bind(self, statement: str, parameters: Parameters) -> _Bound:
        text, names = _numbered(statement)
        if isinstance(parameters, Mapping):
            parameters = [parameters[name] for name in names]
        adapters = self._adapters
        arguments = adapters.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        key = (statement, adapters.types or ())
        name = self._names.get(key) or self._prepare(key, text)
        self._names.move_to_end(key)
        return _Bound(name, arguments, adapters.formats)

    def _prepare(self, key: tuple[str, tuple[int, ...]], text: bytes) -> bytes:
        if len(self._names) >= _KEPT:
            _, oldest = self._names.popitem(last=False)
            self.connection.pgconn.exec_(b"DEALLOCATE " + oldest)
        name = b"frequent_%d" % next(self._numbers)
        self._check(self.connection.pgconn.prepare(name, text, key[1]))
        self._names[key] = name
        return name

    def _exchange(self, messages: Sequence[bytes | _Bound]) -> list[Any]:
        """Send ``messages`` together, and return their results.

        After one that fails, the server passes over the others.
        """
        session = self.connection.pgconn
        try:
            session.enter_pipeline_mode()
            for message in messages:
                if isinstance(message, bytes):
                    session.send_query_params(message, None)
                else:
                    session.send_query_prepared(*message)
            session.pipeline_sync()
            # None follows each result; the last result is that of the synchronisation.
            results = [self._result() for _ in range(2 * len(messages) + 1)]
            session.exit_pipeline_mode()
        except BaseException:
            # The next statement would get the results of these.
            self.connection.close()
            raise
        return results[:-1:2]

    def _result(self) -> Any:
        session = self.connection.pgconn
        # libpq would wait without giving the interpreter away.
        while session.is_busy():
            self._input.poll()
            session.consume_input()
        return session.get_result()

    def _check(self, result: Any) -> None:
        if result.status in _DONE:
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
