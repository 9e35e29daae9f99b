"""Doing things at the same moment, each in a thread and on connections of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connections

# PostgreSQL's own limit is 200 connections.
_AT_ONCE = 20
_PATIENCE_SECONDS = 60


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make all calls in parallel, at most 20 at a time; their results, or what they raised."""
    crowd = min(len(calls), _AT_ONCE)
    ready = Barrier(crowd)

    def run(number: int) -> list[Any]:
        try:
            ready.wait(_PATIENCE_SECONDS)
            return [_outcome(call) for call in calls[number::crowd]]
        finally:
            connections.close_all()

    results: list[Any] = [None] * len(calls)
    with ThreadPoolExecutor(crowd) as threads:
        for number, outcomes in enumerate(threads.map(run, range(crowd))):
            results[number::crowd] = outcomes
    return results


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error
