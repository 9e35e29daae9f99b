"""The parts of a race: its sizes, its surroundings, the figures that come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.service import Service
from tests.benchmarks.measuring import Rounds

OURS = "ours"
# The words for the fields of Cost.
MEASURES = {
    "clock": "by the clock",
    "own": "processor time of the program",
    "whole": "processor time, PostgreSQL's too",
    "workers": "processor time of the workers",
    "p50": "p50",
    "p99": "p99",
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The size of a race: rounds of ``number`` things each, on ``orders`` stored orders.

    ``against`` is False where only the service itself runs, without its peers.
    """

    rounds: int = 7
    number: int = 100
    orders: int = 10_000
    against: bool = True


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The surroundings of a race: a folder for logs, and migrated databases to copy.

    Without ``service``, a race over HTTP starts one of its own, with stored orders.
    """

    folder: Path
    like: Sequence[str]
    sizes: Sizes
    service: Service | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the results: a median with its quartiles, and the bound to keep.

    ``ours`` and ``theirs`` are the two sides of a ratio, in milliseconds.
    """

    title: str
    measure: str
    median: float
    low: float
    high: float
    bound: str
    ours: float | None = None
    theirs: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The ratio of the costs of two contestants: above 1, ``ours`` is cheaper than ``peer``."""

    peer: str
    title: str
    measure: str
    bound: str
    ours: str = OURS

    def figure(self, rounds: Rounds) -> Figure:
        ratio = rounds.ratio(self.ours, self.peer, self.measure)
        return Figure(
            title=self.title,
            measure=MEASURES[self.measure],
            median=ratio.median,
            low=ratio.low,
            high=ratio.high,
            bound=self.bound,
            ours=1_000 * rounds.median(self.ours, self.measure),
            theirs=1_000 * rounds.median(self.peer, self.measure),
        )


@dataclass(frozen=True, kw_only=True)
class Race:
    """A race, whose contestants are compared."""

    title: str
    run: Callable[[Setting], Rounds]
    comparisons: Sequence[Comparison]
    sizes: Sizes = field(default_factory=Sizes)

    def figures(self, setting: Setting) -> list[Figure]:
        """Run the race; return one figure for each peer that took part."""
        rounds = self.run(setting)
        compared = [
            comparison for comparison in self.comparisons if comparison.peer in rounds.costs
        ]
        return [comparison.figure(rounds) for comparison in compared]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A measurement of the service alone, with a bound of its own."""

    title: str
    figures: Callable[[Setting], list[Figure]]
    sizes: Sizes = field(default_factory=Sizes)
