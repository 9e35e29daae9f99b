"""Command metrics: counts and durations of commands by outcome, in memory and then in a table.

A refused command leaves nothing in the database, so its transaction can't count it; and a row that
every command updates would make commands queue up. Each process therefore counts by itself and adds
its counts to the table every two seconds. A crash loses the counts since the last flush.
"""

import atexit
import os
import threading
import time
from enum import StrEnum
from functools import cache

import psycopg
from django.db import connection

_SECONDS_BETWEEN_FLUSHES = 2.0

_ADD = """
INSERT INTO command_tally (type, outcome, reason, count, seconds)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::float8[])
ON CONFLICT (type, outcome, reason) DO UPDATE SET
    count = command_tally.count + excluded.count,
    seconds = command_tally.seconds + excluded.seconds
"""


class CommandOutcome(StrEnum):
    """The end of a command."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    REFUSED = "refused"
    FAILED = "failed"


_lock = threading.Lock()
# By type, outcome and reason: the number of commands and their seconds.
_counts: dict[tuple[str, str, str], tuple[int, float]] = {}


def count(command_type: str, outcome: CommandOutcome, *, reason: str, seconds: float) -> None:
    """Count one command; ``reason`` is the name of its error, empty without one."""
    _add((command_type, outcome.value, reason), 1, seconds)
    _keep_flushing()


def flush() -> None:
    """Add the counts of this process to the table; keep them for later if that fails."""
    with _lock:
        counts = dict(_counts)
        _counts.clear()
    if not counts:
        return
    # Sorted, so that two processes don't lock the rows crosswise.
    rows = sorted((*key, *sums) for key, sums in counts.items())
    try:
        # Django's own way to connect would start an embedded server that was just stopped.
        with psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
            session.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])
    except psycopg.Error:
        for key, sums in counts.items():
            _add(key, *sums)


def _add(key: tuple[str, str, str], number: int, seconds: float) -> None:
    with _lock:
        old_number, old_seconds = _counts.get(key, (0, 0.0))
        _counts[key] = (old_number + number, old_seconds + seconds)


@cache
def _keep_flushing() -> None:
    """Flush from now on in a thread, and when this process ends."""
    atexit.register(flush)
    threading.Thread(target=_flush_for_ever, name="command metrics", daemon=True).start()


def _flush_for_ever() -> None:
    while True:
        time.sleep(_SECONDS_BETWEEN_FLUSHES)
        flush()


def _start_over() -> None:
    """Forget the counts and the thread in a forked process: both belong to its parent."""
    global _lock
    _lock = threading.Lock()
    _counts.clear()
    _keep_flushing.cache_clear()


os.register_at_fork(after_in_child=_start_over)
