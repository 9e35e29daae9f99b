"""The arbiter of the web server: signals that come while new code takes over."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import gunicorn.arbiter
import pytest

from config.server.arbiter import Arbiter


class LoadedTrial:
    """A trial that has loaded the new code."""

    def result(self) -> bool:
        return True

    def end(self) -> None:
        """End nothing: there is no process."""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the commands that are executed in place of this process, which stays."""
    commands: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda path, command, environ: commands.append(command))
    return commands


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Arbiter:
    """Return an arbiter without workers and sockets, whose trial has just ended."""
    for name in ("setup", "manage_workers"):
        monkeypatch.setattr(gunicorn.arbiter.Arbiter, name, lambda *_arguments: None)
    arbiter = Arbiter(None)
    arbiter.WORKERS, arbiter.LISTENERS = {}, []
    arbiter.cfg = SimpleNamespace(chdir=".", address=[])
    arbiter.log = SimpleNamespace(info=lambda message: None)
    arbiter._trial = LoadedTrial()  # type: ignore[assignment]
    return arbiter


def test_a_reload_is_not_lost_when_a_child_ends_at_the_end_of_its_trial(
    arbiter: Arbiter, executed: list[Any]
) -> None:
    arbiter.SIG_QUEUE.put_nowait(signal.SIGCHLD)
    arbiter.manage_workers()
    # The signal is handled first.
    assert executed == []

    arbiter.SIG_QUEUE.get_nowait()
    arbiter.manage_workers()
    arbiter.manage_workers()

    assert len(executed) == 1
