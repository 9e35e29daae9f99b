"""A django-q2 cluster under supervision, which recovers from the death of any of its processes.

django-q2's own cluster replaces a killed worker, but not the lock of the queue that the worker may
have held: then all workers wait for ever. Here the death of one process ends the whole cluster, and
a new cluster is started. No work is lost, because the checkpoints record it. No process outlives
its parent.
"""

import contextlib
import logging
import os
import signal
import time
import uuid
from types import FrameType
from typing import Any

import django.db
from django.db import connections
from django_q import cluster
from django_q.conf import Conf

from config import processes
from config.workers import (
    ownership,
    tasks,  # noqa: F401 (loaded once, before the workers are forked)
)
from ordering_read.engine import status

logger = logging.getLogger(__name__)

# Seconds that the workers have to finish their batches when the cluster is asked to stop.
_STOP_SECONDS = 4.0
# Seconds between two starts at least, so that a cluster that can't start doesn't busy the machine.
_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.05


def run(*, workers: int) -> None:
    """Keep a cluster with this number of workers running, until SIGTERM or SIGINT."""
    Conf.WORKERS = Conf.QUEUE_LIMIT = workers
    processes.collect_less()
    _end_with_parent_after_fork()
    Supervisor().run()


class Supervisor:
    """Starts a cluster, starts it again when it ends, and stops it on a signal."""

    def __init__(self) -> None:
        self._context = cluster.get_mp_context()
        self._is_stopping = False
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_stop)
        signal.signal(signal.SIGALRM, self._on_overtime)

    def run(self) -> None:
        while not self._is_stopping:
            earliest_next = time.monotonic() + _PAUSE_SECONDS
            self._run_once()
            if not self._is_stopping:
                logger.warning("The workers ended and are started again.")
                time.sleep(max(0.0, earliest_next - time.monotonic()))

    def _run_once(self) -> None:
        """Run one cluster until it ends."""
        # New multiprocessing events for each cluster: a killed process never frees their locks.
        stop, start = self._context.Event(), self._context.Event()
        connections.close_all()
        sentinel = self._context.Process(
            target=Sentinel, args=(stop, start, uuid.uuid4()), name="sentinel"
        )
        sentinel.start()
        while sentinel.is_alive():
            if self._is_stopping:
                stop.set()
                sentinel.join()
            sentinel.join(_LOOK_SECONDS)
        _forget(sentinel.pid)

    def _on_stop(self, signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        signal.setitimer(signal.ITIMER_REAL, _STOP_SECONDS)

    def _on_overtime(self, signum: int, frame: FrameType | None) -> None:
        # Unfinished batches are rolled back. The processes of the cluster end with this one.
        os._exit(0)


class Sentinel(cluster.Sentinel):
    """Watches the processes of a cluster, and ends all of them if one is killed."""

    def start(self) -> None:
        # The signal comes even while this process waits for a lock that the killed process held.
        signal.signal(signal.SIGCHLD, self._on_child_ended)
        super().start()

    def reincarnate(self, process: Any) -> None:
        # A worker that timed out still runs and has no exit code.
        if process.exitcode != 0:
            self._end(process)
        super().reincarnate(process)

    def _on_child_ended(self, signum: int, frame: FrameType | None) -> None:
        for process in (*self.pool, self.monitor, self.pusher):
            if process is not None and process.pid and _was_killed(process.pid):
                self._end(process)

    def _end(self, process: Any) -> None:
        logger.warning("Process %d of the workers was killed or hangs.", process.pid)
        os._exit(1)


def _forget(pid: int) -> None:
    """Delete the heartbeat of a cluster whose end is known, so that nobody is warned of it."""
    with contextlib.suppress(django.db.Error):
        status.forget_worker(pid)
        if not status.workers_seen():
            ownership.release()
    connections.close_all()


def _was_killed(child: int) -> bool:
    try:
        # WNOWAIT leaves the exit status to the parent's own wait.
        status = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return status is not None and status.si_code in (os.CLD_KILLED, os.CLD_DUMPED)


def _end_with_parent_after_fork() -> None:
    """End each process that this process or a descendant forks from now on with its parent."""
    parent = os.getpid()

    def remember() -> None:
        nonlocal parent
        parent = os.getpid()

    def begin() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        processes.die_with_parent(parent)

    os.register_at_fork(before=remember, after_in_child=begin)
