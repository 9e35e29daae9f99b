"""Contestants that are processes of their own."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.measuring import Backends, Cost

ROOT = Path(__file__).parent.parent.parent


class ProcessContestant:
    """Runs ``module`` by ``python``; see tests/benchmarks/contestant.py for the lines it reads.

    ``database_url`` leads to the database whose backends count.
    """

    def __init__(
        self,
        name: str,
        module: str,
        environ: Mapping[str, str],
        database_url: str,
        *arguments: str,
        python: str = sys.executable,
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            env=environ,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._backends = backends_of(database_url)

    def prepare(self, number: int) -> None:
        assert self._ask("prepare", number) == "ready"

    def run(self, number: int) -> Cost:
        with self._backends:
            began = time.perf_counter()
            own = json.loads(self._ask("run", number))["own"]
            clock = time.perf_counter() - began
        database = self._backends.seconds / number
        return Cost(clock=clock / number, own=own / number, database=database)

    def close(self) -> None:
        assert self._process.stdin is not None
        # A contestant that has ended doesn't read.
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()
        self._backends.close()

    def _ask(self, word: str, number: int) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word} {number}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer, f"the contestant {self.name} has ended: its error stands above"
        return answer


def backends_of(*urls: str) -> Backends:
    """Return the counter of the backends of the databases at ``urls``, all of one server."""
    names: Sequence[str] = [urlsplit(url).path.lstrip("/") for url in urls]
    return Backends(urlsplit(urls[0])._replace(path="/postgres").geturl(), names)
