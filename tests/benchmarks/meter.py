"""Measures what a page costs: the processor time of this process and of its PostgreSQL backends."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import psutil
from django.db import connections


class Cost(NamedTuple):
    """Milliseconds of processors and of the clock, and the bytes of the answer as it is sent."""

    processor: float
    clock: float
    size: int


def cost(page: Callable[[], bytes], aliases: Iterable[str]) -> Cost:
    """Return what ``page`` costs, with the backends of these databases and their helpers."""
    pids = [connections[alias].connection.info.backend_pid for alias in aliases]
    clock, processor = time.perf_counter(), _seconds(pids)
    size = len(page())
    return Cost(1_000 * (_seconds(pids) - processor), 1_000 * (time.perf_counter() - clock), size)


def _seconds(pids: Iterable[int]) -> float:
    server = psutil.Process(next(iter(pids))).parent()
    # Parallel workers of a query are children of the server, and have ended after the query.
    helpers = server.cpu_times().children_user + server.cpu_times().children_system
    # The first figure is in nanoseconds; other files of /proc count in steps of 10 ms.
    backends = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids)
    return time.process_time() + backends / 1e9 + helpers
