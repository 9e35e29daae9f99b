"""Filling the slices of a generation in several processes at once."""

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any

from django.db import InterfaceError, OperationalError, connections

from config import processes
from ordering_read.engine import control
from ordering_read.engine import fill as filling
from ordering_read.engine.generations import GenerationError
from ordering_read.models import Projection

logger = logging.getLogger(__name__)

# Between two looks at the processes.
_LOOK_SECONDS = 0.2
# Tries of one batch when the database breaks off: deadlocks, lock timeouts, restarts.
_TRIES = 5
_SECONDS_BETWEEN_TRIES = 0.5
# How long a batch takes that is throttled: the databases are loaded evenly then, and what was done
# so far tells how long the rest takes.
_THROTTLED_SECONDS = 0.25

# Set in the process that fills: whether to stop after the batch.
_stop: Event
# The connections of the process that we were forked from: not ours to use, nor to close.
_inherited: list[Any] = []


class FillFailedError(GenerationError):
    """A process that filled a slice has failed."""

    def __init__(self, generation: Projection, reason: str) -> None:
        super().__init__(f"{generation}, can't be filled: {reason}. What is done stays: try again.")


def fill(
    generation: Projection, *, workers: int, batch: int, throttle: float | None
) -> Iterator[None]:
    """Fill what is left of the slices of ``generation``; yields often, so that others can look.

    ``workers`` processes do it, or this one where there is one slice. Together they apply at most
    ``throttle`` events a second. When the iteration is ended early, they end after their batch.

    Raises FillFailedError; in this process, what ``fill.fill_slice`` raises.
    """
    numbers = list(generation.slices.filter(is_done=False).values_list("number", flat=True))
    workers = min(workers, len(numbers))
    if throttle:
        batch = throttled(batch, throttle / max(workers, 1))
    if workers > 1:
        yield from _fill_in_processes(generation, numbers, workers, batch, throttle)
    else:
        for number in numbers:
            yield from _fill_slice(generation, number, batch, throttle)
    if generation.slices.exists():
        filling.finish(generation)


def throttled(batch: int, throttle: float) -> int:
    """How many events a batch has where a process may apply ``throttle`` of them in a second."""
    return max(1, min(batch, int(throttle * _THROTTLED_SECONDS)))


def _fill_in_processes(
    generation: Projection, numbers: list[int], workers: int, batch: int, throttle: float | None
) -> Iterator[None]:
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    share = throttle / workers if throttle else None
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(os.getpid(), stop)
    )
    with pool:
        futures = {pool.submit(_work, generation, number, batch, share) for number in numbers}
        try:
            while futures:
                done, futures = wait(futures, timeout=_LOOK_SECONDS, return_when=FIRST_EXCEPTION)
                _raise_failure(generation, done)
                yield
        finally:
            stop.set()


def _raise_failure(generation: Projection, done: set[Future[str]]) -> None:
    for future in done:
        try:
            reason = future.result()
        except BrokenProcessPool:
            reason = "one of the processes was killed"
        if reason:
            raise FillFailedError(generation, reason)


def _begin(parent: int, stop: Event) -> None:
    global _stop
    processes.die_with_parent(parent)
    # Ctrl-C reaches us too, but whoever started us says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stop = stop
    for each in connections.all(initialized_only=True):
        _inherited.append(each.connection)
        each.connection = None


def _work(generation: Projection, number: int, batch: int, throttle: float | None) -> str:
    """Fill one slice; returns why it failed, since not every exception can be sent."""
    try:
        for _ in _fill_slice(generation, number, batch, throttle):
            control.obey(generation, is_over=_stop.is_set)
            if _stop.is_set():
                break
    except control.RebuildCancelledError:
        # Whoever started us sees it too.
        return ""
    except Exception as error:
        logger.exception("A slice can't be filled.")
        return f"{type(error).__name__}: {error}"
    return ""


def _fill_slice(
    generation: Projection, number: int, batch: int, throttle: float | None
) -> Iterator[None]:
    tries = 0
    if throttle:
        # For the first batch: what is done is never more than the time allows.
        time.sleep(batch / throttle)
    while True:
        began = time.monotonic()
        try:
            for events in filling.fill_slice(generation, number, batch=batch):
                tries = 0
                yield
                if throttle:
                    time.sleep(max(0.0, events / throttle - (time.monotonic() - began)))
                    began = time.monotonic()
            return
        except (OperationalError, InterfaceError):
            tries += 1
            if tries == _TRIES:
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES * tries)
            for each in connections.all(initialized_only=True):
                each.close_if_unusable_or_obsolete()
