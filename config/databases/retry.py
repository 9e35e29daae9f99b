"""Faults of a database that pass: which they are, and trying again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, InternalError, OperationalError, connections

Result = TypeVar("Result")

# Tries of one transaction when the database breaks off: deadlocks, lock timeouts, restarts.
_TRIES = 3
_SECONDS_BETWEEN_TRIES = 0.2

# Among the internal errors: the server became a standby; a session or a transaction timed out.
_PASSING_STATES = {"25006", "25P03", "25P04"}


def is_transient(error: BaseException) -> bool:
    """Whether the database is at fault, for now, and not what it was asked to do."""
    if isinstance(error, InternalError):
        return getattr(error.__cause__, "sqlstate", None) in _PASSING_STATES
    return isinstance(error, (OperationalError, InterfaceError))


def on_transient_errors(act: Callable[[], Result]) -> Result:
    """The result of ``act``, a transaction, which is tried again when a fault that passes breaks
    it off; raises the last one."""
    for _ in range(_TRIES - 1):
        try:
            return act()
        except Exception as error:
            if not is_transient(error):
                raise
        drop_broken_connections()
        # By chance, so that two that met in a deadlock don't meet again.
        time.sleep(_SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.5))
    return act()


def drop_broken_connections() -> None:
    """Let the next statement connect anew where the connection was lost."""
    for each in connections.all(initialized_only=True):
        # In a transaction there is nothing to save: whoever opened it must begin anew.
        if not each.in_atomic_block:
            each.close_if_unusable_or_obsolete()
