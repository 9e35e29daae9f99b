"""Parallel calls, each in a thread with connections of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connections

from tests.patience import PATIENCE_SECONDS

# Each thread has two connections, of the 500 that the embedded server allows.
_MOST_THREADS = 20


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make all calls in parallel, at most 20 at a time; return their results or exceptions."""
    count = min(len(calls), _MOST_THREADS)
    barrier = Barrier(count)

    def run(number: int) -> list[Any]:
        try:
            barrier.wait(PATIENCE_SECONDS)
            return [_outcome(call) for call in calls[number::count]]
        finally:
            connections.close_all()

    results: list[Any] = [None] * len(calls)
    with ThreadPoolExecutor(count) as threads:
        for number, outcomes in enumerate(threads.map(run, range(count))):
            results[number::count] = outcomes
    return results


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error
