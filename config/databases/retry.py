"""Transient errors of a database: which errors they are, and retries after them."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from django.db import InterfaceError, InternalError, OperationalError, connections

from config.databases import statements

Result = TypeVar("Result")

# Tries of one transaction in all; deadlocks, lock timeouts and restarts of the server pass soon.
_TRIES = 3
_SECONDS_BETWEEN_TRIES = 0.2

# The SQL states of transient internal errors: the server became a standby; a session or a
# transaction timed out.
_TRANSIENT_STATES = {"25006", "25P03", "25P04"}


def is_transient(error: BaseException) -> bool:
    """Return True if the database caused the error and a retry may succeed."""
    if isinstance(error, InternalError):
        cause = error.__cause__
        if not isinstance(cause, psycopg.InternalError):
            return False
        # Without a state, psycopg got a response that fits no statement: a pooler lost its server.
        return cause.sqlstate is None or cause.sqlstate in _TRANSIENT_STATES
    return isinstance(error, (OperationalError, InterfaceError)) or statements.is_stale(error)


def on_transient_errors(act: Callable[[], Result]) -> Result:
    """Return the result of ``act``, a transaction, and retry it after transient errors.

    Raises the last of these errors.
    """
    for _ in range(_TRIES - 1):
        try:
            return act()
        except Exception as error:
            if not is_transient(error):
                raise
        drop_broken_connections()
        # A random pause, so that two transactions in a deadlock don't collide again.
        time.sleep(_SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.5))
    return act()


def drop_broken_connections() -> None:
    """Close lost connections, so that the next statement opens new ones."""
    for connection in connections.all(initialized_only=True):
        # A transaction can't continue on another connection: its owner must begin again.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
