"""Keeps child programs running, divides work among children, and ends both with their parent."""

import contextlib
import ctypes
import gc
import getpass
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from django.db import connections

Task = TypeVar("Task")
Result = TypeVar("Result")

# Seconds before an ended program is started again: the first and the longest pause. Pauses double.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
# After so many seconds of running, the next end of a program counts as its first.
HEALTHY_SECONDS = 60.0
# Seconds that a program has to finish its work when it is asked to stop.
STOP_SECONDS = 6.0

# Set while this process stops: it answers requests, but says that it isn't ready.
is_leaving = threading.Event()

_PR_SET_PDEATHSIG = 1
# The connections of the parent process, which a child may neither use nor close.
_inherited: list[Any] = []
# Loaded at import: nothing may be loaded between fork and exec.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


# Objects created between two runs of the garbage collector. With Python's default of 700, the
# collector took more than half of the time of decoding events: each run visited the whole batch.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_less() -> None:
    """Exclude all objects loaded so far from garbage collection, and collect less often.

    Call this when a process begins to load its code, and again when it begins its work.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def login() -> str:
    """Return the name of the system account that runs this process, or its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # The account of a container may have no name.
        return str(os.getuid())


def die_with_parent(parent: int, *, signum: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send ``signum`` to this process when its parent, the pid ``parent``, ends.

    The kernel takes the thread that started this process for its parent: start processes in the
    main thread.
    """
    if _prctl(_PR_SET_PDEATHSIG, signum) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # the parent ended before the call
        os.kill(os.getpid(), signum)


class Program:
    """A child program that ends with the process that started it, even by SIGKILL.

    The program has a session of its own, which the terminal's Ctrl-C doesn't reach.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, cwd: Path, pass_fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self._command = command
        self._cwd = cwd
        self._pass_fds = pass_fds
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE
        # Time of the last start while the program runs, else of the next start (monotonic clock).
        self._start = 0.0

    def start(self) -> None:
        parent = os.getpid()
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            pass_fds=self._pass_fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),
        )

    @property
    def exit_code(self) -> int | None:
        """The exit code of an ended program, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else None

    def ending(self) -> str:
        """Return the exit code or signal of an ended program, for people; empty while it runs."""
        code = self.exit_code
        if code is None:
            return ""
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def keep_running(self) -> str:
        """Start the program again some time after it ended; call this method often.

        Returns a message for people when the program has just ended, or else nothing.
        """
        now = time.monotonic()
        if self._process is None:
            if now >= self._start:
                self.start()
            return ""
        ending = self.ending()
        if not ending:
            return ""
        _kill_session(self._process.pid)
        pause = FIRST_PAUSE if now - self._start > HEALTHY_SECONDS else self._pause
        self._process, self._start = None, now + pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return f"{self.name} ended ({ending}); starting it again in {pause:g} s."

    def ask_to_stop(self) -> None:
        if self._process:
            self._process.terminate()

    def wait_or_kill(self, *, seconds: float) -> None:
        """Wait for the end of the program, then kill all processes left in its session."""
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            _kill_session(self._process.pid)
            self._process.wait()


def stop(programs: Collection[Program], *, seconds: float = STOP_SECONDS) -> None:
    """Stop all ``programs`` at once; kill those that need longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    for program in programs:
        program.ask_to_stop()
    for program in programs:
        program.wait_or_kill(seconds=max(0.0, deadline - time.monotonic()))


def _kill_session(leader: int) -> None:
    # The first process group of a session has the pid of the session's leader.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


# --- Children that are forked for a part of the work -------------------------------------------
class ChildLostError(Exception):
    """A child process was killed: try again."""


def begin_child(parent: int) -> None:
    """Begin a child forked by the process ``parent``: it ends with that, and connects anew."""
    die_with_parent(parent)
    # Ctrl-C reaches this process too, but the parent decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection.connection)
        connection.connection = None


def run_in_children(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, count: int
) -> Iterator[Result]:
    """Yield the result of ``function`` for each of ``tasks``, as they are done.

    ``count`` child processes carry out the tasks; with 1, this process does. Tasks, results and
    errors are pickled. The process must have no other thread. Raises ChildLostError, and the errors
    of ``function``.
    """
    count = min(count, len(tasks))
    if count <= 1:
        yield from map(function, tasks)
        return
    pool = ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("fork"),
        initializer=begin_child,
        initargs=(os.getpid(),),
    )
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise ChildLostError(ChildLostError.__doc__) from error
    finally:
        pool.shutdown(cancel_futures=True)
