"""The threads of this process that wait for the answers of endpoints."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

# Threads of a process, and those that one endpoint may keep waiting.
_THREADS, _THREADS_OF_ENDPOINT = 16, 8

Result = TypeVar("Result")


class _Senders:
    """A pool of threads that never has more work than threads.

    Work that waited for a thread would lose its lease.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        # The number of busy threads by endpoint.
        self._busy: Counter[int] = Counter()

    def free_slots(self, endpoint: int) -> int:
        """Return the number of threads that may work for ``endpoint`` beside those that do."""
        with self._lock:
            of_endpoint = _THREADS_OF_ENDPOINT - self._busy[endpoint]
            return max(0, min(of_endpoint, _THREADS - self._busy.total()))

    def submit(
        self, endpoint: int, send: Callable[..., Result], *arguments: Any
    ) -> "Future[Result]":
        """Call ``send`` in a thread, which counts as busy for ``endpoint``."""
        if self._executor is None:
            # Made late: threads don't survive the fork of a worker.
            self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhooks")
        with self._lock:
            self._busy[endpoint] += 1
        future = self._executor.submit(send, *arguments)
        future.add_done_callback(lambda _future: self._release(endpoint))
        return future

    def _release(self, endpoint: int) -> None:
        with self._lock:
            self._busy[endpoint] -= 1


SENDERS = _Senders()
