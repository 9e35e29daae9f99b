"""A shell that carries out the blocks of a page, as a person would paste them."""

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from uuid import uuid4

from tests.acceptance.copies import Copy
from tests.acceptance.service import plain_environ
from tests.pages import Block, blocks_of, difference
from tests.patience import PATIENCE_SECONDS

NOTHING: Mapping[str, str] = MappingProxyType({})

# Lists each command that fails, apart from those whose failure the shell handles.
_LIST_FAILURES = 'set -E; trap \'echo "$BASH_COMMAND: status $?" >> "$FAILURES"\' ERR\n'


def environ_of(copy: Copy) -> dict[str, str]:
    """Return the environment of a person who has started ``copy`` in another terminal.

    Both output streams come in the order in which a terminal shows them.
    """
    # The `make proof` that runs the tests sets these; the tests of a page are small ones.
    outer = ("PROOF", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTEST_ADDOPTS")
    environ = {name: value for name, value in plain_environ().items() if name not in outer}
    return environ | {"PORT": str(copy.port), "PYTHONUNBUFFERED": "1"}


def nothing(_block: Block) -> None:
    """Do nothing before a block."""


class Session:
    """A bash in the code of a copy; each block finds the variables and functions of those before.

    ``replacements`` are what a block says and what is done in its place.
    """

    def __init__(
        self, copy: Copy, replacements: Mapping[str, str] = NOTHING, **environ: str
    ) -> None:
        self._replacements = {**replacements, "127.0.0.1:8000": f"127.0.0.1:{copy.port}"}
        self._notes = Path(tempfile.mkdtemp(prefix="session-", dir=copy.folder))
        self._failures = self._notes / "failures"
        self._folder = copy.code
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=copy.code,
            env=environ_of(copy) | environ | {"FAILURES": str(self._failures)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._say(_LIST_FAILURES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The group: a command of a block that doesn't end would go on without the shell.
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()

    def carry_out(self, page: Path, *, before: Callable[[Block], None] = nothing) -> list[str]:
        """Carry out the blocks of a page in its order; return what is wrong with them.

        ``before`` is called with each block in the shell, before that runs.
        """
        complaints = []
        for block in blocks_of(page):
            if not block.is_carried_out:
                continue
            if edit := block.edit:
                path = self._folder / edit.path
                path.parent.mkdir(parents=True, exist_ok=True)
                content = path.read_text() if path.exists() else None
                path.write_text(edit.apply(content))
                continue
            before(block)
            if complaint := self._complaint(block):
                complaints.append(f"{block}: {complaint}")
        return complaints

    def _complaint(self, block: Block) -> str:
        self._failures.write_text("")
        output = self.run(self._replaced(block.text))
        failures = self._failures.read_text()
        if block.output is not None:
            if found := difference(self._replaced(block.output), output):
                return f"{found}\n{output}"
        elif failures:
            return f"{failures}{output}"
        return f"\n{output}" if "Traceback (most recent" in output else ""

    def run(self, script: str) -> str:
        """Run a script in the shell; return what it prints."""
        path = self._notes / "block.sh"
        path.write_text(script)
        end = uuid4().hex
        self._say(f". {path} </dev/null\nprintf '\\n{end}\\n'\n")
        return self._read_until(f"\n{end}\n")

    def _say(self, script: str) -> None:
        assert self._bash.stdin
        self._bash.stdin.write(script.encode())
        self._bash.stdin.flush()

    def _read_until(self, end: str) -> str:
        assert self._bash.stdout
        stream = self._bash.stdout.fileno()
        output = b""
        deadline = time.monotonic() + 10 * PATIENCE_SECONDS
        while not output.endswith(end.encode()):
            assert time.monotonic() < deadline, f"a block doesn't end: {output.decode()}"
            if select.select([stream], [], [], 1)[0]:
                part = os.read(stream, 65536)
                assert part, f"the shell ended: {output.decode()}"
                output += part
        return output.decode().removesuffix(end)

    def _replaced(self, text: str) -> str:
        for written, meant in self._replacements.items():
            text = text.replace(written, meant)
        return text
