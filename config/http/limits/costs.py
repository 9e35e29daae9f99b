"""A limit on the processor time that clients without a login take, by address.

Each process counts for itself, in memory: a refusal must cost less than a page, and must not need
the database.
"""

import math
import threading
import time

from django.conf import settings

_lock = threading.Lock()
# Milliseconds of processor time in the present period, by client.
_spent: dict[str, float] = {}
_period = 0


def wait_seconds(client: str) -> int:
    """Return the seconds until ``client`` may send its next request; 0 for now."""
    with _lock:
        now = _start_period()
        if _spent.get(client, 0.0) < settings.RATE_LIMIT_PROCESSOR_MS:
            return 0
    length = settings.RATE_LIMIT_SECONDS
    return max(1, math.ceil(length - now % length))


def add(client: str, seconds: float) -> None:
    """Count the processor time that a request of ``client`` took."""
    with _lock:
        _start_period()
        _spent[client] = _spent.get(client, 0.0) + 1_000 * seconds


def _start_period() -> float:
    """Forget all counts when a period ends. Returns the time in seconds."""
    global _period
    now = time.monotonic()
    period = int(now // settings.RATE_LIMIT_SECONDS)
    if period != _period:
        _period = period
        _spent.clear()
    return now
