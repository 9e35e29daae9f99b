"""Stores results in docs/performance.json, and shows them in docs/performance.md."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.races import Figure, Sizes

# A change of a median against the stored one that is told.
_TOLD = 0.15
_BEGIN, _END = "<!-- make bench writes from here -->", "<!-- to here -->"
_HEAD = (
    "| | against | compared | median (quartiles) | bound | ours | theirs |\n"
    "|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Result:
    """The figures of a race, with the command that measures them again.

    ``load`` is the load average at its end, that of the race included.
    """

    title: str
    command: str
    load: float
    figures: Sequence[Figure]


def command_of(name: str, sizes: Sizes) -> str:
    return (
        f"make bench RACE={name} ORDERS={sizes.orders} ROUNDS={sizes.rounds} NUMBER={sizes.number}"
    )


def lines_of(result: Result) -> list[str]:
    """Return the figures for people at a terminal."""
    return [result.title, *(_line_of(figure) for figure in result.figures)]


def _line_of(figure: Figure) -> str:
    sides = ""
    if figure.ours is not None and figure.theirs is not None:
        sides = f"  ours {figure.ours:,.3f} ms, theirs {figure.theirs:,.3f} ms"
    return f"  {figure.title}, {figure.measure}: {_median_of(asdict(figure))} {figure.bound}{sides}"


class Stored:
    """The results that were kept; ``folder`` holds performance.json and performance.md."""

    def __init__(self, folder: Path) -> None:
        self._json = folder / "performance.json"
        self._page = folder / "performance.md"
        self._results: dict[str, Any] = (
            json.loads(self._json.read_text()) if self._json.exists() else {}
        )

    def changes(self, name: str, result: Result) -> list[str]:
        """Return a sentence for each median that differs by more than 15 % from the stored one.

        Results of other sizes aren't compared.
        """
        stored = self._results.get(name)
        if stored is None:
            return []
        if stored["command"] != result.command:
            return [f"{name}: the stored result has another size: {stored['command']}"]
        former = {(row["title"], row["measure"]): row["median"] for row in stored["figures"]}
        return [
            f"{name}, {figure.title}, {figure.measure}: {median:.2f} before,"
            f" {figure.median:.2f} now"
            for figure in result.figures
            if (median := former.get((figure.title, figure.measure)))
            and abs(figure.median / median - 1) > _TOLD
        ]

    def keep(self, name: str, result: Result) -> None:
        """Replace the stored result of this race."""
        self._results[name] = asdict(result)
        self._json.write_text(json.dumps(self._results, indent=2) + "\n")
        before, _begin, rest = self._page.read_text().partition(_BEGIN)
        _old, _end, after = rest.partition(_END)
        self._page.write_text(f"{before}{_BEGIN}\n\n{self._table()}\n\n{_END}{after}")

    def _table(self) -> str:
        rows = [row for result in self._results.values() for row in _rows_of(result)]
        return "\n".join([_HEAD, *rows])


def result_of(name: str, title: str, sizes: Sizes, figures: Sequence[Figure]) -> Result:
    return Result(title, command_of(name, sizes), round(os.getloadavg()[0], 1), figures)


def _rows_of(result: Mapping[str, Any]) -> list[str]:
    titles = [f"{result['title']}<br>`{result['command']}`"]
    return [
        f"| {titles.pop() if titles else ''} | {row['title']} | {row['measure']} |"
        f" {_median_of(row)} | {row['bound']} | {_side(row['ours'])} | {_side(row['theirs'])} |"
        for row in result["figures"]
    ]


def _median_of(figure: Mapping[str, Any]) -> str:
    return f"{figure['median']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _side(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:,.3g} ms"
