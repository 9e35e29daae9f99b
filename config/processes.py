"""Programs that are kept running, and that never outlive whoever started them."""

import contextlib
import ctypes
import gc
import getpass
import os
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path

# Seconds before a program that ended is started again: the first time, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
# A program that ran for so many seconds was healthy: its next end counts as a first one.
HEALTHY_SECONDS = 60.0
# Seconds that a program has to finish what it is at when it is asked to stop.
STOP_SECONDS = 6.0

_PR_SET_PDEATHSIG = 1
# Loaded here, since between fork and exec nothing may be loaded.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


# Objects made between two looks of the garbage collector. With Python's 700 it took more than half
# of the time in which events are decoded: it went over all of a batch again and again.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_less() -> None:
    """Let the garbage collector leave alone what is loaded by now, and look less often.

    For processes that have loaded what they need and now work until they are stopped.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def login() -> str:
    """Who runs this process, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())


def die_with_parent(parent: int, *, signum: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send ``signum`` to this process when its parent, the pid ``parent``, ends.

    To the kernel the parent is the thread that started us: it should be the main one.
    """
    if _prctl(_PR_SET_PDEATHSIG, signum) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signum)


class Program:
    """A program in a session of its own, where the terminal's Ctrl-C doesn't reach it.

    It ends when the process that started it ends, even by SIGKILL.
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
        # Of the monotonic clock: when it last started, or is to start again.
        self._start = 0.0

    def start(self) -> None:
        us = os.getpid()
        self._start = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            pass_fds=self._pass_fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(us),
        )

    def ending(self) -> str:
        """How it ended, for a person to read; empty while it runs."""
        code = self._process.poll() if self._process else None
        if code is None:
            return ""
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def tend(self) -> str:
        """Start it again some time after it ended; call this often.

        Returns a line to show when it has just ended, or else nothing.
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
        """Wait for its end; then end by force what is left of it and of its own children."""
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            _kill_session(self._process.pid)
            self._process.wait()


def stop(programs: Collection[Program], *, seconds: float = STOP_SECONDS) -> None:
    """Stop all ``programs`` at once, by force those that need longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    for program in programs:
        program.ask_to_stop()
    for program in programs:
        program.wait_or_kill(seconds=max(0.0, deadline - time.monotonic()))


def _kill_session(leader: int) -> None:
    # A session's first process group has its leader's pid.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
