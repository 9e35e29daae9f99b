"""A step says what it is waiting for."""

from threading import Event

import pytest

from config.management import steps
from config.management.steps import Step
from tests.patience import PATIENCE_SECONDS


class Lines(list[str]):
    """The lines that a step says, to be waited for."""

    def __init__(self) -> None:
        self._awaited = ""
        self._found = Event()

    def say(self, line: str) -> None:
        self.append(line)
        if self._awaited and self._awaited in line:
            self._found.set()

    def wait_for(self, text: str) -> bool:
        self._awaited = text
        return self._found.wait(PATIENCE_SECONDS)


def test_a_step_says_its_text_and_the_last_line_that_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "LINE_SECONDS", 0.01)
    lines = Lines()

    with Step("Preparing the databases", say=lines.say) as step:
        step.write("Running migrations:\n")
        step.write("  Applying orders.0001_initial...")
        assert lines.wait_for("Preparing the databases: Applying orders.0001_initial... (0 s)")
        step.write(" OK\n\n")

    assert lines[0] == "Preparing the databases ..."
    assert step.detail == "Applying orders.0001_initial... OK"


def interrupt(step: Step, lines: Lines) -> None:
    """Press Ctrl-C when the step has said that it goes on."""
    with step:
        assert lines.wait_for("Starting (0 s)")
        raise KeyboardInterrupt


def test_a_step_is_silent_after_its_end_and_after_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "LINE_SECONDS", 0.01)
    lines = Lines()

    step = Step("Starting", say=lines.say)

    with pytest.raises(KeyboardInterrupt):
        interrupt(step, lines)

    # The thread that says the lines has ended.
    assert not step._thread.is_alive()
