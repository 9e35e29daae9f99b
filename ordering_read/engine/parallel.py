"""Fills the slices of a generation in several processes at once."""

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event

from config import processes
from config.databases import retry
from ordering_read.engine import control
from ordering_read.engine import fill as filling
from ordering_read.engine.generations import GenerationError
from ordering_read.models import Projection

logger = logging.getLogger(__name__)

# The interval at which ``fill`` yields to its caller.
_SECONDS_BETWEEN_LOOKS = 0.2
# Tries of one batch after transient errors: deadlocks, lock timeouts, restarts.
_TRIES = 5
_SECONDS_BETWEEN_TRIES = 0.5
# The duration of a throttled batch. Short batches load the databases evenly, and make the estimate
# of the remaining time steady.
_THROTTLED_SECONDS = 0.25

# Tells a child process to stop after its batch; defined in child processes only.
_stop: Event


class FillFailedError(GenerationError):
    """A process that filled a slice has failed."""

    def __init__(self, generation: Projection, reason: str) -> None:
        super().__init__(f"{generation}, can't be filled: {reason}. Try again: written rows stay.")


def fill(
    generation: Projection, *, workers: int, batch: int, throttle: float | None
) -> Iterator[None]:
    """Fill the unfinished slices of ``generation``; yields often, so that the caller can report
    progress and pause.

    ``workers`` child processes fill the slices; a single slice is filled in this process. Together
    the processes apply at most ``throttle`` events a second. Closing the iterator ends the child
    processes after their batch.

    Raises FillFailedError, or the errors of ``fill_slice`` when this process fills the slice.
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
    """Return the batch size of a process that may apply ``throttle`` events a second, at most
    ``batch``."""
    return max(1, min(batch, int(throttle * _THROTTLED_SECONDS)))


def _fill_in_processes(
    generation: Projection, numbers: list[int], workers: int, batch: int, throttle: float | None
) -> Iterator[None]:
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    share = throttle / workers if throttle else None
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_child, initargs=(os.getpid(), stop)
    )
    with pool:
        futures = {pool.submit(_run_child, generation, number, batch, share) for number in numbers}
        try:
            while futures:
                done, futures = wait(
                    futures, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_EXCEPTION
                )
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


def _begin_child(parent: int, stop: Event) -> None:
    global _stop
    _stop = stop
    processes.begin_child(parent)


def _run_child(generation: Projection, number: int, batch: int, throttle: float | None) -> str:
    """Fill one slice; returns the reason of a failure as text, since some exceptions can't be
    pickled."""
    try:
        for _ in _fill_slice(generation, number, batch, throttle):
            control.wait_while_paused(generation, is_over=_stop.is_set)
            if _stop.is_set():
                break
    except control.RebuildCancelledError:
        # The parent notices the request too.
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
        # Sleep before the first batch too: the rate is never above the throttle.
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
        except Exception as error:
            tries += 1
            if tries == _TRIES or not retry.is_transient(error):
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES * tries)
            retry.drop_broken_connections()
