"""How many commands ended how, and how long they took: counted in memory, then in a table.

A refused command leaves nothing in the database, so its transaction can't count it; and a row that
every command updates would make them queue up. So each process counts by itself and adds what it
has counted to the table now and then. A crash loses what was counted since.
"""

import atexit
import os
import threading
import time
from enum import StrEnum
from functools import cache

import psycopg
from django.db import connection

# Between two additions to the table; the most that a crash loses.
_SECONDS = 2.0

_ADD = """
INSERT INTO command_tally (type, outcome, reason, count, seconds)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::float8[])
ON CONFLICT (type, outcome, reason) DO UPDATE SET
    count = command_tally.count + excluded.count,
    seconds = command_tally.seconds + excluded.seconds
"""


class Ending(StrEnum):
    """What can come of a command."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    REFUSED = "refused"
    FAILED = "failed"


_lock = threading.Lock()
_counted: dict[tuple[str, str, str], tuple[int, float]] = {}


def count(kind: str, ending: Ending, *, reason: str, seconds: float) -> None:
    """Count a command of this type that ended so; ``reason`` is the name of its error, if any."""
    _add((kind, ending.value, reason), 1, seconds)
    _keep_flushing()


def flush() -> None:
    """Add what this process has counted to the table; keep it for later when that fails."""
    with _lock:
        counted = dict(_counted)
        _counted.clear()
    if not counted:
        return
    # Sorted, so that two processes don't lock the rows crosswise.
    rows = sorted((*key, *sums) for key, sums in counted.items())
    try:
        # Django's own way to connect would start an embedded server that was just stopped.
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as own:
            own.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])
    except psycopg.Error:
        for key, sums in counted.items():
            _add(key, *sums)


def _add(key: tuple[str, str, str], number: int, seconds: float) -> None:
    with _lock:
        numbers, total = _counted.get(key, (0, 0.0))
        _counted[key] = (numbers + number, total + seconds)


@cache
def _keep_flushing() -> None:
    """See to it that this process flushes from now on, and when it ends."""
    atexit.register(flush)
    threading.Thread(target=_flush_for_ever, name="tally", daemon=True).start()


def _flush_for_ever() -> None:
    while True:
        time.sleep(_SECONDS)
        flush()


def _begin_anew() -> None:
    """In a process that was forked: what its parent counted is the parent's, and so is the
    thread."""
    global _lock
    _lock = threading.Lock()
    _counted.clear()
    _keep_flushing.cache_clear()


os.register_at_fork(after_in_child=_begin_anew)
