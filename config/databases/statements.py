"""Statements that were prepared before a migration changed the types of their columns.

psycopg prepares a statement from its second use on, for as long as the connection lasts. When a
migration changes the type of a column, the server refuses the prepared statement each time, until
the session forgets it.
"""

from typing import Any

import psycopg
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.pq import TransactionStatus

# The function of the server that refuses a plan with another result ("cached plan must not change
# result type"). The text of the message depends on the server's language.
_REFUSES_PLAN = "RevalidateCachedQuery"
# The SQL states of a prepared statement that the session doesn't have, or has already: a pooler
# has changed the session.
_LOST = {"26000", "42P05"}
# The SQL states of a statement that was prepared with parameters of the former types. A statement
# that was always wrong has them too.
_OTHER_TYPES = {"42804", "42883"}

# After these commands, psycopg lets the session forget all prepared statements.
_FORGETTING = ("ALTER", "DROP", "DEALLOCATE ALL", "DISCARD ALL")


def is_stale(error: BaseException) -> bool:
    """Return True if a prepared statement failed that will succeed when it is prepared anew.

    ``error`` is an error of psycopg, or of Django with such a cause.
    """
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.Error):
        return False
    return cause.sqlstate in _LOST or cause.diag.source_function == _REFUSES_PLAN


def may_be_stale(error: psycopg.Error) -> bool:
    """Return True if the statement of ``error`` may succeed when it is prepared anew."""
    return is_stale(error) or error.sqlstate in _OTHER_TYPES


class Cursor(ServerBindingCursor, psycopg.Cursor[Any]):
    """Prepares a stale statement anew and repeats it, where no other statement is lost by that.

    This is safe in autocommit, and for the first statement of a transaction. After any other
    statement, the owner of the transaction must begin again. The rollback forgets all prepared
    statements of the session.
    """

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        is_first = self.connection.info.transaction_status == TransactionStatus.IDLE
        try:
            return self._execute(query, params, **options)
        except psycopg.Error as error:
            if not (is_first and may_be_stale(error)):
                raise
        forget_all(self.connection)
        return self._execute(query, params, **options)

    def _execute(self, query: Any, params: Any, **options: Any) -> Any:
        result = super().execute(query, params, **options)
        frequent = getattr(self.connection, "frequent", None)
        if frequent and (self.statusmessage or "").startswith(_FORGETTING):
            frequent.forget()
        return result


def forget_all(connection: psycopg.Connection[Any]) -> None:
    """Let the session forget all prepared statements; a failed transaction is rolled back."""
    if connection.info.transaction_status == TransactionStatus.INERROR:
        # psycopg forgets the names of its statements, and lets the server forget all.
        connection.rollback()
    deallocate_all(connection)
    # The names of the frequent statements too, which the connections of Django have.
    if frequent := getattr(connection, "frequent", None):
        frequent.forget()


def deallocate_all(connection: psycopg.Connection[Any]) -> None:
    """Let the server and psycopg forget all prepared statements of a session that hasn't failed.

    Not by a cursor: psycopg looks at the result of a statement only when it is new to it, so that
    it would keep the names of its statements the second time.
    """
    connection.pgconn.exec_(b"DEALLOCATE ALL")
    connection._prepared.clear()
    connection._prepared._to_flush.clear()
