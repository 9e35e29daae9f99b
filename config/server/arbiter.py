"""The arbiter of gunicorn, which goes over to new code without a pause in the answers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from gunicorn import arbiter, sock

from config import logs
from config.fields.names import RegistrationError
from config.processes import die_with_parent

# Signal that asks a worker to leave its clients to the workers of newer code.
RETIRE = signal.SIGUSR2

# Variables from an arbiter to the one that takes its place: pids of workers, file descriptors.
_FORMER_WORKERS = "ORDERS_FORMER_WORKERS"
_LISTENERS = "ORDERS_LISTENERS"
# gunicorn reaps all children of the arbiter, so that the exit code of a trial would be lost: the
# shell says that the code was loaded.
_LOADED = b"loaded\n"
_SAY_LOADED = '"$@" >&2 && echo loaded'


class Trial:
    """A process that tries to load the code on the disk, with the settings in ``folder``."""

    def __init__(self, folder: str) -> None:
        parent = os.getpid()
        self._result: bool | None = None
        self._output, written = os.pipe()
        os.set_blocking(self._output, False)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SAY_LOADED, "sh", *_command(), "--check-config"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=written,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),
        )
        os.close(written)

    def result(self) -> bool | None:
        """Return True if the code could be loaded, and None while the trial goes on."""
        if self._result is None:
            with suppress(BlockingIOError):
                self._result = os.read(self._output, len(_LOADED)) == _LOADED
        return self._result

    def end(self) -> None:
        os.close(self._output)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class Arbiter(arbiter.Arbiter):
    """Starts, supervises and stops the workers; at SIGHUP, goes over to the code on the disk.

    Another process tries to load that code first. If it can, the arbiter executes its command
    anew: it keeps its pid, its sockets and its children, loads the code, starts workers, and asks
    the former ones to retire. Meanwhile the former workers answer. gunicorn's own reload starts
    workers with the modules that the arbiter has loaded already, and stops the former ones before
    the new ones can answer.
    """

    def __init__(self, app: Any) -> None:
        self._trial: Trial | None = None
        self._former = {int(pid) for pid in _popped(_FORMER_WORKERS)}
        super().__init__(app)

    def setup(self, app: Any) -> None:
        try:
            super().setup(app)
        except (ImproperlyConfigured, RegistrationError) as error:
            logs.end_with(f"{error}")

    def start(self) -> None:
        if files := [int(number) for number in _popped(_LISTENERS)]:
            self.LISTENERS = sock.create_sockets(self.cfg, self.log, files)
        super().start()

    def init_signals(self) -> None:
        super().init_signals()
        # Signals that came while the code was loaded arrive now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def handle_hup(self) -> None:
        """Try to load the code on the disk, in another process."""
        self._end_trial()
        self._trial = Trial(self.cfg.chdir)

    def manage_workers(self) -> None:
        # Called at least once a second, and at the end of each child.
        super().manage_workers()
        self._former = {pid for pid in self._former if not _has_ended(pid)}
        is_loadable = self._trial.result() if self._trial else None
        if is_loadable:
            self._execute_anew()
        elif is_loadable is False:
            self._end_trial()
            self.log.error("The new code can't be loaded. The former code goes on.")

    def spawn_workers(self) -> None:
        super().spawn_workers()
        _send(RETIRE, self._former)

    def kill_workers(self, sig: int) -> None:
        super().kill_workers(sig)
        _send(sig, self._former)

    def stop(self, graceful: bool = True) -> None:
        self._end_trial()
        super().stop(graceful)

    def _end_trial(self) -> None:
        if self._trial:
            self._trial.end()
        self._trial = None

    def _execute_anew(self) -> None:
        # A signal would end the new process before it has its handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
        # Signals that wait, such as that of the end of the trial, come first; the trial stays.
        if self.SIG_QUEUE.empty():
            self._end_trial()
            workers = map(str, {*self._former, *self.WORKERS})
            environ = {**os.environ, _FORMER_WORKERS: ",".join(workers)}
            environ[_LISTENERS] = ",".join(map(str, self._kept_listeners()))
            command = _command()
            self.log.info("Executing the new code.")
            try:
                os.chdir(self.cfg.chdir)
                os.execve(command[0], command, environ)  # noqa: S606 - no shell is needed
            except OSError:
                self.log.exception("The new code can't be executed. The former code goes on.")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

    def _kept_listeners(self) -> list[int]:
        """Return the file descriptors of the sockets that the command doesn't name."""
        kept = []
        for address, listener in zip(self.cfg.address, self.LISTENERS, strict=True):
            if isinstance(address, int):
                # gunicorn has moved the socket that the command names.
                os.dup2(listener.fileno(), address)
            else:
                kept.append(listener.fileno())
        return kept


def _command() -> list[str]:
    # The command as it was given: with the path of gunicorn's main module in place of -m gunicorn,
    # modules of gunicorn would hide modules of Python.
    return [sys.executable, *sys.orig_argv[1:]]


def _popped(name: str) -> list[str]:
    return [text for text in os.environ.pop(name, "").split(",") if text]


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _send(signum: int, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
