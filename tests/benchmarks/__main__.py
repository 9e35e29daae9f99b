"""Runs races: ``make bench``, or ``python -m tests.benchmarks [RACE …] [--orders N] …``."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.server import benchmark_server, set_up_django

if TYPE_CHECKING:
    from tests.benchmarks.races import Sizes
    from tests.benchmarks.results import Result

_SIZES = ("orders", "rounds", "number")


def main() -> None:
    set_up_django()
    with benchmark_server():
        run(sys.argv[1:])


def run(arguments: Sequence[str]) -> None:
    """Run the races that ``arguments`` name, or all; tell their figures, and what has changed."""
    # Imported here, because these modules need Django.
    from tests.benchmarks.all_races import RACES
    from tests.benchmarks.peer import MissingPeerError
    from tests.benchmarks.results import Stored, lines_of
    from tests.databases import MigratedDatabases

    options = _options(arguments, list(RACES))
    stored = Stored(options.folder)
    changes = []
    migrated = MigratedDatabases(keep=True)
    try:
        for name in options.races or RACES:
            result = run_one(name, _sizes(RACES[name].sizes, options), migrated.names)
            print("\n".join(lines_of(result)), flush=True)
            changes += stored.changes(name, result)
            if not options.dont_keep:
                stored.keep(name, result)
    except MissingPeerError as error:
        sys.exit(str(error))
    finally:
        migrated.drop()
    print("\nChanged by more than 15 %:" if changes else "\nNothing changed by more than 15 %.")
    for change in changes:
        print(f"  {change}")


def run_one(name: str, sizes: "Sizes", like: Sequence[str]) -> "Result":
    """Run a race on copies of the migrated databases ``like``."""
    from tests.benchmarks.all_races import RACES
    from tests.benchmarks.races import Setting
    from tests.benchmarks.results import result_of

    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(folder=Path(folder), like=like, sizes=sizes)
        figures = RACES[name].figures(setting)
    return result_of(name, RACES[name].title, sizes, figures)


def _options(arguments: Sequence[str], names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("races", nargs="*", metavar="RACE", help=", ".join(names))
    for size in _SIZES:
        parser.add_argument(f"--{size}", type=int)
    parser.add_argument("--alone", action="store_true", help="Without the peers.")
    parser.add_argument("--dont-keep", action="store_true", help="Leave the stored results.")
    parser.add_argument("--folder", type=Path, default=Path("docs"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.races) - set(names):
        parser.error(f"no such race: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _sizes(sizes: "Sizes", options: argparse.Namespace) -> "Sizes":
    chosen = {name: getattr(options, name) for name in _SIZES if getattr(options, name) is not None}
    return replace(sizes, against=not options.alone, **chosen)


if __name__ == "__main__":
    main()
