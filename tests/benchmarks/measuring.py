"""Measures contestants in rounds, one after the other, and compares them in pairs."""

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psutil
import psycopg

# Seconds between two looks at the backends of a contestant: a backend that ends in between loses
# at most so much of its processor time.
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds that one order, request or event took: on the clock, and of processors.

    ``own`` is the contestant's process, or its web server; ``workers`` its other processes;
    ``database`` its backends. ``p50`` and ``p99`` are latencies, where the race has them.
    """

    clock: float
    own: float
    database: float = 0.0
    workers: float = 0.0
    p50: float = 0.0
    p99: float = 0.0

    @property
    def whole(self) -> float:
        """Processor time of all processes."""
        return self.own + self.workers + self.database


class Contestant(Protocol):
    """A way to do the same work; ``run`` does it so many times and returns the cost of one."""

    name: str

    def prepare(self, number: int) -> None: ...

    def run(self, number: int) -> Cost: ...


@dataclass(frozen=True)
class Ratio:
    """The peer's cost by ours, from pairs of rounds: above 1, the service is cheaper."""

    median: float
    low: float
    high: float


@dataclass
class Rounds:
    """The costs of each contestant, by its name, round by round."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)

    def ratio(self, ours: str, peer: str, measure: str) -> Ratio:
        """Return the median and quartiles of the ratios of the pairs."""
        pairs = zip(self.costs[ours], self.costs[peer], strict=True)
        ratios = [getattr(theirs, measure) / getattr(own, measure) for own, theirs in pairs]
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return Ratio(median, low, high)

    def median(self, name: str, measure: str) -> float:
        return statistics.median(getattr(cost, measure) for cost in self.costs[name])


def race(
    contestants: Sequence[Contestant],
    number: int,
    rounds: int,
    *,
    warm_up: int | None = None,
) -> Rounds:
    """Let all contestants do the same ``number`` of things, in turn, ``rounds`` times.

    Each does ``warm_up`` things before, by default ``number``.
    """
    warm_up = number if warm_up is None else warm_up
    result = Rounds({contestant.name: [] for contestant in contestants})
    for contestant in contestants if warm_up else ():
        contestant.prepare(warm_up)
        contestant.run(warm_up)
    for _ in range(rounds):
        for contestant in contestants:
            contestant.prepare(number)
            result.costs[contestant.name].append(contestant.run(number))
    return result


def seconds_on_cpu(pids: Iterable[int]) -> float:
    """Return the processor time of the processes ``pids``, with all their threads."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


class Backends:
    """Counts the processor time of a contestant's backends within a ``with`` block.

    Other contestants use other databases of the same server, so that their backends, and what the
    server does by itself, don't count.
    """

    def __init__(self, server_url: str, databases: Sequence[str]) -> None:
        self._connection = psycopg.connect(server_url, autocommit=True)
        self._databases = list(databases)
        self._seconds: dict[int, tuple[float, float]] = {}
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._seconds = {pid: (now, now) for pid, now in self._look().items()}
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._watcher.join()
        self._remember()
        self.seconds = sum(last - first for first, last in self._seconds.values())

    def close(self) -> None:
        self._connection.close()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._remember()

    def _remember(self) -> None:
        for pid, now in self._look().items():
            # A backend that came during the block began at 0.
            first, last = self._seconds.get(pid, (0.0, 0.0))
            self._seconds[pid] = (first, max(last, now))

    def _look(self) -> Mapping[int, float]:
        rows = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = ANY(%s)"
            " AND backend_type IN ('client backend', 'parallel worker')",
            [self._databases],
        )
        return {pid: seconds_on_cpu([pid]) for (pid,) in rows.fetchall()}


def measured(
    run: Callable[[], Any], number: int, backends: Backends, *, own: Sequence[int], **others: Any
) -> Cost:
    """Return the cost of one of the ``number`` things that ``run`` does in the processes ``own``.

    ``others`` names more processes by a field of Cost.
    """
    before = {name: seconds_on_cpu(pids) for name, pids in {"own": own, **others}.items()}
    with backends:
        began = time.perf_counter()
        extra = run() or {}
        clock = time.perf_counter() - began
        after = {name: seconds_on_cpu(pids) for name, pids in {"own": own, **others}.items()}
    spent = {name: (after[name] - before[name]) / number for name in before}
    return Cost(clock=clock / number, database=backends.seconds / number, **spent, **extra)
