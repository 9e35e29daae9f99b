"""The steps of `manage.py run`, each of which says what it is waiting for."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

# Seconds between two lines about a step that goes on.
LINE_SECONDS = 5.0
# The most characters of a detail.
_DETAIL = 200


class Step:
    """Says its ``text`` when it begins, and a line every LINE_SECONDS until it ends.

    The line has the latest detail, and the seconds since the beginning. A step is a file for
    details: a command that has the step as its stdout gives its last line as the detail.
    """

    def __init__(self, text: str, *, say: Callable[[str], None]) -> None:
        self._text = text
        self._say = say
        self._written = ""
        self._has_ended = threading.Event()
        # A thread of its own, because the step may be one long call.
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._say(f"{self._text} ...")
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._has_ended.set()
        self._thread.join()

    @property
    def detail(self) -> str:
        """The last line that was written and isn't empty."""
        lines = [line for line in self._written.splitlines() if line.strip()]
        return lines[-1].strip()[:_DETAIL] if lines else ""

    def write(self, text: str) -> int:
        """Append ``text`` to the lines of which the last is the detail."""
        self._written = (self._written + text)[-10 * _DETAIL :]
        return len(text)

    def flush(self) -> None:
        """Do nothing: a detail is never late."""

    def _go_on(self) -> None:
        begin = time.monotonic()
        while not self._has_ended.wait(LINE_SECONDS):
            detail = f": {self.detail}" if self.detail else ""
            self._say(f"{self._text}{detail} ({time.monotonic() - begin:.0f} s)")
